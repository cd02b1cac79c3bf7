"""The elected process's periodic work."""
