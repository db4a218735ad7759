"""Fitting a random forest with scikit-learn: the value of models/forest.py.

Same data, same options, same seed: same files, however many threads there are: each tree has a seed of its own.
The price: all trees are grown over all columns at each node's draw of them, so it takes as long as boosting ten times
the trees of LightGBM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from models.exact import Floats
from models.forest import Forest
from models.trees import renumbered
from training.fits.progress import Progress
from training.fits.scikit_trees import Tree, arrays_of, grow
from training.fits.table import inputs_for, with_both

ensemble: Any = import_module("sklearn.ensemble")  # it has no types

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Growing:
    """What is chosen of scikit-learn's parameters; the names are ours, what they are there stands behind."""

    trees: int = 100  # n_estimators
    depth: int = 15  # max_depth
    least_rows: int = 5  # min_samples_leaf
    columns: float | None = None  # max_features: drawn at each node; None: the square root of how many there are
    rows: float = 1.0  # max_samples: of each tree, drawn with replacement
    fraud_weight: float = 1.0  # class_weight; other than 1 the score is no probability before it is calibrated
    threads: int = 1  # n_jobs


def fit(
    x: Floats,
    fraud: Bools,
    names: Sequence[str],
    *,
    seed: int,
    options: Growing | None = None,
    validation: tuple[Floats, Bools] | None = None,
    progress: Progress | None = None,
) -> Forest:
    """A forest of (n, d) vectors and (n,) labels. `validation` is not looked at: more trees never harm a forest.

    Raises ValueError where one class is absent.
    """
    del validation
    options = options or Growing()
    with_both(fraud)
    forest = ensemble.RandomForestClassifier(
        n_estimators=1,
        max_depth=options.depth,
        min_samples_leaf=options.least_rows,
        max_features=options.columns or "sqrt",
        max_samples=options.rows if options.rows < 1 else None,
        class_weight=None if options.fraud_weight == 1 else {False: 1.0, True: options.fraud_weight},
        n_jobs=options.threads,
        random_state=seed % 2**32,
        warm_start=True,
    )
    grow(forest, x, fraud, options.trees, progress)
    trees, used = renumbered(arrays_of([one.tree_ for one in forest.estimators_], _shares))
    return Forest(trees, inputs_for(x, names, [names[at] for at in used.tolist()]), names)


def _shares(tree: Tree) -> Floats:
    """(nodes,) the share of frauds among the training rows of each."""
    counts: Floats = tree.value[:, 0, :]
    shares: Floats = counts[:, 1] / counts.sum(axis=1)
    return shares
