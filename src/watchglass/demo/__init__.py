"""Embedded servers, the demo service and its traffic. Uses the public API only."""
