"""Chaos: a stream whose workers, broker and store are killed and stopped, held against one clean pass over its log.

`run.py` tells the story; `plan.py` says what happens, `site.py` what it happens to, `check.py` what must be true
afterwards. `headrace chaos` and bench/crash.py are doors to it.
"""
