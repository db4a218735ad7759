"""The docs that say what the code says: made from it, or held against it."""
