"""Ensembles of trees that nobody fitted, and the slow ways of what models/kernel does fast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from models.exact import Floats
from models.kernel.leaves import NAN, NONE, TINY, ZERO
from models.trees import NO_NODE, Ensemble, Trees, checked

EDGES = (0.0, -0.0, 1.0, -1.0, 2.5, TINY, -TINY, 2e-35, 1e300, -1e300, 5e-324)  # thresholds, and what ties with them


def ensemble(trees: Trees, features: int) -> Ensemble:
    """Ready to be walked over vectors of these features alone."""
    return Ensemble(checked(trees, features, "trees"), np.arange(features))


def random_trees(seed: int, *, count: int = 5, leaves: int = 9, features: int = 4, chain: bool = False) -> Trees:
    """Trees of up to so many leaves, grown by splitting one at random (`chain`: the newest), missing in each way."""
    rng = np.random.default_rng(seed)
    missing_of = rng.integers(NONE, NAN + 1, features)
    rows: list[list[float]] = []
    roots = []
    for _ in range(count):
        roots.append(len(rows))
        rows.append(_leaf(rng))
        open_leaves = [roots[-1]]
        for _ in range(leaves - 1 if chain else int(rng.integers(leaves))):
            split = open_leaves.pop(-1 if chain else int(rng.integers(len(open_leaves))))
            feature = int(rng.integers(features))
            left, right = len(rows), len(rows) + 1
            side = int(rng.integers(2))
            rows[split] = [feature, float(rng.choice(EDGES)), left, right, 0.0, int(missing_of[feature]), side]
            rows += [_leaf(rng), _leaf(rng)]
            open_leaves += [left, right]
    table = np.array(rows)
    at, threshold, below, above, value, missing, default = table.T.copy()
    whole = [column.astype(np.int64) for column in (at, below, above, missing, default)]
    return Trees(np.array(roots), whole[0], threshold, whole[1], whole[2], value, whole[3], whole[4])


def _leaf(rng: np.random.Generator) -> list[float]:
    return [NO_NODE, 0.0, NO_NODE, NO_NODE, float(rng.normal()), NONE, 0]


def covers(trees: Trees, seed: int) -> Floats:
    """Counts that add up."""
    cover = np.random.default_rng(seed).integers(1, 50, len(trees.feature)).astype(np.float64)
    for node in range(len(cover) - 1, -1, -1):
        if not trees.leaf[node]:
            cover[node] = cover[trees.left[node]] + cover[trees.right[node]]
    return cover


def odd_rows(seed: int, n: int, features: int, *, nan: bool = False) -> Floats:
    """(n, features) of what lies on thresholds, beside them, and anything else."""
    rng = np.random.default_rng(seed)
    pool = [*EDGES, *(math.nextafter(edge, math.inf) for edge in EDGES[:-1]), *rng.normal(0, 2, 6)]
    x: Floats = rng.choice([*pool, math.nan] if nan else pool, (n, features))
    return x


def goes_left(trees: Trees, node: int, value: float) -> bool:
    """As LightGBM's Tree::NumericalDecision has it."""
    missing = trees.missing[node]
    if math.isnan(value) and missing != NAN:
        value = 0.0
    if (missing == ZERO and abs(value) <= TINY) or (missing == NAN and math.isnan(value)):
        return bool(trees.default_left[node])
    return bool(value <= trees.threshold[node])


def leaf_of(trees: Trees, node: int, row: Sequence[float]) -> int:
    while not trees.leaf[node]:
        side = goes_left(trees, node, row[trees.feature[node]])
        node = int(trees.left[node] if side else trees.right[node])
    return node


def sum_of(trees: Trees, row: Sequence[float]) -> float:
    """Leaf by leaf, in the order of the trees."""
    total = 0.0
    for root in trees.roots.tolist():
        total += float(trees.value[leaf_of(trees, root, row)])
    return total


def worth(trees: Trees, cover: Floats, node: int, row: Sequence[float], known: frozenset[int]) -> float:
    """What a tree gives where only some features are known: the others count by covers."""
    if trees.leaf[node]:
        return float(trees.value[node])
    left, right, feature = int(trees.left[node]), int(trees.right[node]), int(trees.feature[node])
    if feature in known:
        return worth(trees, cover, left if goes_left(trees, node, row[feature]) else right, row, known)
    parts = (cover[child] / cover[node] * worth(trees, cover, child, row, known) for child in (left, right))
    return float(sum(parts))


def shapley(trees: Trees, cover: Floats, row: Sequence[float], features: int) -> list[float]:
    """Of each feature, from all sets of the others: the definition."""

    def of(known: Sequence[int]) -> float:
        return sum(worth(trees, cover, root, row, frozenset(known)) for root in trees.roots.tolist())

    shares = []
    for one in range(features):
        others = [other for other in range(features) if other != one]
        total = 0.0
        for size in range(features):
            weight = math.factorial(size) * math.factorial(features - size - 1) / math.factorial(features)
            total += weight * sum(of([*some, one]) - of(some) for some in combinations(others, size))
        shares.append(total)
    return shares
