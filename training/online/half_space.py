"""Half-Space Trees: River's, behind its scaler, on squashed values.

They learn what is usual, so labels are no matter to them but in one way: what is known to be a fraud is not learned.
Masses are those of the last whole window; a snapshot taken before the first one is whole scores 0. Values are squashed
by `log2_line` and scaled to 0 to 1 by the least and the largest seen (River's MinMaxScaler). The price: 2 us a tree and
case; one absurd value makes the scale coarse for good, though squashing keeps that to some octaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from river import anomaly, preprocessing

from models.exact import Floats, inverse_log2_line, log2_line
from models.half_space import HalfSpace, Halvings
from training.online.learner import Learner


@dataclass(frozen=True, slots=True)
class HalfSpaceSettings:
    """The paper's, but for the window: a shop's sessions differ between day and night."""

    rate: float = 1.0  # of goods that are learned
    trees: int = 25
    height: int = 8
    window: int = 1_000


class HalfSpaceLearner(Learner):
    """Learns; `scorer` is a snapshot."""

    kind: ClassVar[str] = "half_space"
    told = HalfSpaceSettings

    def _new(self) -> Any:
        return untaught(self.settings, self.seed)

    def _learn(self, x: Floats, fraud: list[bool]) -> None:
        teach(self.model, self.reads, x[~np.array(fraud, dtype=np.bool_)])

    def scorer(self, names: Sequence[str]) -> HalfSpace:
        """The masses of the last whole window."""
        return trees_of(self.model, self.reads, names)


def untaught(told: HalfSpaceSettings, seed: int) -> tuple[Any, Any, Any]:
    """Scaler, means and trees that know nothing."""
    return (
        preprocessing.MinMaxScaler(),
        preprocessing.StandardScaler(with_std=False),  # for what is usual
        anomaly.HalfSpaceTrees(n_trees=told.trees, height=told.height, window_size=told.window, seed=seed),
    )


def teach(model: tuple[Any, Any, Any], reads: Sequence[str], x: Floats) -> None:
    """(n, len(reads)) vectors, one after the other."""
    scaler, usual, trees = model
    for row in log2_line(x).tolist():
        case = dict(zip(reads, row, strict=True))
        scaler.learn_one(case)
        usual.learn_one(case)
        trees.learn_one(scaler.transform_one(case))


def trees_of(model: tuple[Any, Any, Any], reads: Sequence[str], names: Sequence[str]) -> HalfSpace:
    """The masses of the last whole window, scaled as values are by now; no trees before the first has ended."""
    scaler, usual, trees = model
    ready = not trees._first_window
    low, high = (np.array([of[name].get() if ready else 0.0 for name in reads]) for of in (scaler.min, scaler.max))
    return HalfSpace(
        _heaps(trees, reads if ready else ()),
        trees.window_size if ready else 0,
        reads,
        low,
        high - low,
        np.array([inverse_log2_line(usual.means.get(name, 0.0)) for name in reads]),
        names,
    )


def _heaps(trees: Any, reads: Sequence[str]) -> Halvings:
    """River's trees as heaps; none where nothing was read."""
    inner = 2**trees.height - 1 if reads else 0
    roots = trees.trees if reads else []
    feature = np.zeros((len(roots), inner), dtype=np.int64)
    threshold = np.zeros((len(roots), inner))
    mass = np.zeros((len(roots), 2 * inner + 1), dtype=np.int64)
    place = {name: at for at, name in enumerate(reads)}
    for tree, root in enumerate(roots):
        for at, node in enumerate(root.iter_bfs()):
            mass[tree, at] = node.r_mass
            if at < inner:
                feature[tree, at], threshold[tree, at] = place[node.feature], node.threshold
    return Halvings(feature, threshold, mass)
