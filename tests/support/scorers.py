"""A fitted example of each kind of scorer, over any vector with the columns `amount`, `count` and `risk`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from models.adaptive_forest import LEAF, AdaptiveForest, Nodes
from models.blend import Blend
from models.calibration import Beta
from models.half_space import HalfSpace, Halvings
from models.logistic import Input, Logistic
from models.online_logistic import OnlineLogistic
from models.scorer import Scorer
from tests.support import grown, networks


def logistic(names: Sequence[str]) -> Scorer:
    inputs = [
        Input("amount", 40.0, 0.0, 1e5, 0.5),
        Input("count", 2.0, 0.0, 500.0, -0.25),
        Input("amount", 99.0, 99.0, 1e5, 0.25),
    ]
    return Logistic(inputs, -3.0, names)


def blend(names: Sequence[str]) -> Scorer:
    second = Logistic([Input("risk", 0.5, 0.0, 1.0, 2.0), Input("count", 2.0, 0.0, 500.0, 0.5)], -2.0, names)
    members = {"first": logistic(names), "second": second}
    return Blend(members, {"first": 0.7, "second": 0.6}, Beta(1.1, 0.8, -0.2), names, bias=0.4)


def online_logistic(names: Sequence[str]) -> Scorer:
    inputs = [Input("count", 3.0, 0.0, 900.0, 0.125), Input("risk", 0.0, 0.0, 1.0, 2.0)]
    return OnlineLogistic(inputs, -5.0, names)


def adaptive_forest(names: Sequence[str]) -> Scorer:
    """Three trees: of four leaves, of three, and of two."""
    nodes = Nodes(
        feature=np.array([0, 1, 2, LEAF, LEAF, LEAF, LEAF, 2, LEAF, 1, LEAF, LEAF, 2, LEAF, LEAF]),
        threshold=np.array([20.0, 3.0, 0.5, 0, 0, 0, 0, 0.7, 0, 20.0, 0, 0, 0.2, 0, 0]),
        left=np.array([1, 3, 5, 3, 4, 5, 6, 8, 8, 10, 10, 11, 13, 13, 14]),
        right=np.array([2, 4, 6, 3, 4, 5, 6, 9, 8, 11, 10, 11, 14, 13, 14]),
        value=np.array([0, 0, 0, 0.1, 0.2, 0.4, 0.95, 0, 0.05, 0, 0.3, 0.77, 0, 0.02, 0.5]),
    )
    return AdaptiveForest(
        np.array([0, 7, 12]), nodes, ("amount", "count", "risk"), np.array([30.0, 1.0, 0.1]), 0.25, names
    )


def half_space(names: Sequence[str]) -> Scorer:
    """Eight trees of height 4 that halve at random, with the masses of 200 vectors around the middle."""
    rng = np.random.default_rng(3)
    feature, threshold = rng.integers(0, 3, (8, 15)), rng.uniform(0.2, 0.8, (8, 15))
    mass = np.zeros((8, 31), dtype=np.int64)
    for tree in range(8):
        for x in rng.normal(0.4, 0.2, (200, 3)):
            at = 0
            for _ in range(5):
                mass[tree, at] += 1
                at = 2 * at + 1 + int(at < 15 and x[feature[tree, at]] >= threshold[tree, at])
    return HalfSpace(
        Halvings(feature, threshold, mass),
        200,
        ("amount", "count", "risk"),
        np.array([-3.0, 0.0, 0.0]),
        np.array([16.0, 10.0, 1.0]),
        np.array([30.0, 2.0, 0.1]),
        names,
    )


EXAMPLES: Final[Mapping[str, Callable[[Sequence[str]], Scorer]]] = {
    "blend": blend,
    "boosted": grown.boosted_trees,
    "forest": grown.random_forest,
    "isolation": grown.isolation_forest,
    "logistic": logistic,
    "online_logistic": online_logistic,
    "adaptive_forest": adaptive_forest,
    "half_space": half_space,
    "network": networks.attention,
}
