"""Trees: an ensemble of binary trees as arrays, whatever library grew it.

A node asks whether a feature is at most a threshold; rows that say yes go left. Leaves have a value, and a row's sum is
that of the leaves it comes to, in the order of the trees. What counts as missing is told at each node: nothing (a NaN
is then 0), zero and NaN, or NaN; what is missing goes to the default side.

Arrays may come from a file that anyone wrote, and the loops that walk them (models/kernel) trust every index, so
`checked` lets nothing through that is not a forest: each child behind its parent, each node but a root of one parent,
no path longer than DEEPEST. Nothing else can be wrong with it: a step is a comparison, and the sums are bounded.

The price: float64 and 24 bytes a node beside what is kept here; a forest of millions of nodes leaves the caches, and
then each step waits for memory (docs/models.md has prices).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.documents import ArtefactError
from models.exact import Floats
from models.kernel.leaves import NAN, NODE, NONE, ZERO, Walk, sums

Ints = npt.NDArray[np.int64]

DEEPEST: Final = 256  # steps to a leaf: far beyond what helps, and so little that no file can hold a worker up
LARGEST: Final = 1e100  # of what leaves may add up to: a sum is never infinite
NO_NODE: Final = -1


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """m nodes of t trees over r features; see `checked` for what holds of them."""

    roots: Ints  # (t,) nodes
    feature: Ints  # (m,) place among the features; NO_NODE for leaves
    threshold: Floats  # (m,) 0 for leaves
    left: Ints  # (m,) nodes; NO_NODE for leaves
    right: Ints  # (m,)
    value: Floats  # (m,) of leaves, else 0
    missing: Ints  # (m,) NONE, ZERO or NAN
    default_left: Ints  # (m,) 1 or 0

    @property
    def leaf(self) -> npt.NDArray[np.bool_]:
        return np.equal(self.left, NO_NODE)


class Ensemble:
    """Trees made ready to be walked over the vectors of one width. A value: nothing changes it after construction."""

    __slots__ = ("_zeros", "levels", "trees", "walk")

    def __init__(self, trees: Trees, columns: Ints) -> None:
        """`trees` are checked; `columns` (r,) says where each feature stands in the vector."""
        self.trees, self.levels = trees, levels(trees)
        self.walk = _walk(trees, self.levels, columns)
        self._zeros = bool((trees.missing[~trees.leaf] == ZERO).any())

    def sums(self, x: Floats) -> Floats:
        """(n, d) vectors -> (n,) sums of leaves."""
        totals = np.empty(len(x))
        sums(self.walk, self._zeros, np.ascontiguousarray(x, dtype=np.float64), totals)
        return totals


def checked(trees: Trees, features: int, where: str) -> Trees:
    """The trees, if they are some over so many features; raises ArtefactError that begins with `where`."""
    _check_shapes(trees, where)
    _check_nodes(trees, features, where)
    _check_links(trees, where)
    largest = np.zeros(len(trees.roots))
    np.maximum.at(largest, levels(trees, where).tree, np.abs(trees.value))
    if (total := math.fsum(largest / LARGEST)) > 1:
        raise ArtefactError(f"{where}: leaves add up to {total * LARGEST:g}: want at most {LARGEST:g}")
    return trees


def renumbered(trees: Trees) -> tuple[Trees, Ints]:
    """The trees over those features alone that some node asks for, and which these are, in their order."""
    used = np.unique(trees.feature[~trees.leaf])
    return replace(trees, feature=np.where(trees.leaf, NO_NODE, np.searchsorted(used, trees.feature))), used


def _check_shapes(trees: Trees, where: str) -> None:
    m = len(trees.feature)
    for name in ("threshold", "left", "right", "value", "missing", "default_left"):
        if len(getattr(trees, name)) != m:
            raise ArtefactError(f"{where}: {len(getattr(trees, name))} of {name} for {m} nodes: want one each")
    if not len(trees.roots):
        raise ArtefactError(f"{where}: no trees: fit the model again")


def _check_nodes(trees: Trees, features: int, where: str) -> None:
    """What each node says by itself."""

    def refuse(wrong: npt.NDArray[np.bool_], name: str, want: str) -> None:
        if wrong.any():
            node = int(np.argmax(wrong))
            raise ArtefactError(f"{where}: node {node}: {name} {getattr(trees, name)[node]}: want {want}")

    inner, leaf = ~trees.leaf, trees.leaf
    refuse(leaf & (trees.right != NO_NODE), "right", "none where there is no left child")
    refuse(leaf & (trees.feature != NO_NODE), "feature", "none for a leaf")
    refuse(inner & ((trees.feature < 0) | (trees.feature >= features)), "feature", f"0 to {features - 1}")
    refuse(np.isnan(trees.threshold), "threshold", "a number")  # LightGBM tells NaN from the rest by infinity
    refuse(~np.isfinite(trees.value), "value", "a finite number")
    refuse((trees.missing < NONE) | (trees.missing > NAN), "missing", f"{NONE} to {NAN}")
    refuse((trees.default_left < 0) | (trees.default_left > 1), "default_left", "0 or 1")


def _check_links(trees: Trees, where: str) -> None:
    """Each child is behind its parent, so there is no way round; and each node is the child of one, or a root."""
    m, inner = len(trees.feature), np.flatnonzero(~trees.leaf)
    for name, child in (("left", trees.left[inner]), ("right", trees.right[inner])):
        wrong = (child <= inner) | (child >= m)
        if wrong.any():
            at = int(np.argmax(wrong))
            raise ArtefactError(f"{where}: node {inner[at]}: {name} {child[at]}: want a node behind it, below {m}")
    named = np.concatenate([trees.roots, trees.left[inner], trees.right[inner]])
    if len(named) != m or not np.array_equal(np.sort(named), np.arange(m)):
        raise ArtefactError(f"{where}: want each of {m} nodes once as a root or as a child: fit the model again")


@dataclass(frozen=True, slots=True)
class Levels:
    """Nodes from the roots down, children side by side."""

    order: Ints  # (m,) nodes by tree, then by depth
    place: Ints  # (m,) of each node in that order
    tree: Ints  # (m,) of each node
    depths: Ints  # (t,) of the deepest leaf


def levels(trees: Trees, where: str = "trees") -> Levels:
    """Raises ArtefactError where a tree is too deep."""
    nodes, of = trees.roots, np.arange(len(trees.roots), dtype=np.int64)
    tree, depth = np.zeros(len(trees.feature), np.int64), np.zeros(len(trees.feature), np.int64)
    tree[nodes], found = of, [nodes]
    while len(split := np.flatnonzero(~trees.leaf[nodes])):
        if len(found) > DEEPEST:
            raise ArtefactError(f"{where}: a tree is deeper than {DEEPEST}: fit it with fewer leaves")
        nodes, of = np.stack([trees.left[nodes[split]], trees.right[nodes[split]]], axis=1).ravel(), of[split].repeat(2)
        tree[nodes], depth[nodes] = of, len(found)
        found.append(nodes)
    depths = np.zeros(len(trees.roots), np.int64)
    np.maximum.at(depths, tree, depth)
    order = np.concatenate(found)
    order = order[np.argsort(tree[order], kind="stable")]
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return Levels(order, place, tree, depths)


def _walk(trees: Trees, at: Levels, columns: Ints) -> Walk:
    """The trees as the kernel walks them: right children follow left ones, and a leaf is its own child."""
    leaf = trees.leaf[at.order]
    nodes = np.empty(len(leaf), NODE)
    nodes["threshold"] = np.where(leaf, np.inf, trees.threshold[at.order])
    nodes["feature"] = np.where(leaf, 0, trees.feature[at.order])
    nodes["next"] = np.where(leaf, np.arange(len(leaf)), at.place[trees.left[at.order]])
    sides = np.where(leaf, 2 * NAN + 1, 2 * trees.missing[at.order] + trees.default_left[at.order])
    return Walk(*locked(nodes, sides, trees.value[at.order], at.place[trees.roots], at.depths, columns))


def locked(*arrays: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """The arrays as nobody may write to them: the kernel takes no other."""
    for array in arrays:
        view = np.ascontiguousarray(array).view()
        view.flags.writeable = False
        yield view
