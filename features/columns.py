"""Columns: the fresh events of one range as arrays, whatever topic they came from.

The idea: everything behind the decoder works on whole batches, so that no dict, date or object is made per event. What
several groups need of one column (its hashes, the places of the amounts) is computed once and remembered here.
The price: an event that lacks a field still takes its place in every array.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_digest

from features import logscale
from features.feature import ANY_KIND

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Floats2d = npt.NDArray[np.float64]

HASH_BITS = 30
HASH_MASK = (1 << HASH_BITS) - 1


class Owned(NamedTuple):
    """The events of a range by their entities."""

    entities: list[str]  # distinct, in order of first appearance; where events are apart, one for each of them
    table: Ints  # (5, m) owner (a place in `entities`, -1: none), time, amount, flags and place on the log scale
    event: Ints | None  # (m,) where an event may have several entities: which one it is


@dataclass(frozen=True)
class Columns:
    """Fresh events of one topic's range, in offset order; every array and sequence has length `n`.

    `ids` maps a column name to one id (or None) per event: entities, counterparties and whatever a vector wants; where
    an event may have several entities of a kind, to a tuple of ids.
    `numbers` holds what a vector reads of the event itself, such as the number of items.
    `apart`: none of them sees another, as if each had come alone. What only asks and tells nobody is so.
    """

    n: int
    at_ms: Ints  # event time, epoch ms, 0 to 2^43
    amount: Ints  # minor units of the base currency
    flags: Ints  # bits of the event's kind, 0 to 255
    ids: Mapping[str, Sequence[Any]]
    numbers: Mapping[str, Floats]
    events: Sequence[Any]  # as decoded, for an output adapter
    apart: bool = False
    _hashes: dict[tuple[str, int], Ints] = field(default_factory=dict, init=False, repr=False, compare=False)
    _owned: dict[str, Owned] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def place(self) -> Ints:
        """(n,) places of the amounts on the log scale."""
        return logscale.place(self.amount)

    @cached_property
    def told(self) -> Ints:
        """(5, n) zeros, times, amounts, flags and places: the table of `owned`, as long as nobody owns an event."""
        return np.array((np.zeros(self.n, np.int64), self.at_ms, self.amount, self.flags, self.place), np.int64)

    def hashes(self, column: str, kinds: int = ANY_KIND) -> Ints:
        """(n,) 30 bits of xxh3 of the ids of a column, never 0; 0 where there is none, or the event is of no such kind.

        xxh3 is uniform in all its bits, so no further mixing is needed before the smallest hashes are compared.
        """
        known = self._hashes.get((column, kinds))
        if known is None:
            hashed = (
                hash_ids(self.ids[column]) if kinds == ANY_KIND else self.hashes(column) * ((self.flags & kinds) != 0)
            )
            known = self._hashes[column, kinds] = hashed
        return known

    def owned(self, column: str, *, many: bool) -> Owned:
        """The events by the entities of a column; `many`: it holds a tuple of them for each event."""
        known = self._owned.get(column)
        if known is None:
            known = self._owned[column] = (
                _several(self, column) if many else _owned(self.told.copy(), self.ids[column], self.apart)
            )
        return known


def _several(columns: Columns, column: str) -> Owned:
    """Each event once for each of its entities."""
    several = [dict.fromkeys(ids) for ids in columns.ids[column]]
    event = np.arange(columns.n).repeat(np.fromiter(map(len, several), np.int64, columns.n))
    return _owned(columns.told.take(event, axis=1), chain.from_iterable(several), columns.apart, event)


def _owned(table: Ints, ids: Iterable[str | None], apart: bool, event: Ints | None = None) -> Owned:
    """Writes the owners into the table."""
    if apart:
        each = list(ids)
        owners = np.cumsum([entity is not None for entity in each])
        table[0] = np.where(np.diff(owners, prepend=0), owners - 1, -1)
        return Owned([entity for entity in each if entity is not None], table, event)
    index: dict[str | None, int] = {None: -1}
    table[0] = [index.setdefault(entity, len(index) - 1) for entity in ids]
    del index[None]
    return Owned(cast(list[str], list(index)), table, event)


def hash_ids(ids: Sequence[str | None]) -> Ints:
    """(n,) ids -> (n,) hashes of 30 bits, 1 or more; 0 for None."""
    digests = [_NOBODY if text is None else xxh3_64_digest(text.encode()) for text in ids]
    hashed = np.frombuffer(b"".join(digests), ">u8").astype(np.int64)
    low: Ints = np.maximum(hashed & HASH_MASK, hashed != 0)
    return low


_NOBODY = bytes(8)  # a real digest of zeros (one id in 2^64) counts as nobody, always
