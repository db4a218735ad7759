"""A small stream with frauds that can be learned: for tests of learners and of their judging."""

from __future__ import annotations

import numpy as np

from models.exact import Floats
from training.metrics import Bools, Ints
from training.prequential import Cases

NAMES = ("amount", "idle", "count", "risk")
MINUTE_MS = 60_000


def vectors(n: int, seed: int = 1) -> tuple[Floats, Bools]:
    """Frauds are dear and of risky places."""
    rng = np.random.default_rng(seed)
    x = np.column_stack(
        [rng.lognormal(3, 1.5, n), np.full(n, 7.0), rng.poisson(3, n).astype(np.float64), rng.random(n)]
    )
    odds = 1.2 * np.log(x[:, 0]) + 4 * x[:, 3] - 9
    return x, rng.random(n) < 1 / (1 + np.exp(-odds))


def cases(n: int, delay_ms: int, seed: int = 1) -> Cases:
    """A case a minute; all from the middle on are judged."""
    x, fraud = vectors(n, seed)
    at_ms: Ints = np.arange(n, dtype=np.int64) * MINUTE_MS
    return Cases(
        x=x,
        at_ms=at_ms,
        id=np.arange(n),
        fraud=fraud,
        known=np.ones(n, dtype=np.bool_),
        due_ms=at_ms + delay_ms,
        owner=np.arange(n) % 50,
        judged=at_ms >= n // 2 * MINUTE_MS,
    )
