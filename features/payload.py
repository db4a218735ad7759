"""Payloads: the bytes that a range adds to each bag, with the events of hot entities folded before they are sent.

Most entities have a few events in a range, and each becomes an entry. Where one has many (the only merchant of a shop
has all of them), they are merged into tiles, which no window to come can tell from the events themselves,
and only those counterparties are sent that may ever be asked for. A tile travels as entries that add up to it
(`PART_...` in features/bag.py), so the store still appends entries of one size. The newest, where a group keeps them
one by one, are sent as they are. What is sent depends on the events alone.
The price: some 50 us for a hot entity, instead of up to 80 KB appended and read again by the next range.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from features.bag import (
    PART_FIELDS,
    PART_OTHERS,
    PLACE_BITS,
    Rows,
    items_of,
    measures,
)
from features.columns import HASH_BITS
from features.compact import merge_tiles
from features.entry import ENTRY_BYTES, Own, mark_of, pack
from features.feature import ANY_KIND
from features.group import Group
from features.packed import kernel
from features.recent import floor_of
from features.segments import VALUE_BITS, heads, keyed
from features.skyband import latest

Ints = npt.NDArray[np.int64]

HOT = 32  # events of one entity in a range, above which folding them is tried


def payloads(group: Group, own: Own, owners: int, since: int = 0) -> list[bytes]:
    """The entries of each of `owners` entities, those of the range's events from place `since` on; b"" for none."""
    words, order, ends = kernel().pack_events(own.table, own.names, mark_of(group), own.since(since), owners)
    blob, stops = words.tobytes(), ends.tolist()
    found = [blob[a * ENTRY_BYTES : b * ENTRY_BYTES] for a, b in pairwise(stops)]
    for hot in np.flatnonzero(np.diff(ends) > HOT).tolist() if len(order) > HOT else ():
        folded = _folded(group, own, order[stops[hot] : stops[hot + 1]])
        if len(folded) < len(found[hot]):
            found[hot] = folded
    return found


def _plain(group: Group, own: Own, which: Ints) -> bytes:
    others = [hashes[which] for hashes in own.others]
    packed = pack(group, own.at[which], own.amount[which], own.flags[which], own.place[which], others)
    return packed.tobytes()


def _folded(group: Group, own: Own, which: Ints) -> bytes:
    """The events of one entity as parts of tiles, but for the newest that the group keeps one by one."""
    which = which[np.argsort(own.at[which], kind="stable")]
    kinds = group.event.kinds
    events = which if kinds == ANY_KIND else which[(own.flags[which] & kinds) != 0]
    late = own.at[which] > floor_of(own.at[events], group.keep)
    if late.all():
        return _plain(group, own, which)
    return _tiled(group, _only(own, which[~late])) + _plain(group, own, which[late])


def _only(own: Own, which: Ints) -> Own:
    """Some events of one entity, as events of entity 0."""
    zeros = np.zeros(len(which), np.int64)
    return Own(zeros, own.at[which], own.amount[which], own.flags[which], own.place[which], own.others[:, which])


def _tiled(group: Group, own: Own) -> bytes:
    """Events of one entity, ordered by time, as parts of tiles, as coarse as their newest time allows already."""
    rows = Rows(own.owner, own.at, *measures(group, own.at, own.amount, own.flags, own.place))
    tiles = merge_tiles(group, rows, own.at[-1:])
    fields = np.concatenate((tiles.sums, tiles.peaks))
    return b"".join((_parts(group, tiles.first, int(own.at[-1]), fields), _others(group, own)))


def _parts(group: Group, first: Ints, newest: int, fields: Ints) -> bytes:
    """What tiles count for, two fields an entry; the last of all tells the newest time as well."""
    nothing = np.zeros_like(first)
    parts = []
    for place in range(max((len(fields) + 1) // 2, 2)):
        one, two = (fields[row] if row < len(fields) else nothing for row in (2 * place, 2 * place + 1))
        some = slice(None) if 2 * place < len(fields) else slice(len(first) - 1, None)
        at = first.copy()
        if place:
            at[-1] = newest
        low, high = two & 0xFFFFFFFF, two >> 32 & 0xFFFFFFFF
        parts.append(_part(group, PART_FIELDS, at[some], one[some], low[some], high[some], place=place))
    return b"".join(parts)


def _part(group: Group, part: int, at: Ints, amount: Ints, *others: Ints, place: int = 0) -> bytes:
    kind = np.full_like(at, part << PLACE_BITS | place)
    return pack(group, at, amount, np.zeros_like(at), kind, others).tobytes()


def _others(group: Group, own: Own) -> bytes:
    """The counterparties that may ever be asked for; those last seen in the same tile share entries."""
    ticks = own.at // group.ladder[0]
    last = np.append(np.flatnonzero(heads(ticks))[1:], len(ticks)) - 1
    ticks, newest = ticks[last], own.at[last]
    items = items_of(own)
    known = latest(group.exact + 1, items.slot << HASH_BITS | items.hash, items.at // group.ladder[0])
    order = np.argsort(keyed(known.bins, known.tick), kind="stable")
    bins, tick, hashed = known.bins[order], known.tick[order], known.hash[order]
    if not len(tick):
        return b""
    places = np.arange(len(tick))
    start = np.flatnonzero(heads(keyed(bins, tick)))
    run = np.cumsum(heads(keyed(bins, tick))) - 1
    cell, row = np.unique(keyed(tick - ticks[0], places - start[run]), return_inverse=True)
    slots = np.zeros((len(group.others), len(cell)), np.int64)
    slots[bins, row] = hashed
    at = newest[np.searchsorted(ticks, (cell >> VALUE_BITS) + ticks[0])]
    return _part(group, PART_OTHERS, at, np.zeros_like(at), *slots)
