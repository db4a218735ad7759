"""Retraining: when a model is fitted anew, by one process at a time, and when the new one is put in force.

`triggers.py` says what is due, `observe.py` what there is to be seen of the champion, `lock.py` who may do it,
`runs.py` what became of it, `retrain.py` tells the story.
"""
