"""Fitted ensembles of trees, over any vector with the columns `amount`, `count` and `risk`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from models.exact import Floats
from models.scorer import Scorer
from training.fits import boosted, forest, isolation

READ: Final = ("amount", "count", "risk")


def purchases(n: int = 2000, seed: int = 5) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """(n, 3) amounts, counts and risks with heavy tails, zeros and ties, and which were frauds."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.lognormal(3, 2, n).round(1), rng.poisson(2.0, n) * 1.0, rng.random(n).round(2)])
    logit = np.log1p(x[:, 0]) * (x[:, 1] > 2) - 2 + x[:, 2]
    return x, rng.random(n) < 1 / (1 + np.exp(-logit))


def boosted_trees(names: Sequence[str]) -> Scorer:
    return bound(boosted.fit(*purchases(), READ, seed=1, options=boosted.Boosting(trees=20, leaves=7)), names)


def random_forest(names: Sequence[str]) -> Scorer:
    return bound(forest.fit(*purchases(), READ, seed=1, options=forest.Growing(trees=8, depth=5)), names)


def isolation_forest(names: Sequence[str]) -> Scorer:
    return bound(isolation.fit(*purchases(), READ, seed=1, options=isolation.Cutting(trees=10, sample=64)), names)


def bound(fitted: Scorer, names: Sequence[str]) -> Scorer:
    """The same model, finding its columns in another vector."""
    return type(fitted).of(fitted.files(), names)
