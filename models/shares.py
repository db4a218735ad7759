"""Shares: what each column adds to the sum of an ensemble, exactly (TreeSHAP; models/kernel/shares.py says how).

A row's shares and `base`, the sum that is expected where nothing is known, make the row's sum. "Expected" means by the
covers of the nodes: how many rows of the training data came through each.
The price: 24 bytes a node, and some ten nanoseconds for each node and row.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from models.documents import ArtefactError
from models.exact import Floats
from models.kernel.shares import EDGE, Explained, link, shares
from models.quadrature import gauss
from models.trees import Ensemble, Ints, Trees, locked

MOST_ROWS: Final = 2.0**53  # so a fraction of them is never 0, nor a column's whole path


class Shares:
    """An ensemble made ready to be explained. A value: nothing changes it after construction."""

    __slots__ = ("_explained", "_walk", "base")

    def __init__(self, ensemble: Ensemble, cover: Floats, where: str) -> None:
        """`cover` (m,) is that of each node; raises ArtefactError where it is none."""
        trees, at = ensemble.trees, ensemble.levels
        _check_cover(trees, cover, where)
        self._walk = ensemble.walk
        inner = np.flatnonzero(~trees.leaf)
        parent = np.full(len(trees.feature), -1)
        parent[trees.left[inner]] = parent[trees.right[inner]] = at.place[inner]
        edges = np.empty(len(parent), EDGE)
        feature, above, rows = locked(trees.feature[at.order], parent[at.order], cover[at.order])
        link(feature, above, rows, edges)
        rules = _rules(at.depths)
        ends = np.append(self._walk.roots[1:], len(parent))
        self._explained = Explained(*locked(edges, parent[at.order], ends, *rules))
        leaves = np.flatnonzero(trees.leaf)
        share = cover[leaves] / cover[trees.roots[at.tree[leaves]]]
        self.base = math.fsum((share * trees.value[leaves]).tolist())

    def of(self, x: Floats) -> Floats:
        """(n, d) vectors -> (n, r) what each feature adds."""
        out = np.empty((len(x), len(self._walk.columns)))
        shares(self._walk, self._explained, np.ascontiguousarray(x, dtype=np.float64), out)
        return out


def _check_cover(trees: Trees, cover: Floats, where: str) -> None:
    inner = np.flatnonzero(~trees.leaf)
    if len(cover) != len(trees.feature) or not ((cover >= 1) & (cover <= MOST_ROWS)).all():
        raise ArtefactError(f"{where}: want a count of 1 to 2^53 for each of {len(trees.feature)} nodes")
    wrong = cover[inner] != cover[trees.left[inner]] + cover[trees.right[inner]]
    if wrong.any():
        node = int(inner[np.argmax(wrong)])
        raise ArtefactError(f"{where}: node {node}: count {cover[node]:g} is not that of its children: fit it again")


def _rules(depths: Ints) -> tuple[Floats, Floats]:
    """Points and weights of the rules for trees of these depths: in row n that of n points, for 2 n steps."""
    most = (int(depths.max()) + 1) // 2
    points, weights = np.full((2, most + 1, most), 0.5)
    for n in np.unique((depths + 1) // 2).tolist():
        if n:
            points[n, :n], weights[n, :n] = gauss(n)
    return points, weights
