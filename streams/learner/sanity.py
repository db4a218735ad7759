"""Whether a snapshot may score: it has moved where labels came, and it is no worse than nonsense.

Frozen: rows were learned from, or came and could not be used, and the model stays what it was. Exploding: on the newest
rows, which it has just learned, it loses far more than the snapshot before does, or its scores are no scores at all.
One that fails is kept, and is not deployed: the one in force stays, and an alarm is up until one passes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.scorer import Scorer
from schemas.matured import Matured
from streams.learner.window import log_loss

PROBE_ROWS: Final = 2_000
FROZEN_ROWS: Final = 1_000  # fewer may well be goods that sampling leaves out
WORSE: Final = 2.0  # exploding: the loss is so many times that of before,
BY: Final = 0.1  # and so much more


@dataclass(frozen=True, slots=True)
class Health:
    """What is wrong with a snapshot."""

    frozen: bool = False
    exploding: bool = False

    @property
    def well(self) -> bool:
        return not (self.frozen or self.exploding)


class Probe:
    """The newest rows that a model learned from, and its last healthy snapshot: `before`, what is in force."""

    def __init__(self, before: Scorer | None = None) -> None:
        self._rows: deque[Matured] = deque(maxlen=PROBE_ROWS)
        self._before = before
        self._files: dict[str, bytes] | None = None
        self._since = 0

    def take(self, seen: int, used: Iterable[Matured]) -> None:
        """`seen` rows came, of which some were used."""
        self._since += seen
        self._rows.extend(used)

    def judge(self, scorer: Scorer) -> Health:
        """Of a new snapshot; the next one is compared with it if it is well."""
        files = scorer.files()
        frozen = self._since >= FROZEN_ROWS and files == self._files
        if files != self._files:
            self._files, self._since = files, 0
        exploding = self._explodes(scorer)
        if not exploding:
            self._before = scorer
        return Health(frozen, exploding)

    def _explodes(self, scorer: Scorer) -> bool:
        if not self._rows:
            return False
        x = np.array([row.vector for row in self._rows], dtype=np.float64)
        fraud = np.array([row.label == 1 for row in self._rows])
        score = scorer.score(x)
        if not (np.isfinite(score).all() and (score >= 0).all() and (score <= 1).all()):
            return True
        if self._before is None:
            return False
        before = log_loss(self._before.score(x), fraud)
        return log_loss(score, fraud) > max(WORSE * before, before + BY)
