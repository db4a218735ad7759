"""Training sets: what was known at a decision, beside what became known of it up to a moment T.

`build.py` tells the story. `verdicts.py` says which records counted, `labels.py` what was known at T, `logged.py` gives
the vectors that were logged, `cursor.py` brings them to their orders, `runs.py` sorts by time, `file.py` writes.
"""
