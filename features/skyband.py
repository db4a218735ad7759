"""The skyband: which counterparties may still be among the smallest hashes of some window, now or later.

A window is everything since its start, and starts only move forward. So one that has `keep` others with a smaller hash,
each seen at the same time or later, can never again be among the `keep` smallest of a window: whatever window holds it
holds them. It may be forgotten, and what remains answers every question as before (the name: Papadias et al., 2005).
Of n equally frequent ones about keep * (1 + ln(n / keep)) remain: for 33, 145 of 1,000, 370 of a million.

The price: a heap of Python integers for those bags that know more than `keep` of them, about .3 us a counterparty.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heapreplace

import numpy as np
import numpy.typing as npt

from features.columns import HASH_BITS, HASH_MASK
from features.segments import heads, last_by_key

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Others:
    """Ordered by bin (owner and slot) and hash; each hash once. `tick` is the time last seen in finest tiles."""

    bins: Ints
    hash: Ints
    tick: Ints


NOBODY = Others(*np.empty((3, 0), np.int64))


def latest(keep: int, key: Ints, tick: Ints) -> Others:
    """(bin << 30 | hash) with ticks, repeated and in any order -> the skyband of each bin."""
    if not len(key):
        return NOBODY
    key, tick = last_by_key(key, tick)
    kept = undominated(keep, key >> HASH_BITS, tick)
    return Others(key[kept] >> HASH_BITS, key[kept] & HASH_MASK, tick[kept])


def undominated(keep: int, bins: Ints, seen: Ints) -> npt.NDArray[np.bool_]:
    """(n,) bins side by side, each ordered by hash, times last seen -> (n,) whether fewer than `keep` dominate."""
    kept = np.ones(len(bins), np.bool_)
    start = np.flatnonzero(heads(bins))
    stop = np.append(start[1:], len(bins))
    long = np.flatnonzero(stop - start > keep)
    for first, last in zip(start[long].tolist(), stop[long].tolist(), strict=True):
        kept[first + keep : last] = _later_than_most(keep, seen[first:last].tolist())
    return kept


def _later_than_most(keep: int, seen: list[int]) -> list[bool]:
    """Of those after the first `keep`: whether fewer than `keep` of those before were seen then or later."""
    latest = seen[:keep]
    heapify(latest)
    kept = []
    for at in seen[keep:]:
        later = at > latest[0]
        kept.append(later)
        if later:
            heapreplace(latest, at)
    return kept
