"""The live page in a real browser: what is measured of it, and its pictures. `tests/page` stands on the same."""
