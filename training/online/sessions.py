"""Sessions: Half-Space Trees that also remember how unusual late vectors were before they were learned.

At the end of each window of the trees their masses and their scale are set, and until the next one ends every vector
is scored by these and then learned. A snapshot is what was set last, with the scores since, of the newest `late`
vectors: what it says of a new vector is to be compared with what was said of those (models/sessions.py).

The price: that of the trees, a snapshot at every window (40 ms), and 10 bytes of state a score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from models.exact import Floats
from models.half_space import HalfSpace
from models.sessions import SESSIONS, Sessions
from training.online.half_space import HalfSpaceSettings, teach, trees_of, untaught
from training.online.learner import Learner


@dataclass(frozen=True, slots=True)
class SessionSettings(HalfSpaceSettings):
    """`late`: so many vectors' scores are kept; a share of alarms below one in so many cannot be told."""

    trees: int = 50  # twice those of others: vectors are few, and the rarest one in a thousand are to be told apart
    late: int = 10_000


class Late:
    """What was set at the end of the last window, but for the masses, which River keeps; and scores since then."""

    def __init__(self) -> None:
        self.low: list[float] = []
        self.span: list[float] = []
        self.usual: list[float] = []
        self.scores: list[float] = []

    def set(self, trees: HalfSpace) -> None:
        """The end of a window."""
        self.low, self.span, self.usual = trees.low.tolist(), trees.span.tolist(), trees.usual.tolist()


class SessionLearner(Learner):
    """Learns; `scorer` is a snapshot."""

    kind: ClassVar[str] = SESSIONS
    told = SessionSettings

    def _new(self) -> Any:
        self._kept: HalfSpace | None = None  # what was set last, over `reads`; made when it is asked for
        return (*untaught(self.settings, self.seed), Late())

    def _learn(self, x: Floats, fraud: list[bool]) -> None:
        """Up to the end of each window in turn: what is set there scores what comes behind it."""
        *model, late = self.model
        _, _, trees = model
        x = x[~np.array(fraud, dtype=np.bool_)]
        while len(x):
            some, x = x[: (room := trees.window_size - trees.counter)], x[room:]
            if late.low:
                late.scores = [*late.scores, *self._set().score(some).tolist()][-self.settings.late :]
            teach((model[0], model[1], trees), self.reads, some)
            if trees.counter == 0:
                late.set(trees_of((model[0], model[1], trees), self.reads, self.reads))
                self._kept = None

    def scorer(self, names: Sequence[str]) -> Sessions:
        """What was set at the end of the last window, and the scores since."""
        trees = self._set()
        bound = HalfSpace(trees.trees, trees.window, trees.reads, trees.low, trees.span, trees.usual, names)
        return Sessions(bound, np.array(self.model[-1].scores, dtype=np.float64))

    def _set(self) -> HalfSpace:
        """The trees as they were set last; those of nothing before the first window has ended."""
        if self._kept is None:
            scaler, usual, trees, late = self.model
            now = trees_of((scaler, usual, trees), self.reads, self.reads)
            if not late.low:
                return now
            low, span, mean = (np.array(one, dtype=np.float64) for one in (late.low, late.span, late.usual))
            self._kept = HalfSpace(now.trees, now.window, now.reads, low, span, mean, self.reads)
        return self._kept
