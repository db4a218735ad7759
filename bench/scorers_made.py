"""A model of each kind, of the size that a shop would serve, over the shop's whole vector; and what its library says.

They are fitted on invented orders: prices depend on sizes, not on what was learned. All read the same 64 columns of
the vector, but for the network, which reads the last orders of the user, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any, Final
from unittest.mock import patch

import lightgbm
import numpy as np
import numpy.typing as npt

from features.shop import shop_definitions
from models.blend import Blend
from models.calibration import Beta
from models.exact import Floats
from models.network_inputs import Inputs, Read
from models.scorer import Scorer
from tests.support import networks
from training.fits import boosted, forest, isolation, logistic
from training.online.learner import learner_of

SEED: Final = 20180725
ROWS: Final = 20_000
READ: Final = 64  # columns
LEARNED: Final = 3_000  # rows that online models learn: they take seconds for a thousand
ENCODED: Final = {"transaction": 60, "user": 60, "device": 60}  # columns of each encoder of the network
NAMES: Final = shop_definitions().vector.names
Predict = Callable[[Floats], Any]
ensemble: Any = import_module("sklearn.ensemble")


@dataclass(frozen=True, slots=True)
class Made:
    """A model over NAMES, and its library's own functions over the columns that it reads, where there is one."""

    scorer: Scorer
    size: str
    theirs: Predict | None = None
    theirs_explained: Predict | None = None
    library: str = ""
    members: Mapping[str, str] = field(default_factory=dict)


@cache
def orders() -> tuple[Floats, npt.NDArray[np.bool_]]:
    """(ROWS, d) heavy tails and many zeros, and which were frauds."""
    rng = np.random.default_rng(SEED)
    x = rng.lognormal(1.0, 2.0, (ROWS, len(NAMES)))
    x[rng.random(x.shape) < 0.3] = 0.0
    logit = np.log1p(x[:, :READ]) @ rng.normal(size=READ) / 4.0 - 3.0
    return x, rng.random(ROWS) < 1.0 / (1.0 + np.exp(-logit))


def learned() -> tuple[Floats, npt.NDArray[np.bool_], tuple[str, ...]]:
    x, fraud = orders()
    return np.ascontiguousarray(x[:, :READ]), fraud, tuple(NAMES[:READ])


def bound(fitted: Scorer) -> Scorer:
    """The same model, over the whole vector."""
    return type(fitted).of(fitted.files(), NAMES)


def make_logistic() -> Made:
    x, fraud, names = learned()
    return Made(bound(logistic.fit(x, fraud, names, bends=(0.9, 0.99))), f"{READ} columns, each bent twice")


@cache
def make_boosted() -> Made:
    options = boosted.Boosting(trees=300, leaves=31, threads=2)
    fitted = boosted.fit(*learned(), seed=SEED, options=options)
    booster = lightgbm.Booster(model_str=fitted.files()["model.txt"].decode())
    return Made(
        bound(fitted),
        f"{options.trees} trees of {options.leaves} leaves, {READ} columns",
        lambda x: booster.predict(x, num_threads=1),
        lambda x: booster.predict(x, num_threads=1, pred_contrib=True),
        f"LightGBM {lightgbm.__version__}",
    )


def make_forest() -> Made:
    x, fraud, names = learned()
    options = forest.Growing(trees=100, depth=15, threads=2)
    fitted = forest.fit(x, fraud, names, seed=SEED, options=options)
    theirs = ensemble.RandomForestClassifier(
        options.trees, max_depth=options.depth, min_samples_leaf=options.least_rows, n_jobs=2, random_state=SEED
    ).fit(x, fraud)
    theirs.n_jobs = 1
    nodes = sum(tree.tree_.node_count for tree in theirs.estimators_)
    size = f"{options.trees} trees of depth {options.depth}, {nodes:,} nodes, {READ} columns"
    return Made(bound(fitted), size, theirs.predict_proba, None, _scikit())


def make_isolation() -> Made:
    x, fraud, names = learned()
    options = isolation.Cutting(goods_only=False)
    fitted = isolation.fit(x, fraud, names, seed=SEED, options=options)
    theirs = ensemble.IsolationForest(n_estimators=options.trees, max_samples=options.sample, random_state=SEED)
    theirs.fit(x)
    size = f"{options.trees} trees of {options.sample} rows, {READ} columns"
    return Made(bound(fitted), size, theirs.score_samples, None, _scikit())


def make_online(kind: str, size: str) -> Made:
    x, fraud = orders()
    learner = learner_of(kind)(NAMES, NAMES[:READ], seed=SEED)
    learner.learn_many(x[:LEARNED], fraud[:LEARNED])
    return Made(learner.scorer(NAMES), f"{size}, {READ} columns")


@cache
def make_network() -> Made:
    """Weights by lot, of the shape that training makes by default."""
    recent = [name for name in NAMES if name.startswith("user_recent_")]
    others = [name for name in NAMES if not name.startswith("user_recent_")]
    cut, reads = iter(others), list[Read]()
    for part, count in ENCODED.items():
        reads += [Read(next(cut), part, 10.0, 2.0, 0.0, 1e6) for _ in range(count)]
    reads += [Read(name, "recent", 10.0, 2.0, 0.0, 1e6) for name in recent]
    with patch.multiple(networks, WIDTH=32, HIDDEN=64, HEADS=4):
        network = networks.random_network(Inputs(reads, NAMES), ())
    return Made(network, f"tokens of 32, {sum(ENCODED.values())} columns and {len(recent)} of the last orders")


def make_blend() -> Made:
    """The stack that is served by default: boosted trees, the network and the online logistic regression."""
    made = {"boosted": make_boosted(), "network": make_network(), "online": MAKE["online_logistic"]()}
    weights = dict(zip(made, (0.6, 0.3, 0.2), strict=True))
    blend = Blend({name: one.scorer for name, one in made.items()}, weights, Beta(1.1, 0.9, 0.1), NAMES)
    return Made(blend, "boosted trees, network and online logistic regression as above")


def _scikit() -> str:
    return f"scikit-learn {import_module('sklearn').__version__}"


MAKE: Final[Mapping[str, Callable[[], Made]]] = {
    "logistic": make_logistic,
    "boosted": make_boosted,
    "forest": make_forest,
    "isolation": make_isolation,
    "online_logistic": cache(lambda: make_online("online_logistic", "bent lines")),
    "adaptive_forest": lambda: make_online("adaptive_forest", "20 trees"),
    "half_space": lambda: make_online("half_space", "its default trees"),
    "network": make_network,
    "blend": make_blend,
}
