"""Obvious, slow versions of what features/ computes; they import nothing of it."""
