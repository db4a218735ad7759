"""Parity: the vectors that were logged live, held against a replay in applied order and against an oracle.

`tally.py` counts per feature, `pairs.py` brings together what was logged and what was rebuilt, `check.py` runs it all,
`plants.py` breaks the live side on purpose, `watch.py` goes on for ever. `headrace parity` is the door.
"""
