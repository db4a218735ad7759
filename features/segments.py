"""Segments: flat arrays in which each owner has a run of its own, and the few operations that need no loop over owners.

Keys put an owner above a 44-bit value (a time in ms until the year 2527, or a hash), so that one sort orders by owner
first and one search finds a place inside an owner's run. The price: at most 2^19 owners at a time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

VALUE_BITS = 44
VALUE_MASK = (1 << VALUE_BITS) - 1


def keyed(owner: Ints, value: Ints) -> Ints:
    """(n,) owners and values of 0 to 2^44 - 1 -> (n,) keys that sort by owner, then by value."""
    return owner << VALUE_BITS | value


def ranges(starts: Ints, counts: Ints, step: int = 1) -> Ints:
    """The numbers start, start + step, ... of each segment, `counts` of them, one segment after the other."""
    total = int(counts.sum())
    if total == 0:
        return np.empty(0, np.int64)
    before = counts.cumsum() - counts
    return (starts - step * before).repeat(counts) + np.arange(0, step * total, step, dtype=np.int64)


def last_by_key(key: Ints, value: Ints) -> tuple[Ints, Ints]:
    """(n,) keys with values of 0 or more, in any order -> each key once, ascending, with the largest of its values.

    Sorting key and value as one number is twice as fast as sorting an index, where both fit into 63 bits.
    """
    if not len(key):
        return key, value
    bits = int(value.max()).bit_length()
    if int(key.max()).bit_length() + bits <= 63:
        both = key << bits | value
        both.sort()
        ordered = both >> bits
        last = np.ones(len(ordered), np.bool_)
        np.not_equal(ordered[1:], ordered[:-1], out=last[:-1])
        return ordered[last], both[last] & (1 << bits) - 1
    order = np.argsort(key)
    ordered = key[order]
    first = np.flatnonzero(heads(ordered))
    return ordered[first], np.maximum.reduceat(value[order], first)


def heads(ordered: Ints) -> npt.NDArray[np.bool_]:
    """(n,) equal values side by side -> (n,) whether a run begins here."""
    first = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return first
