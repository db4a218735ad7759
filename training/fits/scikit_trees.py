"""Trees of scikit-learn as arrays of ours.

scikit-learn compares float32(x) with a threshold. The largest float64 that is still rounded to a float32 at or below
the threshold is a threshold for x itself, so nothing needs to be rounded when an order is scored: `for_float64`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from models.exact import Floats
from models.kernel.leaves import NAN
from models.trees import NO_NODE, Ints, Trees
from training.fits.progress import Progress, Step

Tree = Any  # sklearn.tree._tree.Tree

AT_ONCE: Final = 10  # trees that are grown between two calls of `progress`


def grow(forest: Any, x: Floats, fraud: Any, trees: int, progress: Progress | None) -> None:
    """Fits a forest of scikit-learn (warm_start=True), some trees at a time; they are those that it grows at once."""
    for done in range(0, trees, AT_ONCE):
        forest.set_params(n_estimators=min(done + AT_ONCE, trees)).fit(x, fraud)
        if progress is not None and not progress(Step(forest.n_estimators, trees)):
            return


def for_float64(threshold: Floats) -> Floats:
    """float32(x) <= threshold is x <= for_float64(threshold), for every finite x; thresholds within float32."""
    below = threshold.astype(np.float32)
    below = np.where(below > threshold, np.nextafter(below, np.float32(-np.inf)), below)
    above = np.nextafter(below, np.float32(np.inf))
    middle = below.astype(np.float64) / 2.0 + above.astype(np.float64) / 2.0
    return np.where(middle.astype(np.float32) > below, np.nextafter(middle, -np.inf), middle)  # to even, where it ties


def arrays_of(trees: Sequence[Tree], value: Callable[[Tree], Floats]) -> Trees:
    """All trees in one; `value` gives what each node of a tree is worth as a leaf."""
    starts = np.cumsum([0] + [tree.node_count for tree in trees])
    leaf = np.concatenate([tree.children_left < 0 for tree in trees])

    def all_of(name: str) -> Any:
        return np.concatenate([getattr(tree, name) for tree in trees])

    def links(name: str) -> Ints:
        parts = [getattr(tree, name) + start for tree, start in zip(trees, starts, strict=False)]
        return np.where(leaf, NO_NODE, np.concatenate(parts))

    return Trees(
        roots=starts[:-1],
        feature=np.where(leaf, NO_NODE, all_of("feature")),
        threshold=for_float64(np.where(leaf, 0.0, all_of("threshold"))),
        left=links("children_left"),
        right=links("children_right"),
        value=np.where(leaf, np.concatenate([value(tree) for tree in trees]), 0.0),
        missing=np.where(leaf, 0, NAN),
        default_left=np.where(leaf, 0, all_of("missing_go_to_left")),
    )
