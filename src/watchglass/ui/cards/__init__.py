"""One module per card: it turns the answer of the card's question into what its template shows."""
