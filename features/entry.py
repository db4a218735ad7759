"""Entries: what one event adds to the bag of each of its entities, before the store stamps it.

An entry is 32 bytes here and 40 in the bag, where the store has put its stamp in front:

    at i64 (event ms) | amount i64 | others u32 x 3 (hashes, 0 = none) | place u16 (log scale) | flags u8 | mark u8

`mark` holds the format's version (3 bits) and the group's layout (5 bits), since a young bag has no header that
could. The price: 40 bytes an event and entity until the bag is compacted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from features.columns import Columns, Floats2d, Ints
from features.feature import ANY_KIND
from features.group import Group
from features.segments import heads

ENTRY_BYTES = 32  # without the stamp
VERSION = 1


@dataclass(frozen=True)
class Own:
    """The events of a range as one group sees them, (m,) each, in offset order.

    `owner` is the place of the event's entity among the range's entities, or -1 where the event has none. Where an
    event may have several entities it is here once for each of them, `event` (m,) says which of the `n` it is.
    """

    owner: Ints
    at: Ints
    amount: Ints
    flags: Ints
    place: Ints
    others: Ints  # (len(group.others), m) hashes, 0 = none
    event: Ints | None = None
    n: int = 0  # of events, where `event` is given

    @cached_property
    def table(self) -> Ints:
        """(5, m) owner, time, amount, flags and place, as the kernel takes them."""
        return np.array((self.owner, self.at, self.amount, self.flags, self.place), np.int64)

    @cached_property
    def names(self) -> Ints:
        """(len(group.others), m) the hashes, as the kernel takes them."""
        return np.ascontiguousarray(self.others)

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
    ids = columns.ids[group.entity]
    others = np.array(
        [_others(columns, other, kinds) for other, kinds in zip(group.others, group.other_kinds, strict=True)]
    )
    own = Own(
        np.zeros(columns.n, np.int64),
        columns.at_ms,
        columns.amount,
        columns.flags,
        columns.place,
        others.astype(np.int64).reshape(len(group.others), columns.n),
    )
    if group.many:
        several = [tuple(dict.fromkeys(of_event)) for of_event in ids]
        ids = [entity for of_event in several for entity in of_event]
        own = _repeated(own, np.repeat(np.arange(columns.n), [len(of_event) for of_event in several]))
    entities = [entity for entity in dict.fromkeys(ids) if entity is not None]
    index: dict[str | None, int] = dict(zip(entities, range(len(entities)), strict=True))
    index[None] = -1
    own.owner[:] = np.fromiter(map(index.__getitem__, ids), np.int64, len(ids))
    return entities, own


def _others(columns: Columns, other: str, kinds: int) -> Ints:
    hashes = columns.hashes(other)
    return hashes if kinds == ANY_KIND else hashes * ((columns.flags & kinds) != 0)


def _repeated(own: Own, event: Ints) -> Own:
    """Each event once for each of its entities."""
    owner, at, amount = own.owner[event], own.at[event], own.amount[event]
    flags, place, others = own.flags[event], own.place[event], own.others[:, event]
    return Own(owner, at, amount, flags, place, others, event, len(own.owner))


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
