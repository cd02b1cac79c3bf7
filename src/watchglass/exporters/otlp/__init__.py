"""To a collector by OTLP: OpenTelemetry's own exporters, given what our records become, by its standard variables."""
