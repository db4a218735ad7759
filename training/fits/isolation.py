"""Fitting an isolation forest with scikit-learn: the value of models/isolation.py.

It is fitted on orders that are not known as frauds, where `goods_only`: what is unusual is then unusual among good
orders. Labels say nothing else to it. Same data, same options, same seed: same files.
The price: each tree sees `sample` rows, so it takes a second for any number of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from models.exact import Floats
from models.isolation import Isolation
from models.trees import renumbered
from training.fits.progress import Progress
from training.fits.scikit_trees import Tree, arrays_of, grow
from training.fits.table import inputs_for

ensemble: Any = import_module("sklearn.ensemble")  # it has no types

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Cutting:
    """What is chosen of scikit-learn's parameters; the names are ours, what they are there stands behind."""

    trees: int = 100  # n_estimators
    sample: int = 256  # max_samples: rows of each tree; more of them hide what is unusual behind each other (Liu, 2008)
    goods_only: bool = True  # frauds that are known are left out
    threads: int = 1  # n_jobs


def fit(
    x: Floats,
    fraud: Bools,
    names: Sequence[str],
    *,
    seed: int,
    options: Cutting | None = None,
    validation: tuple[Floats, Bools] | None = None,
    progress: Progress | None = None,
) -> Isolation:
    """A forest of (n, d) vectors; `validation` is not looked at. Raises ValueError for fewer than two rows."""
    del validation
    options = options or Cutting()
    rows = x[~fraud] if options.goods_only else x
    if len(rows) < 2:
        raise ValueError(f"{len(rows)} orders: want two or more to fit an isolation forest")
    forest = ensemble.IsolationForest(
        n_estimators=1,
        max_samples=min(options.sample, len(rows)),
        n_jobs=options.threads,
        random_state=seed % 2**32,
        warm_start=True,
    )
    grow(forest, rows, None, options.trees, progress)
    trees, used = renumbered(arrays_of([one.tree_ for one in forest.estimators_], _lengths))
    sample = float(_tries(np.array([forest.max_samples_]))[0])
    return Isolation(trees, sample, inputs_for(rows, names, [names[at] for at in used.tolist()]), names)


def _lengths(tree: Tree) -> Floats:
    """(nodes,) steps from the root, plus what it takes to set the rows that came there apart."""
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):  # parents come before their children
        for child in (tree.children_left[node], tree.children_right[node]):
            if child >= 0:
                depth[child] = depth[node] + 1.0
    return depth + _tries(tree.n_node_samples)


def _tries(rows: npt.NDArray[np.int64]) -> Floats:
    """c(n) of Liu et al.: the mean length of the path to one of n rows, in a binary tree of random cuts."""
    n = np.maximum(rows, 2).astype(np.float64)
    harmonic = np.log(np.maximum(n - 1.0, 1.0)) + np.euler_gamma
    return np.where(rows <= 1, 0.0, np.where(rows == 2, 1.0, 2.0 * harmonic - 2.0 * (n - 1.0) / n))
