"""Entries: what one event adds to the bag of each of its entities, before the store stamps it.

An entry is 32 bytes here and 40 in the bag, where the store has put its stamp in front:

    at i64 (event ms) | amount i64 | others u32 x 3 (hashes, 0 = none) | place u16 (log scale) | flags u8 | mark u8

`mark` holds the format's version (3 bits) and the group's layout (5 bits), since a young bag has no header that
could. The price: 40 bytes an event and entity until the bag is compacted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from features.columns import Columns, Floats2d, Ints
from features.group import Group
from features.segments import heads

ENTRY_BYTES = 32  # without the stamp
VERSION = 1


class Own(NamedTuple):
    """The `m` events of a range as one group sees them, in offset order, in arrays as the kernel takes them.

    `owner` is the place of the event's entity among the range's entities, or -1 where the event has none. Where an
    event may have several entities it is here once for each of them, `event` (m,) says which of the `n` it is.
    Groups of one range share arrays: nobody writes into them.
    """

    table: Ints  # (5, m) owner, time, amount, flags and place
    others: Ints  # (len(group.others), m) hashes, 0 = none
    event: Ints | None = None
    n: int = 0  # of events, where `event` is given

    @classmethod
    def of(cls, owner: Ints, at: Ints, amount: Ints, flags: Ints, place: Ints, others: Ints) -> Own:
        """From a row each."""
        return cls(np.array((owner, at, amount, flags, place), np.int64), np.ascontiguousarray(others))

    @property
    def owner(self) -> Ints:
        return self._row(0)

    @property
    def at(self) -> Ints:
        return self._row(1)

    @property
    def amount(self) -> Ints:
        return self._row(2)

    @property
    def flags(self) -> Ints:
        return self._row(3)

    @property
    def place(self) -> Ints:
        return self._row(4)

    def _row(self, nth: int) -> Ints:
        row: Ints = self.table[nth]
        return row

    def since(self, place: int) -> int:
        """The first of these that belongs to the range's event at `place` or a later one."""
        return place if self.event is None else int(np.searchsorted(self.event, place))

    def per_event(self, folded: Floats2d) -> Floats2d:
        """(columns, m) -> (columns, n): of an event with several entities, the largest."""
        if self.event is None:
            return folded
        out = np.zeros((len(folded), self.n))
        if len(self.event):
            first = np.flatnonzero(heads(self.event))
            out[:, self.event[first]] = np.maximum.reduceat(folded, first, axis=1)
        return out


def own_of(group: Group, columns: Columns) -> tuple[list[str], Own]:
    """The distinct entities of a range in order of first appearance, and its events as the group sees them."""
    owned = columns.owned(group.entity, many=group.many)
    hashes = [columns.hashes(other, kinds) for other, kinds in zip(group.others, group.other_kinds, strict=True)]
    others = np.array(hashes, np.int64).reshape(len(hashes), columns.n)
    if owned.event is not None:
        others = others.take(owned.event, axis=1)
    return owned.entities, Own(owned.table, others, owned.event, columns.n)


def pack(group: Group, at: Ints, amount: Ints, flags: Ints, place: Ints, others: Sequence[Ints]) -> Ints:
    """(n, 4) entries as little-endian words; `others` are up to three arrays of 32 bits."""
    words = np.zeros((len(at), ENTRY_BYTES // 8), "<i8")
    words[:, 0] = at
    words[:, 1] = amount
    words[:, 3] = place << 32 | flags << 48 | mark_of(group) << 56
    for slot, hashes in enumerate(others):
        words[:, 2 + slot // 2] |= hashes << (32 * (slot % 2))
    return words


def stamped(entries: bytes, stamp: bytes, size: int = ENTRY_BYTES) -> bytes:
    """Entries of `size` bytes each, as the store appends them: every one behind the stamp."""
    if len(entries) == size:
        return stamp + entries
    return b"".join(stamp + entries[at : at + size] for at in range(0, len(entries), size))


def mark_of(group: Group) -> int:
    """The last byte of the group's entries."""
    return VERSION << 5 | group.layout


def kinds(*bits: Sequence[bool]) -> Ints:
    """Columns of truth values -> (n,) flags: the first is bit 0."""
    stacked = np.array(bits, np.int64)
    flags: Ints = np.bitwise_or.reduce(stacked << np.arange(len(bits))[:, None], axis=0)
    return flags
