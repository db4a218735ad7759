"""Adaptive random forest: a snapshot of Hoeffding trees that learn from labels as they are due.

Each tree sends a vector to one leaf, whose value is the share of frauds among what the leaf has learned. A score is the
mean of the leaves' values; since a learner leaves out most good orders (training/online/sampling.py), its odds are then
brought down by `rate`. Trees stand in arrays, a node a row, and all trees are walked at once: as many steps as the
deepest has. Comparisons, sums in one fixed order and one division: the same bytes on any CPU.

The price: 6 us a row in batches, 100 us alone; and it does not explain itself (`contributions` are 0).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt

from models.documents import ArtefactError, column, file_of, number, object_of, with_format
from models.exact import Floats
from models.scorer import checked_width
from schemas.decisions import SCORE_DECIMALS

Ints = npt.NDArray[np.int64]

FORMAT: Final = "adaptive forest 1"  # of forest.json: raise it when the same file comes to mean another score
FILE: Final = "forest.json"
LEAF: Final = -1  # where a branch has its feature

_CHUNK: Final = 512  # rows walked at a time


@dataclass(frozen=True, slots=True)
class Nodes:
    """(m,) each: the nodes of all trees. Children stand below their parents, so no walk goes round."""

    feature: Ints  # a place in `reads`; LEAF for leaves
    threshold: Floats  # at or below it a vector goes left
    left: Ints
    right: Ints
    value: Floats  # of a leaf: its share of frauds


class AdaptiveForest:
    """A snapshot, bound to the vector whose columns it reads. A value: nothing changes it after construction."""

    kind: ClassVar[str] = "adaptive_forest"
    additive: ClassVar[bool] = False
    __slots__ = ("_columns", "_depth", "_inner", "nodes", "rate", "reads", "roots", "usual", "width")

    def __init__(
        self, roots: Ints, nodes: Nodes, reads: Sequence[str], usual: Floats, rate: float, names: Sequence[str]
    ) -> None:
        """`roots` (t,) are the trees; `rate` is the share of good orders that they were taught."""
        self.roots, self.nodes, self.reads, self.usual, self.rate = roots, nodes, tuple(reads), usual, float(rate)
        self.width = len(names)
        self._columns: Ints = np.array([names.index(name) for name in reads], dtype=np.int64)
        leaf = nodes.feature == LEAF
        at = np.arange(len(leaf))
        self._depth = _depth(roots, nodes)
        # A leaf is walked on, too, until the deepest tree ends: it is its own child.
        self._inner = (
            np.where(leaf, 0, nodes.feature),
            np.where(leaf, at, nodes.left),
            np.where(leaf, at, nodes.right),
        )

    def score(self, x: Floats) -> Floats:
        """(n, d) vectors -> (n,) risk in [0, 1], rounded to 1e-6."""
        checked_width(x, self.width)
        risk = np.zeros(len(x))
        if len(self.roots) and len(self.reads):
            for start in range(0, len(x), _CHUNK):
                rows = slice(start, start + _CHUNK)
                risk[rows] = self._share(x[rows][:, self._columns])
        odds = risk * self.rate
        rounded: Floats = np.round(odds / (odds + (1.0 - risk)), SCORE_DECIMALS)
        return rounded

    def contributions(self, x: Floats) -> Floats:
        """(n, d) -> (n, r) zeros: a forest's score is no sum."""
        checked_width(x, self.width)
        return np.zeros((len(x), len(self.reads)))

    @property
    def base(self) -> float:
        """0: nothing is added to it."""
        return 0.0

    def files(self) -> dict[str, bytes]:
        """One document."""
        document = {
            "format": FORMAT,
            "rate": self.rate,
            "reads": list(self.reads),
            "usual": self.usual.tolist(),
            "roots": self.roots.tolist(),
            **{field.name: getattr(self.nodes, field.name).tolist() for field in fields(Nodes)},
        }
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in document.items())
        return {FILE: f"{{\n{lines}\n}}\n".encode()}

    @classmethod
    def of(cls, files: Mapping[str, bytes], names: Sequence[str]) -> Self:
        """The model of `files`; raises ArtefactError."""
        document = object_of(file_of(files, FILE), FILE)
        with_format(document, FORMAT, FILE)
        places = {name: at for at, name in enumerate(names)}
        reads = _list(document, "reads")
        for name in reads:
            column(name, places, FILE)
        usual, roots = _floats(document, "usual"), _ints(document, "roots")
        rate = number(document.get("rate"), f"{FILE}: rate")
        nodes = Nodes(
            feature=_ints(document, "feature"),
            threshold=_floats(document, "threshold"),
            left=_ints(document, "left"),
            right=_ints(document, "right"),
            value=_floats(document, "value"),
        )
        _check(roots, nodes, len(reads), rate)
        if len(usual) != len(reads):
            raise ArtefactError(f"{FILE}: usual has {len(usual)} values: want {len(reads)}, one for each of reads")
        return cls(roots, nodes, reads, usual, rate, names)

    def _share(self, taken: Floats) -> Floats:
        """(n, r) -> (n,) mean share of frauds in the leaves, tree after tree."""
        feature, left, right = self._inner
        rows = np.arange(len(taken))[:, None]
        node = np.broadcast_to(self.roots, (len(taken), len(self.roots)))
        for _ in range(self._depth):
            below = taken[rows, feature[node]] <= self.nodes.threshold[node]
            node = np.where(below, left[node], right[node])
        total = np.zeros(len(taken))
        for tree in self.nodes.value[node].T:
            total += tree
        mean: Floats = np.minimum(total / len(self.roots), 1.0)
        return mean


def _depth(roots: Ints, nodes: Nodes) -> int:
    """How many branches the longest walk passes."""
    depth, here = 0, roots
    while len(here := here[nodes.feature[here] != LEAF]):
        here = np.concatenate([nodes.left[here], nodes.right[here]])
        depth += 1
    return depth


def _check(roots: Ints, nodes: Nodes, reads: int, rate: float) -> None:
    """Raises ArtefactError for what is no forest."""
    count = len(nodes.feature)
    if any(len(getattr(nodes, field.name)) != count for field in fields(Nodes)):
        raise ArtefactError(f"{FILE}: want as many of each as there are nodes, {count}")
    if not 0 < rate <= 1:
        raise ArtefactError(f"{FILE}: rate = {rate}: want more than 0 and at most 1")
    at = np.flatnonzero(nodes.feature != LEAF)
    if ((nodes.feature < LEAF) | (nodes.feature >= reads)).any():
        raise ArtefactError(f"{FILE}: a node reads a column past the {reads} that the model reads")
    for child in (nodes.left[at], nodes.right[at]):
        if ((child <= at) | (child >= count)).any():
            raise ArtefactError(f"{FILE}: a branch leads to no node below it among {count}")
    met = np.bincount(np.concatenate([roots.clip(0, count), nodes.left[at], nodes.right[at]]), minlength=count + 1)
    if ((roots < 0) | (roots >= count)).any() or (met[:count] != 1).any():
        raise ArtefactError(f"{FILE}: {len(roots)} roots over {count} nodes: each node must be in one tree, once")
    if ((nodes.value < 0) | (nodes.value > 1)).any():
        raise ArtefactError(f"{FILE}: a value outside 0 to 1")


def _list(document: Mapping[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list):
        raise ArtefactError(f"{FILE}: {key} is missing: want a list")
    return value


def _floats(document: Mapping[str, Any], key: str) -> Floats:
    return np.array([number(one, f"{FILE}: {key}") for one in _list(document, key)], dtype=np.float64)


def _ints(document: Mapping[str, Any], key: str) -> Ints:
    values = _list(document, key)
    if not all(type(one) is int and LEAF <= one < 1 << 31 for one in values):
        raise ArtefactError(f"{FILE}: {key}: want whole numbers from {LEAF} on")
    return np.array(values, dtype=np.int64)
