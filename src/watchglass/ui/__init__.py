"""HTML: one view and one template per card, of the same name as its API module."""
