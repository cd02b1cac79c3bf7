"""JSON: one module per concept; each asks the store a question, lets analysis answer, and returns a model."""
