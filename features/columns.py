"""Columns: the fresh events of one range as arrays, whatever topic they came from.

The idea: everything behind the decoder works on whole batches, so that no dict, date or object is made per event. What
several groups need of one column (its hashes, the places of the amounts) is computed once and remembered here.
The price: an event that lacks a field still takes its place in every array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_digest

from features import logscale

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Floats2d = npt.NDArray[np.float64]

HASH_BITS = 30
HASH_MASK = (1 << HASH_BITS) - 1


@dataclass(frozen=True)
class Columns:
    """Fresh events of one topic's range, in offset order; every array and sequence has length `n`.

    `ids` maps a column name to one id (or None) per event: entities, counterparties and whatever a vector wants; where
    an event may have several entities of a kind, to a tuple of ids.
    `numbers` holds what a vector reads of the event itself, such as the number of items.
    """

    n: int
    at_ms: Ints  # event time, epoch ms, 0 to 2^43
    amount: Ints  # minor units of the base currency
    flags: Ints  # bits of the event's kind, 0 to 255
    ids: Mapping[str, Sequence[Any]]
    numbers: Mapping[str, Floats]
    events: Sequence[Any]  # as decoded, for an output adapter
    _hashes: dict[str, Ints] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def place(self) -> Ints:
        """(n,) places of the amounts on the log scale."""
        return logscale.place(self.amount)

    def hashes(self, column: str) -> Ints:
        """(n,) 30 bits of xxh3 of the ids of a column, never 0; 0 where there is none.

        xxh3 is uniform in all its bits, so no further mixing is needed before the smallest hashes are compared.
        """
        known = self._hashes.get(column)
        if known is None:
            known = self._hashes[column] = hash_ids(self.ids[column])
        return known


def hash_ids(ids: Sequence[str | None]) -> Ints:
    """(n,) ids -> (n,) hashes of 30 bits, 1 or more; 0 for None."""
    digests = [_NOBODY if text is None else xxh3_64_digest(text.encode()) for text in ids]
    hashed = np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)
    low: Ints = np.maximum(hashed & np.uint64(HASH_MASK), np.uint64(1)).astype(np.int64)
    low[hashed == 0] = 0
    return low


_NOBODY = bytes(8)  # a real digest of zeros (one id in 2^64) counts as nobody, always
