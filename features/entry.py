"""Entries: what one event adds to the bag of each of its entities, before the store stamps it.

An entry is 32 bytes here and 40 in the bag, where the store has put its stamp in front:

    at i64 (event ms) | amount i64 | others u32 x 3 (hashes, 0 = none) | place u16 (log scale) | flags u8 | mark u8

`mark` holds the format's version (3 bits) and the group's layout (5 bits), since a young bag has no header that
could. The price: 40 bytes an event and entity until the bag is compacted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.columns import Columns, Ints
from features.group import ANY_KIND, Group

ENTRY_BYTES = 32  # without the stamp
VERSION = 1


@dataclass(frozen=True)
class Own:
    """The events of a range as one group sees them, (n,) each, in offset order.

    `owner` is the place of the event's entity among the range's entities, or -1 where the event has none.
    """

    owner: Ints
    at: Ints
    amount: Ints  # 0 where the group does not count this kind's money
    flags: Ints
    place: Ints
    others: Ints  # (len(group.others), n) hashes, 0 = none


def own_of(group: Group, columns: Columns) -> tuple[list[str], Own]:
    """The distinct entities of a range in order of first appearance, and its events as the group sees them."""
    ids = columns.ids[group.entity]
    entities = [entity for entity in dict.fromkeys(ids) if entity is not None]
    index: dict[str | None, int] = dict(zip(entities, range(len(entities)), strict=True))
    index[None] = -1
    owner = np.fromiter(map(index.__getitem__, ids), np.int64, columns.n)
    amount, place = _money(group, columns)
    others = np.array([columns.hashes(other) for other in group.others], np.int64).reshape(len(group.others), columns.n)
    return entities, Own(owner, columns.at_ms, amount, columns.flags, place, others)


def _money(group: Group, columns: Columns) -> tuple[Ints, Ints]:
    if group.money == ANY_KIND:
        return columns.amount, columns.place
    counts = (columns.flags & group.money) != 0
    return np.where(counts, columns.amount, 0), np.where(counts, columns.place, 0)


def side_by_side(owns: Sequence[Own], counts: Sequence[int], slots: int) -> Own:
    """The events of several groups as those of one with `slots` counterparties; the entities of the first are first."""
    if len(owns) == 1:
        return owns[0]
    start = np.cumsum((0, *counts))
    return Own(
        np.concatenate([np.where(o.owner < 0, -1, o.owner + first) for o, first in zip(owns, start, strict=False)]),
        np.concatenate([own.at for own in owns]),
        np.concatenate([own.amount for own in owns]),
        np.concatenate([own.flags for own in owns]),
        np.concatenate([own.place for own in owns]),
        np.concatenate([_padded(own.others, slots) for own in owns], axis=1),
    )


def _padded(others: Ints, slots: int) -> Ints:
    """With `slots` counterparties, those that are missing being nobody."""
    missing = slots - len(others)
    return np.pad(others, ((0, missing), (0, 0))) if missing else others


def pack(group: Group, at: Ints, amount: Ints, flags: Ints, place: Ints, others: Sequence[Ints]) -> Ints:
    """(n, 4) entries as little-endian words; `others` are up to three arrays of 32 bits."""
    words = np.zeros((len(at), ENTRY_BYTES // 8), "<i8")
    words[:, 0] = at
    words[:, 1] = amount
    words[:, 3] = place << 32 | flags << 48 | mark_of(group) << 56
    for slot, hashes in enumerate(others):
        words[:, 2 + slot // 2] |= hashes << (32 * (slot % 2))
    return words


def mark_of(group: Group) -> int:
    """The last byte of the group's entries."""
    return VERSION << 5 | group.layout


def kinds(*bits: Sequence[bool]) -> Ints:
    """Columns of truth values -> (n,) flags: the first is bit 0."""
    stacked = np.array(bits, np.int64)
    flags: Ints = np.bitwise_or.reduce(stacked << np.arange(len(bits))[:, None], axis=0)
    return flags
