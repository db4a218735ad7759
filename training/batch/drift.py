"""Drift: how far a feature has moved from what a model was fitted on, as a population stability index.

PSI = sum over bins of (new share - old share) * ln(new share / old share), on tenths of the old values. The usual
reading: below .1 nothing, to .25 some, above it much. Counts of a young shop move by nature: with history they grow.
The price: ten bins do not see a tail that grew inside the last tenth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from features.columns import Floats, Floats2d

BINS: Final = 10
MUCH: Final = 0.25
_LEAST: Final = 1e-3  # a share: an empty bin would be infinitely surprising
_ROWS: Final = 50_000  # of a table, evenly: enough for tenths


def psi(old: Floats, new: Floats) -> float:
    """Of one feature's values; 0 where all of them are equal."""
    edges = edges_of(old)
    return shift(shares(old, edges), shares(new, edges))


def drifts(old: Floats2d, new: Floats2d, names: Sequence[str]) -> dict[str, float]:
    """By name, largest first. `old` and `new` are (n, d) with some rows each."""
    first, last = _some(old), _some(new)
    found = {name: psi(first[:, at], last[:, at]) for at, name in enumerate(names)}
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def reference(x: Floats2d, names: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """What later values are held against: edges of the bins and the share in each, by name."""
    some = _some(x)
    told = {}
    for at, name in enumerate(names):
        edges = edges_of(some[:, at])
        told[name] = {"edges": edges.tolist(), "shares": shares(some[:, at], edges).round(4).tolist()}
    return told


def since(kept: Mapping[str, Any], x: Floats2d, names: Sequence[str]) -> dict[str, float]:
    """The PSI of the features of a `reference` that `names` still has, largest first."""
    some, found = _some(x), dict[str, float]()
    for at, name in enumerate(names):
        if (one := kept.get(name)) is not None:
            edges = np.array(one["edges"], dtype=np.float64)
            found[name] = shift(np.array(one["shares"], dtype=np.float64), shares(some[:, at], edges))
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def edges_of(values: Floats) -> Floats:
    """Inner edges of the tenths; fewer where many values are equal."""
    edges: Floats = np.unique(np.quantile(values, np.arange(1, BINS) / BINS))
    return edges


def shares(values: Floats, edges: Floats) -> Floats:
    """The share of the values in each bin; a value on an edge is in the bin below."""
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    return counts / max(len(values), 1)


def shift(old: Floats, new: Floats) -> float:
    """The index of two lists of shares."""
    before, after = np.maximum(old, _LEAST), np.maximum(new, _LEAST)
    return float(((after - before) * np.log(after / before)).sum())


def _some(x: Floats2d) -> Floats2d:
    return x[:: 1 + len(x) // _ROWS]
