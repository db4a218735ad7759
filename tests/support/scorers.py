"""A fitted example of each kind of scorer, over any vector with the columns `amount`, `count` and `risk`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from models.blend import Blend
from models.calibration import Beta
from models.logistic import Input, Logistic
from models.scorer import Scorer
from tests.support import grown, networks
from training.online.learner import learner_of


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
    return _taught("online_logistic", names, rate=0.5)


def adaptive_forest(names: Sequence[str]) -> Scorer:
    return _taught("adaptive_forest", names, rate=0.25, trees=5, grace=30)


def half_space(names: Sequence[str]) -> Scorer:
    return _taught("half_space", names, trees=8, height=5, window=200)


def sessions(names: Sequence[str]) -> Scorer:
    return _taught("sessions", names, trees=8, height=5, window=200)


def _taught(kind: str, names: Sequence[str], **told: Any) -> Scorer:
    """A snapshot of an online model that was taught the same purchases."""
    made = learner_of(kind)
    learner = made(grown.READ, seed=1, settings=made.told(**told))
    learner.learn_many(*grown.purchases())
    return grown.bound(learner.scorer(grown.READ), names)


EXAMPLES: Final[Mapping[str, Callable[[Sequence[str]], Scorer]]] = {
    "blend": blend,
    "boosted": grown.boosted_trees,
    "forest": grown.random_forest,
    "isolation": grown.isolation_forest,
    "logistic": logistic,
    "online_logistic": online_logistic,
    "adaptive_forest": adaptive_forest,
    "half_space": half_space,
    "sessions": sessions,
    "network": networks.attention,
}
