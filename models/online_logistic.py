"""Online logistic regression: a snapshot of a linear model that learns from labels as they are due.

What it computes, reads and explains is logistic regression over squashed inputs (logistic.py); what differs is how it
came about (training/online/logistic.py), and that a newer snapshot replaces it every few minutes. Scaling, and the
correction for the goods that were not learned, are folded into weights and bias. The price is that of logistic.py.
"""

from __future__ import annotations

from typing import ClassVar

from models.logistic import Logistic


class OnlineLogistic(Logistic):
    """A snapshot. A value: nothing changes it after construction."""

    kind: ClassVar[str] = "online_logistic"
    __slots__ = ()
