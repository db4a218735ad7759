"""Training in batch: from a training set to a model that was judged on days it never saw.

`train.py` tells the story. `table.py` reads a set, `spans.py` cuts it by time, `checks.py` says what speaks against
it, `search.py` tries parameters, `members.py` fits each kind, `weigh.py` finds weights and calibration, `judge.py`
measures, `cost.py` counts money, `card.py` and `plots.py` tell people.
"""
