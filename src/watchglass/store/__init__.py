"""Alone owns connections, transactions and reading."""
