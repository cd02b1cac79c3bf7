"""Telemetry is made here, in the host's process. Knows no SQL and no HTML."""
