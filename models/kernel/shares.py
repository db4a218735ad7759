"""Shares: what each column adds to a sum of trees, exactly: path-dependent TreeSHAP (Lundberg, Erion and Lee, 2018).

A column's share is its Shapley value in the game whose players are the columns and whose worth for a set of them is
what the trees give when only those are known: where another one is asked, both children count, by their covers.

That game is a sum over leaves. A path to a leaf is a product over the columns that it asks for; z is the fraction of
the cover that a column keeps on it. Where a column is known with probability u (Owen, 1972, "Multilinear extensions of
games"), a leaf is worth
    value * product of f      f = z (1 - u) + u where the row's column leads there, z (1 - u) where it leads away
and the Shapley value is the integral over u in [0, 1] of what the column changes: value * product / f * (1 - z), or
* (0 - z). Without its own f the product is a polynomial of a degree below the depth, so Gauss's rule has the integral
exactly from half as many points. At each point a tree is gone through twice: down for the products, up for the sums
over the leaves below each node; where a path asks for a column again, its new f takes the place of the old one.

This is what Lundberg's recursion computes, in time that grows with the depth and not with its square (as in Linear
TreeSHAP, Yu et al., 2022), without recursion, and with products of positive numbers alone: unwinding sums of products,
as the recursion does, loses a digit for every three columns of a path.

The price: a division for each node and point.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numba
import numpy as np

from models.kernel.compiled import FLOATS, FLOATS2D, INTS, Floats, Floats2d, Ints, compiled, named, read, types, written
from models.kernel.leaves import WALK, Nth, Walk, gather, slow_step

# The step to a node: the column that it asks for, the fraction of the cover that this column keeps from the root to
# here, and the last node before on the path that a step asking for the same column led to (-1: none).
EDGE: Final = np.dtype([("fraction", "<f8"), ("feature", "<i4"), ("before", "<i4")], align=True)

Edges = Any  # (m,) of EDGE


class Explained(NamedTuple):
    """What is needed besides the trees' walk."""

    edges: Edges
    parent: Ints  # (m,); -1: a root
    ends: Ints  # (t,) where the nodes of a tree end
    points: Floats2d  # of Gauss's rules on [0, 1]: that of n points in row n, for trees of 2 n steps
    weights: Floats2d


EXPLAINED: Final = (read(EDGE), INTS, INTS, FLOATS2D, FLOATS2D)


class Room(NamedTuple):
    """Where a tree is worked out point by point, by the places of its nodes in it."""

    there: Ints  # 1: the row's column leads here, at every step that asks for it
    product: Floats2d  # of all f of the path, later the sum over the leaves below, with values and weights
    inverse: Floats2d  # 1 / f of the column of the last step
    out: Floats2d  # (r, points) what each column adds


def _link(feature: Ints, parent: Ints, cover: Floats, edges: Edges) -> None:
    """Fills `edges`; parents come before their children, `feature` is what a node itself asks for."""
    for node in range(len(parent)):
        edge, above = edges[node], parent[node]
        edge.fraction, edge.feature, edge.before = 1.0, -1, -1
        if above < 0:
            continue
        edge.feature = feature[above]
        edge.fraction = cover[node] / cover[above]
        while above >= 0 and edges[above].feature != edge.feature:
            above = parent[above]
        if above >= 0:
            edge.before = above
            edge.fraction *= edges[above].fraction


link = compiled(_link, numba.void(INTS, INTS, FLOATS, types.Array(numba.from_dtype(EDGE), 1, "C")))


@compiled
def _enter(room: Room, edge: Any, node: int, above: int, before: int, there: int, at: Floats) -> None:
    """The products at a node, from those of its parent. `before` < 0: its column is new on the path."""
    z, known, points = edge.fraction, float(there), len(at)
    room.there[node] = there
    for q in range(points):
        factor = z * (1.0 - at[q]) + known * at[q]
        room.inverse[node, q] = 1.0 / factor
        room.product[node, q] = room.product[above, q] * factor
    if before >= 0:
        for q in range(points):
            room.product[node, q] *= room.inverse[before, q]


@compiled
def _down(walk: Walk, of: Explained, root: int, end: int, row: Floats, at: Floats, weights: Floats, room: Room) -> None:
    """From the root to the leaves, where products become sums."""
    points = len(at)
    for q in range(points):
        room.product[0, q] = 1.0
    for node in range(root, end):
        here, child = node - root, np.int64(walk.nodes[node].next)
        if child == node:
            for q in range(points):
                room.product[here, q] *= walk.value[node] * weights[q]
            continue
        taken = np.int64(slow_step(walk.nodes, walk.sides, Nth(node), row, Nth(0)))
        for to in range(child, child + 2):
            edge = of.edges[to]
            before = edge.before - root if edge.before >= 0 else -1
            there = room.there[before] if before >= 0 else 1
            there = there if taken == to else 0
            _enter(room, edge, to - root, here, before, there, at)
        for q in range(points):
            room.product[here, q] = 0.0


@compiled
def _up(of: Explained, root: int, end: int, points: int, room: Room) -> None:
    """From the leaves to the root: what the leaves below a node give to the column of the step to it. Where that
    column was asked for before on the path, that step counts for these leaves no longer.
    """
    for node in range(end - 1, root, -1):
        edge, here, above = of.edges[node], node - root, of.parent[node] - root
        gain = float(room.there[here]) - edge.fraction
        for q in range(points):
            total = room.product[here, q]
            room.product[above, q] += total
            room.out[edge.feature, q] += total * gain * room.inverse[here, q]
        if edge.before >= 0:
            before = edge.before - root
            gain = float(room.there[before]) - of.edges[edge.before].fraction
            for q in range(points):
                room.out[edge.feature, q] -= room.product[here, q] * gain * room.inverse[before, q]


@compiled
def _explain(walk: Walk, of: Explained, row: Floats, room: Room) -> None:
    """Adds what each tree gives to each column of a row, point by point."""
    for tree in range(len(walk.roots)):
        root, end = walk.roots[tree], of.ends[tree]
        rule = (walk.depths[tree] + 1) // 2
        _down(walk, of, root, end, row, of.points[rule, :rule], of.weights[rule, :rule], room)
        _up(of, root, end, rule, room)


def _shares(walk: Walk, of: Explained, x: Floats2d, out: Floats2d) -> None:
    columns, most, largest = len(walk.columns), of.points.shape[1], 1
    for tree in range(len(walk.roots)):
        largest = max(largest, of.ends[tree] - walk.roots[tree])
    row, size = np.empty(columns), (largest, most)
    room = Room(np.empty(largest, np.int64), np.empty(size), np.empty(size), np.empty((columns, most)))
    for nth in range(len(x)):
        gather(x, nth, 1, walk.columns, row)
        room.out[:] = 0.0
        _explain(walk, of, row, room)
        for column in range(columns):
            total = 0.0
            for q in range(most):
                total += room.out[column, q]
            out[nth, column] = total


shares = compiled(
    _shares,
    numba.void(named(WALK, Walk), named(EXPLAINED, Explained), FLOATS2D, written(2)),
)  # (n, d) vectors -> (n, r) what each column adds to the sum
