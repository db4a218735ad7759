"""Half-Space Trees: how unusual a vector is, beside those of late, whatever labels say.

Tan, Ting and Liu, "Fast anomaly detection for streaming data", 2011. Each tree halves the space of values at random, to
the same depth everywhere, and counts what fell where in a window of late vectors. A vector in places where little fell
is unusual. Values are squashed and scaled to 0 to 1 by what was seen, so the trees need not know the features.

    score = 1 - sum of mass * 2^depth on the way down / the largest sum there can be

Since but one way leads to a place, the sum is a value of the leaf where a walk ends, and models/trees.py walks.
`unusual` says which features it lies in: at each halving, by how many bits the side taken was rarer than the two sides
are on average (-log2 of the share of the mass), summed for the feature that was halved, mean over trees. All of it is
counts, comparisons and single IEEE operations: the same bytes on any CPU.

The price: that of a forest with as many leaves, and of `unusual` .1 ms a row, or 2 ms of one alone. It is blind to what
is unusual only in two features together, and what is rare is often no fraud: alone it ranks frauds poorly
(docs/online.md), so it serves sessions and blends.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt

from models.documents import ArtefactError, column, file_of, number, object_of, with_format
from models.exact import Floats, log2_line
from models.kernel.leaves import NONE
from models.scorer import checked_width
from models.trees import NO_NODE, Ensemble, Trees
from schemas.decisions import SCORE_DECIMALS

Ints = npt.NDArray[np.int64]

FORMAT: Final = "half space 1"  # of trees.json: raise it when the same file comes to mean another score
FILE: Final = "trees.json"
TALLEST: Final = 20

_FEW: Final = 0.1  # of a window: a place with less is not halved further (the paper's)


@dataclass(frozen=True, slots=True)
class Halvings:
    """(t, ...) trees as heaps: the children of node i are 2i + 1 and 2i + 2."""

    feature: Ints  # (t, 2^height - 1) a place in `reads`
    threshold: Floats  # (t, 2^height - 1) of scaled values; below it a vector goes left
    mass: Ints  # (t, 2^(height + 1) - 1) vectors of the last whole window that came there

    @property
    def height(self) -> int:
        return int(self.feature.shape[1] + 1).bit_length() - 1


class HalfSpace:
    """A snapshot, bound to the vector whose columns it reads. A value: nothing changes it after construction."""

    kind: ClassVar[str] = "half_space"
    additive: ClassVar[bool] = False
    __slots__ = ("_bits", "_ensemble", "columns", "low", "reads", "span", "trees", "usual", "width", "window")

    def __init__(
        self,
        trees: Halvings,
        window: int,
        reads: Sequence[str],
        low: Floats,
        span: Floats,
        usual: Floats,
        names: Sequence[str],
    ) -> None:
        """`low` and `span` (r,) scale squashed values; `window`: of how many vectors the masses are; 0: none yet."""
        self.trees, self.window, self.reads, self.width = trees, window, tuple(reads), len(names)
        self.low, self.span, self.usual = low, span, usual
        self.columns: Ints = np.array([names.index(name) for name in reads], dtype=np.int64)
        self._bits = _bits(trees, _FEW * window)
        self._ensemble = Ensemble(_summed(trees, _FEW * window), np.arange(len(reads))) if window else None

    def score(self, x: Floats) -> Floats:
        """(n, d) vectors -> (n,) how unusual, in [0, 1], rounded to 1e-6; all 0 before the first window is whole."""
        checked_width(x, self.width)
        score = np.zeros(len(x))
        if self._ensemble is not None:
            most = len(self.trees.mass) * self.window * (2 ** (self.trees.height + 1) - 1)
            score = 1.0 - self._ensemble.sums(self._scaled(x)) / most
        bounded: Floats = np.clip(score, 0.0, 1.0)
        rounded: Floats = np.round(bounded, SCORE_DECIMALS)
        return rounded

    def unusual(self, x: Floats) -> Floats:
        """(n, d) -> (n, r): bits by which each feature is rarer than usual; below 0: commoner."""
        checked_width(x, self.width)
        bits = np.zeros((len(x), len(self.reads)))
        if self.window:
            scaled, rows = self._scaled(x), np.arange(len(x))
            for tree in range(len(self.trees.mass)):
                for parent, child in self._way(scaled, tree):
                    bits[rows, self.trees.feature[tree, parent]] += self._bits[tree, child]
        mean: Floats = bits / max(len(self.trees.mass), 1)
        return mean

    def most_unusual(self, x: Floats, count: int = 3) -> list[list[tuple[str, float]]]:
        """For each of (n, d) vectors the features that make it unusual, and by how many bits, the rarest first."""
        bits = self.unusual(x)
        order = np.argsort(-bits, axis=1, kind="stable")[:, :count]
        return [
            [(self.reads[at], round(float(row[at]), 3)) for at in places.tolist() if row[at] > 0]
            for row, places in zip(bits, order, strict=True)
        ]

    def contributions(self, x: Floats) -> Floats:
        """(n, d) -> (n, r) zeros: bits are no parts of log-odds; see `unusual`."""
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
            "window": self.window,
            "reads": list(self.reads),
            **{key: getattr(self, key).tolist() for key in ("low", "span", "usual")},
            **{key: getattr(self.trees, key).tolist() for key in ("feature", "threshold", "mass")},
        }
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in document.items())
        return {FILE: f"{{\n{lines}\n}}\n".encode()}

    @classmethod
    def of(cls, files: Mapping[str, bytes], names: Sequence[str]) -> Self:
        """The model of `files`; raises ArtefactError."""
        document = object_of(file_of(files, FILE), FILE)
        with_format(document, FORMAT, FILE)
        reads = _list(document.get("reads"), "reads")
        places = {name: at for at, name in enumerate(names)}
        for name in reads:
            column(name, places, FILE)
        low, span, usual = (_row(document.get(key), key, len(reads)) for key in ("low", "span", "usual"))
        window = document.get("window")
        if type(window) is not int or window < 0 or (span < 0).any():
            raise ArtefactError(f"{FILE}: window = {window!r}, least span {span.min(initial=0.0)}: want none below 0")
        return cls(_trees(document, len(reads), window), window, reads, low, span, usual, names)

    def _scaled(self, x: Floats) -> Floats:
        """(n, d) -> (n, r), 0 to 1 for what lies where values were seen."""
        above = log2_line(x[:, self.columns]) - self.low
        return np.divide(above, self.span, out=np.zeros_like(above), where=self.span > 0)

    def _way(self, scaled: Floats, tree: int) -> list[tuple[Ints, Ints]]:
        """(n,) parents and the children taken, from the root of a tree down."""
        feature, threshold = self.trees.feature[tree], self.trees.threshold[tree]
        rows, node, way = np.arange(len(scaled)), np.zeros(len(scaled), dtype=np.int64), []
        for _ in range(self.trees.height):
            child = 2 * node + 1 + (scaled[rows, feature[node]] >= threshold[node])
            way.append((node, child))
            node = child
        return way


def _summed(trees: Halvings, few: float) -> Trees:
    """The same trees with leaves where a walk ends, of the sums that it has found: whole numbers below 2^53."""
    rows, roots = list[list[float]](), []  # feature, threshold, left, right, value
    for feature, threshold, mass in zip(
        trees.feature.tolist(), np.nextafter(trees.threshold, -np.inf).tolist(), trees.mass.tolist(), strict=True
    ):
        roots.append(len(rows))
        rows.append([NO_NODE, 0.0, NO_NODE, NO_NODE, float(mass[0])])
        todo = [(0, len(rows) - 1, 2.0)]
        for node, at, worth in todo:  # grows meanwhile
            if node >= len(feature) or mass[node] < few:
                continue
            rows[at][:4] = [feature[node], threshold[node], len(rows), len(rows) + 1]
            for child in (2 * node + 1, 2 * node + 2):
                todo.append((child, len(rows), 2.0 * worth))
                rows.append([NO_NODE, 0.0, NO_NODE, NO_NODE, rows[at][4] + worth * mass[child]])
            rows[at][4] = 0.0
    table = np.array(rows, dtype=np.float64)
    feature_, left, right = (table[:, at].astype(np.int64) for at in (0, 2, 3))
    none = np.zeros(len(rows), dtype=np.int64)
    return Trees(np.array(roots, dtype=np.int64), feature_, table[:, 1], left, right, table[:, 4], none + NONE, none)


def _bits(trees: Halvings, few: float) -> Floats:
    """(t, nodes) by how many bits a node is rarer than its parent's children are on average; 0 where masses are few."""
    mass = trees.mass.astype(np.float64)
    line = log2_line(mass)
    bits = np.zeros_like(mass)
    for parent in range(trees.feature.shape[1]):
        sides = [2 * parent + 1, 2 * parent + 2]
        rarer = line[:, [parent]] - line[:, sides]
        share = mass[:, sides] / np.maximum(mass[:, [parent]], 1.0)
        usual = share[:, 0] * rarer[:, 0] + share[:, 1] * rarer[:, 1]
        bits[:, sides] = np.where(mass[:, [parent]] >= max(few, 1.0), rarer - usual[:, None], 0.0)
    return bits


def _trees(document: Mapping[str, Any], reads: int, window: int) -> Halvings:
    """The trees of a document; raises ArtefactError for what is none."""
    features, thresholds, masses = (_list(document.get(key), key) for key in ("feature", "threshold", "mass"))
    if not len(features) == len(thresholds) == len(masses) or bool(features) != bool(window):
        raise ArtefactError(f"{FILE}: {len(features)} trees for a window of {window}: want some of both, or none")
    inner = len(_list(features[0], "feature")) if features else 0
    height = (inner + 1).bit_length() - 1
    if inner != 2**height - 1 or height > TALLEST:
        raise ArtefactError(f"{FILE}: trees of {inner} halvings: want 2^height - 1, of {TALLEST} at most")
    feature = np.array([_whole(one, "feature", inner, reads) for one in features], dtype=np.int64)
    mass = np.array([_whole(one, "mass", 2 * inner + 1, window + 1) for one in masses], dtype=np.int64)
    threshold = np.array([_row(one, "threshold", inner) for one in thresholds], dtype=np.float64)
    count = len(features)
    return Halvings(feature.reshape(count, inner), threshold.reshape(count, inner), mass.reshape(count, 2 * inner + 1))


def _list(value: Any, key: str) -> list[Any]:
    if not isinstance(value, list):
        raise ArtefactError(f"{FILE}: {key}: want a list")
    return value


def _row(value: Any, key: str, count: int) -> Floats:
    if len(_list(value, key)) != count:
        raise ArtefactError(f"{FILE}: {key} has {len(value)} values: want {count}")
    return np.array([number(one, f"{FILE}: {key}") for one in value], dtype=np.float64)


def _whole(value: Any, key: str, count: int, below: int) -> list[int]:
    if len(_list(value, key)) != count or not all(type(one) is int and 0 <= one < below for one in value):
        raise ArtefactError(f"{FILE}: {key}: want {count} whole numbers from 0 to {below - 1}")
    return list(value)
