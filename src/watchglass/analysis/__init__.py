"""Pure functions over numbers and records: no I/O, no clock of their own."""
