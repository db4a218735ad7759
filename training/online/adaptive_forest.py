"""Adaptive random forest: River's, on coded values, with leaves that are shares.

Gomes et al., "Adaptive random forests for evolving data stream classification", 2017: Hoeffding trees, each taught a
case Poisson(lambda) times, each leaf looking at some columns by lot. Where ADWIN says that a tree errs more than it
did, a new one grows beside it, and takes its place when it goes on. Values are codes (coding.py) and leaves hold counts
(splitter.py), so a tree can be written down as arrays whose thresholds are in the features' own units
(models/adaptive_forest.py): a snapshot.

What a leaf says is its share of frauds, drawn to that of the whole tree as if it had seen `smooth` cases more: a new
leaf knows little. The price: 60 us a tree and case that is learned, and a state that grows with what leaves have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from river import metrics, preprocessing

from models.adaptive_forest import AdaptiveForest
from models.exact import Floats
from models.inputs import Inputs
from models.kernel.leaves import NONE
from models.trees import NO_NODE, Trees
from training.online.adwin import Adwin
from training.online.coding import codes, threshold
from training.online.learner import Learner
from training.online.splitter import BinSplitter
from training.online.trees import LoopForest

_NEVER: Final = 1 << 62  # River would weigh its objects with sys.getsizeof, which differs between machines


@dataclass(frozen=True, slots=True)
class ForestSettings:
    """Chosen on days before any test period; docs/online.md has the figures."""

    rate: float = 0.05  # of goods that are learned
    trees: int = 20
    columns: float = 0.3  # share of the columns that a leaf looks at
    poisson: int = 6  # how often a tree is taught a case, on average
    grace: int = 100  # cases, counted as often as taught, between two looks at a leaf
    confidence: float = 0.01
    tie: float = 0.05
    depth: int = 14
    thresholds: int = 24  # tried for each column
    smooth: float = 12.0  # cases, counted as often as taught
    drift: float = 0.001  # ADWIN's delta for a tree's end, and
    warning: float = 0.01  # for the beginning of the next one


class ForestLearner(Learner):
    """Learns; `scorer` is a snapshot."""

    kind: ClassVar[str] = "adaptive_forest"
    told = ForestSettings

    def _new(self) -> Any:
        told = self.settings
        usual = preprocessing.StandardScaler(with_std=False)
        trees = LoopForest(
            n_models=told.trees,
            max_features=told.columns,
            lambda_value=told.poisson,
            metric=metrics.Accuracy(),  # type: ignore[no-untyped-call]  # River's
            disable_weighted_vote=True,
            drift_detector=Adwin(told.drift),
            warning_detector=Adwin(told.warning),
            grace_period=told.grace,
            max_depth=told.depth,
            split_criterion="info_gain",
            delta=told.confidence,
            tau=told.tie,
            leaf_prediction="mc",
            splitter=BinSplitter(told.thresholds),
            binary_split=True,
            max_share_to_split=0.999,
            memory_estimate_period=_NEVER,
            seed=self.seed,
        )
        return usual, trees

    def _learn(self, x: Floats, fraud: list[bool]) -> None:
        usual, trees = self.model
        for row, bad in zip(codes(x).tolist(), fraud, strict=True):
            case = dict(zip(self.reads, row, strict=True))
            trees.learn_one(case, int(bad))
            if not bad:
                usual.learn_one(case)

    def scorer(self, names: Sequence[str]) -> AdaptiveForest:
        """The trees as they are now."""
        usual, trees = self.model
        written = _Written(self.reads, self.settings.smooth)
        for tree in trees.data:
            written.add(tree._root)
        means = np.array([threshold(usual.means.get(name, 0.0)) for name in self.reads])
        return AdaptiveForest(written.trees(), self.settings.rate, Inputs(self.reads, means), names)


class _Written:
    """Trees as rows of nodes, parents before children. Untaught, it is one leaf of share 0."""

    def __init__(self, reads: Sequence[str], smooth: float) -> None:
        self._place = {name: at for at, name in enumerate(reads)}
        self._smooth = smooth
        self._roots: list[int] = []
        self._rows: list[list[Any]] = []  # feature, threshold, left, right, value

    def add(self, root: Any) -> None:
        """River's tree; None is one that has learned nothing."""
        self._roots.append(len(self._rows))
        leaves = list[tuple[int, float, float]]()
        todo = [(root, self._row(root))]
        while todo:
            node, at = todo.pop()
            if not hasattr(node, "children"):
                leaves.append((at, *_counts(node)))
                continue
            for side, child in enumerate(node.children):
                self._rows[at][2 + side] = below = self._row(child)
                todo.append((child, below))
        self._value(leaves)

    def _row(self, node: Any) -> int:
        """Where the node is put."""
        branch = hasattr(node, "children")
        feature, cut = (self._place[node.feature], threshold(node.threshold)) if branch else (NO_NODE, 0.0)
        self._rows.append([feature, cut, NO_NODE, NO_NODE, 0.0])
        return len(self._rows) - 1

    def _value(self, leaves: Sequence[tuple[int, float, float]]) -> None:
        """The leaves of a tree say what they have seen, and a little of what all of them have."""
        goods, frauds = (sum(leaf[of] for leaf in leaves) for of in (1, 2))
        share = frauds / (goods + frauds) if goods + frauds else 0.0
        for at, good, bad in leaves:
            seen = good + bad + self._smooth
            self._rows[at][4] = (bad + self._smooth * share) / seen if seen else 0.0

    def trees(self) -> Trees:
        if not self._roots:
            self.add(None)
        feature, cut, left, right, value = zip(*self._rows, strict=True)
        count = len(self._rows)
        return Trees(
            roots=np.array(self._roots, dtype=np.int64),
            feature=np.array(feature, dtype=np.int64),
            threshold=np.array(cut, dtype=np.float64),
            left=np.array(left, dtype=np.int64),
            right=np.array(right, dtype=np.int64),
            value=np.array(value, dtype=np.float64),
            missing=np.full(count, NONE, dtype=np.int64),
            default_left=np.zeros(count, dtype=np.int64),
        )


def _counts(leaf: Any) -> tuple[float, float]:
    """Goods and frauds that a leaf has seen; None is a tree that has learned nothing."""
    stats = {} if leaf is None else leaf.stats
    return float(stats.get(0, 0.0)), float(stats.get(1, 0.0))
