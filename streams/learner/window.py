"""How well a model did on the newest labels: by the scores that its orders had when they came.

The score is the one that was logged with the decision, where the model had a part in it, else what the newest snapshot
of then would have said. So a model is judged with the delay that its labels have, not by what it has learned since.
The price: a window of rows is kept in memory, and the figures are of that window, not of a day.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

ROWS: Final = 20_000
LEAST: Final = 1e-6  # scores are rounded to it: what is lost by a sure and wrong one is bounded


class Window:
    """The newest rows of one model."""

    def __init__(self, rows: int = ROWS) -> None:
        self._rows: deque[tuple[float, bool]] = deque(maxlen=rows)

    def add(self, score: float, fraud: bool) -> None:
        self._rows.append((score, fraud))

    def figures(self) -> tuple[float, float] | None:
        """Average precision and log loss; None while there are not both classes."""
        if not self._rows:
            return None
        score = np.array([score for score, _ in self._rows])
        fraud = np.array([fraud for _, fraud in self._rows])
        if fraud.all() or not fraud.any():
            return None
        return average_precision(score, fraud), log_loss(score, fraud)


def average_precision(score: Floats, fraud: Bools) -> float:
    """The area under precision over recall, as steps; equal scores count together."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    found = np.cumsum(fraud[order])[ends]
    return float((np.diff(found, prepend=0) * found / (ends + 1)).sum() / found[-1])


def log_loss(score: Floats, fraud: Bools) -> float:
    """The mean of -log of what was said of what was so."""
    right = np.where(fraud, score, 1 - score)
    return float(-np.log(np.clip(right, LEAST, 1)).mean())
