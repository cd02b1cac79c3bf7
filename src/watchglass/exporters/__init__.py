"""Telemetry leaves the process here, on a thread and a loop of its own."""
