"""Claims about what travels."""
