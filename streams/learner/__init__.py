"""The learner: labels that come late, and models that learn from them (`headrace learn`).

Two steps with a topic between them. The queue (queue.py, merge.py, orders.py) says when which label is due, and writes
`matured`; the learning (learning.py, online.py) reads that, and puts snapshots of its models into the registry.
"""
