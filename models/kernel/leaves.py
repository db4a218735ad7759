"""Leaves: which leaf of each tree a row comes to, and what these add up to.

Nodes lie so that a step is one load and one comparison without a branch: the right child follows the left one, and a
leaf is its own child. Eight walks go on at once, for a step waits for memory: eight rows of one tree, or eight trees of
one row. Whichever way, a row's sum is made of its leaves in the order of the trees, so its bytes depend on neither the
rows beside it nor the processor: nothing else is ever added.

Rows with a NaN, and all rows where zero counts as missing, take the slow walk, which asks each node what it does then.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numba
import numpy as np

from models.kernel.compiled import FLOATS, FLOATS2D, INTS, Floats, Floats2d, Ints, compiled, named, read, written

NODE: Final = np.dtype([("threshold", "<f8"), ("feature", "<u4"), ("next", "<u4")], align=True)
ROWS: Final = 64  # that are walked together: what they read of the vector stays in the first level of cache

NONE, ZERO, NAN = range(3)  # what counts as missing at a node
TINY: Final = 1.0000000180025095e-35  # LightGBM's zero: 1e-35 as a float32

Nodes = Any  # (m,) of NODE: numpy has no type for records with fields
Nth = np.uint64  # a place in an array: numba spares itself a look whether it counts from the end


class Walk(NamedTuple):
    """Trees as the kernel walks them."""

    nodes: Nodes
    sides: Ints  # (m,) what is missing at a node, doubled, + 1 where that goes left: for slow walks
    value: Floats  # (m,) of leaves
    roots: Ints  # (t,)
    depths: Ints  # (t,) steps to the deepest leaf
    columns: Ints  # (r,) of the vector, by feature


WALK: Final = (read(NODE), INTS, FLOATS, INTS, INTS, INTS)


@compiled
def step(nodes: Nodes, at: Nth, block: Floats, row: Nth) -> Nth:
    """The node after `at`, for the row whose values begin at `row` of the block."""
    node = nodes[at]
    after: Nth = Nth(node.next) + Nth(block[row + Nth(node.feature)] > node.threshold)
    return after


@compiled
def slow_step(nodes: Nodes, sides: Ints, at: Nth, block: Floats, row: Nth) -> Nth:
    """As `step`, for any value."""
    node = nodes[at]
    value = block[row + Nth(node.feature)]
    missing, left = sides[at] >> 1, sides[at] & 1 == 1
    if np.isnan(value):
        if missing == NONE:
            left = node.threshold >= 0.0
    elif missing != ZERO or abs(value) > TINY:
        left = value <= node.threshold
    after: Nth = Nth(node.next) + Nth(not left)
    return after


@compiled
def gather(x: Floats2d, first: int, rows: int, columns: Ints, block: Floats) -> bool:
    """Copies what some rows have in the columns that are read; whether a NaN is among it."""
    place, odd = 0, False
    for row in range(first, first + rows):
        for column in columns:
            block[place] = x[row, column]
            odd |= block[place] != block[place]
            place += 1
    return odd


@compiled
def _slowly(walk: Walk, block: Floats, row: int) -> float:
    """The sum of one row, whatever it holds."""
    total = 0.0
    for tree in range(len(walk.roots)):
        at = Nth(walk.roots[tree])
        for _ in range(walk.depths[tree]):
            at = slow_step(walk.nodes, walk.sides, at, block, Nth(row))
        total += walk.value[at]
    return total


@compiled
def _by_trees(walk: Walk, block: Floats, first: int) -> float:
    """The sum of one row: eight trees at a time."""
    nodes, roots, depths, value = walk.nodes, walk.roots, walk.depths, walk.value
    row, total, tree = Nth(first), 0.0, 0
    while tree + 8 <= len(roots):
        a, b, c, d = Nth(roots[tree]), Nth(roots[tree + 1]), Nth(roots[tree + 2]), Nth(roots[tree + 3])
        e, f, g, h = Nth(roots[tree + 4]), Nth(roots[tree + 5]), Nth(roots[tree + 6]), Nth(roots[tree + 7])
        depth = 0
        for k in range(8):
            depth = max(depth, depths[tree + k])
        for _ in range(depth):
            a, b = step(nodes, a, block, row), step(nodes, b, block, row)
            c, d = step(nodes, c, block, row), step(nodes, d, block, row)
            e, f = step(nodes, e, block, row), step(nodes, f, block, row)
            g, h = step(nodes, g, block, row), step(nodes, h, block, row)
        for leaf in (a, b, c, d, e, f, g, h):
            total += value[leaf]
        tree += 8
    while tree < len(roots):
        a = Nth(roots[tree])
        for _ in range(depths[tree]):
            a = step(nodes, a, block, row)
        total += value[a]
        tree += 1
    return total


@compiled
def _by_rows(walk: Walk, block: Floats, rows: int, totals: Floats) -> None:
    """The sums of some rows, a multiple of eight: eight rows of a tree at a time."""
    nodes, value, width = walk.nodes, walk.value, Nth(len(walk.columns))
    for tree in range(len(walk.roots)):
        root, depth = Nth(walk.roots[tree]), walk.depths[tree]
        for row in range(0, rows, 8):
            a = b = c = d = e = f = g = h = root
            i = Nth(row) * width
            j, k, m = i + width, i + width * Nth(2), i + width * Nth(3)
            n, o, p, q = i + width * Nth(4), i + width * Nth(5), i + width * Nth(6), i + width * Nth(7)
            for _ in range(depth):
                a, b = step(nodes, a, block, i), step(nodes, b, block, j)
                c, d = step(nodes, c, block, k), step(nodes, d, block, m)
                e, f = step(nodes, e, block, n), step(nodes, f, block, o)
                g, h = step(nodes, g, block, p), step(nodes, h, block, q)
            totals[row] += value[a]
            totals[row + 1] += value[b]
            totals[row + 2] += value[c]
            totals[row + 3] += value[d]
            totals[row + 4] += value[e]
            totals[row + 5] += value[f]
            totals[row + 6] += value[g]
            totals[row + 7] += value[h]


def _sums(walk: Walk, zeros: bool, x: Floats2d, totals: Floats) -> None:
    width = len(walk.columns)
    block = np.empty(min(ROWS, len(x)) * width)
    for first in range(0, len(x), ROWS):
        rows = min(ROWS, len(x) - first)
        if gather(x, first, rows, walk.columns, block) or zeros:
            for row in range(rows):
                totals[first + row] = _slowly(walk, block, row * width)
            continue
        together = rows - rows % 8
        totals[first : first + together] = 0.0
        _by_rows(walk, block, together, totals[first : first + together])
        for row in range(together, rows):
            totals[first + row] = _by_trees(walk, block, row * width)


sums = compiled(
    _sums, numba.void(named(WALK, Walk), numba.boolean, FLOATS2D, written())
)  # of each row's leaves; `zeros`: whether zero is missing anywhere
