"""What others measured and traced by OpenTelemetry in this process, taken into ours."""
