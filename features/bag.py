"""Bags: the record of one entity in one group, and how many of them are read at once.

Little-endian words of 8 bytes:

    header   version u8 | layout u8 | tiles u16 | others u16 | 0 u16, the newest time seen, ms, and the floor
    tiles    first time << 8 | level, then the group's sums and peaks; ordered by time
    others   dimension (2 bits) | hash (30 bits) | time last seen (32 bits, in tiles of the finest width); ordered
    entries  5 words each: the store's stamp (BIG-endian, so that its bytes sort), then features/entry.py

The store only ever appends entries. A bag that was never compacted has no header: it begins with a stamp, whose first
byte is 0 until the year 4253 (it counts microseconds), and no version is 0. A tile is what several entries add up to:
reading makes rows of both, and one formula serves all. Entries later than the floor are those that a group keeps one by
one (features/recent.py); what is not later may have become part of a tile. An entry may also be a part of a tile
(`PART_...`): that is how the events of a hot entity are sent, folded.
The price: words are wide, a tile costs 64 bytes in the shop's groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.columns import HASH_BITS, HASH_MASK
from features.entry import VERSION, Own, mark_of
from features.feature import ABSENT
from features.fields import values
from features.group import Group
from features.segments import ranges

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint64]

HEADER_WORDS = 3
ENTRY_WORDS = 5
ETERNAL = 255  # the level of the tile that holds everything before the longest window
TICK_BITS = 32  # of "time last seen"

# What an entry stands for, in the four bits above its place on the log scale.
PLACE_BITS = 12
PLACE_MASK = (1 << PLACE_BITS) - 1
PART_EVENT = 0
PART_OTHERS = 3  # at = time last seen; counts nothing but its others
PART_FIELDS = 5  # place = which two fields of the tile: amount and the first two others; at = its first or newest time


class BadBagError(ValueError):
    """Bytes that are no bag of this group, or of a later version; the message says which and what to do."""


class Rows(NamedTuple):
    """What counts: entries and tiles alike, (m,) or (fields, m), in no particular order."""

    owner: Ints
    at: Ints  # of a tile: its first time
    sums: Ints  # (len(group.sums), m)
    peaks: Ints  # (len(group.peaks), m)


class Items(NamedTuple):
    """Counterparties with a time at which they were seen, (k,) each; one may occur several times."""

    owner: Ints
    slot: Ints  # which of group.others
    hash: Ints
    at: Ints  # exact, or the start of its finest tile: no window can tell


NOBODY_NAMED = Items(*np.empty((4, 0), np.int64))


class Parsed(NamedTuple):
    """Many bags as one array of words, and where in it each one's parts are, (u,) each."""

    words: Ints
    start: Ints
    headed: npt.NDArray[np.bool_]
    tiles: Ints
    others: Ints
    raw_start: Ints
    raws: Ints


class Lifted(NamedTuple):
    """Bags as rows, the entries below the limit last (`raw`).

    `newest` (u,) is -1 where nothing was seen; what is not later than `floor` (u,) may be part of a tile.
    """

    parsed: Parsed
    rows: Rows
    items: Items
    newest: Ints
    floor: Ints
    tiled: Items  # the counterparties that no entry names
    raw: Raw


def parse(group: Group, bags: Sequence[bytes | None]) -> Parsed:
    """Finds the parts of each bag. Raises BadBagError on what this version cannot read."""
    blobs = [bag or b"" for bag in bags]
    sizes = np.fromiter(map(len, blobs), np.int64, len(blobs))
    if (sizes & 7).any():
        raise _broken(group, blobs, sizes & 7 != 0, "not a whole number of words")
    words = np.frombuffer(b"".join(blobs), "<i8")
    sizes >>= 3
    start = sizes.cumsum() - sizes
    head = np.zeros(len(blobs), np.int64)
    present = sizes > 0
    head[present] = words[start[present]]
    headed = head & 0xFF != 0
    tiles = np.where(headed, head >> 16 & 0xFFFF, 0)
    others = np.where(headed, head >> 32 & 0xFFFF, 0)
    body = np.where(headed, HEADER_WORDS, 0) + tiles * group.tile_words + others
    raws, rest = np.divmod(sizes - body, ENTRY_WORDS)
    _check(group, blobs, head, headed, raws, rest)
    return Parsed(words, start, headed, tiles, others, start + body, raws)


def _check(
    group: Group, blobs: Sequence[bytes], head: Ints, headed: npt.NDArray[np.bool_], raws: Ints, rest: Ints
) -> None:
    if headed.any():
        if (later := headed & (head & 0xFF > VERSION)).any():
            found = int((head[later] & 0xFF)[0])
            raise _broken(
                group,
                blobs,
                later,
                f"it has version {found} and this worker reads up to {VERSION}: upgrade this worker",
            )
        if (foreign := headed & (head >> 8 & 0xFF != group.layout)).any():
            raise _broken(group, blobs, foreign, "not of layout {layout}: give the group the layout it was written in")
    if (broken := (raws < 0) | (rest != 0)).any():
        raise _broken(group, blobs, broken, "cut off")


def _broken(group: Group, blobs: Sequence[bytes], which: npt.NDArray[np.bool_], what: str) -> BadBagError:
    """For the first of those that are; `what` may name the `{layout}` wanted."""
    place = int(np.flatnonzero(which)[0])
    blob = blobs[place]
    where = f"bag of group {group.name!r}, {len(blob)} bytes, header {blob[:8].hex()}"
    return BadBagError(f"{where}: {what.format(layout=group.layout)}")


def stamps_of(group: Group, bag: bytes) -> Numbers:
    """(raws,) the stamps of a bag's entries, in the order in which they were appended."""
    tiles, others = (int.from_bytes(bag[2:4], "little"), int.from_bytes(bag[4:6], "little")) if bag[0] else (0, 0)
    start = HEADER_WORDS + tiles * group.tile_words + others if bag[0] else 0
    return np.frombuffer(bag, ">u8", offset=8 * start)[::ENTRY_WORDS]


def lift(group: Group, bags: Sequence[bytes | None], limit: Numbers) -> Lifted:
    """Rows and counterparties of many bags, leaving out entries stamped `limit` (u,) or above."""
    parsed = parse(group, bags)
    raw = _raw(group, parsed, limit)
    newest, floor = np.full(len(bags), -1), np.full(len(bags), -1)
    _see(newest, raw.owner, raw.at)
    rows, items, tiled = raw.rows(group), raw.items(group), NOBODY_NAMED
    if raw.folded.any():
        _see(floor, raw.owner[raw.folded], raw.at[raw.folded])
    if (headed := parsed.headed).any():
        start = parsed.start * headed
        newest[headed] = np.maximum(newest, parsed.words[start + 1])[headed]
        floor[headed] = np.maximum(floor, parsed.words[start + 2])[headed]
        rows = join_rows(_tiles(group, parsed), rows)
        tiled = _others(group, parsed)
        items = join_items(tiled, items)
    return Lifted(parsed, rows, items, newest, floor, tiled, raw)


def _see(newest: Ints, owner: Ints, at: Ints) -> None:
    """Raises each owner's newest time; owners ascend."""
    if len(owner):
        counts = np.bincount(owner, minlength=len(newest))
        seen = counts > 0
        newest[seen] = np.maximum.reduceat(at, (counts.cumsum() - counts)[seen])


class Raw(NamedTuple):
    """Entries as they lie in the bags, (m,) each, owners ascending."""

    where: Ints  # the first word of each, its stamp
    owner: Ints
    at: Ints
    amount: Ints
    pair: Ints  # others 0 and 1
    tail: Ints  # other 2, place, flags, mark
    part: Ints  # PART_...

    @property
    def folded(self) -> npt.NDArray[np.bool_]:
        """(m,) which are parts of tiles."""
        found: npt.NDArray[np.bool_] = self.part == PART_FIELDS
        return found

    def only(self, which: npt.NDArray[np.bool_]) -> Raw:
        """Some of them."""
        return Raw(*(values[which] for values in self))

    def counts(self, bags: int) -> Ints:
        """(u,) how many of each bag."""
        return np.bincount(self.owner, minlength=bags)

    def rows(self, group: Group) -> Rows:
        place = self.tail >> 32 & PLACE_MASK
        found = values(group.fields, self.at, self.amount, self.tail >> 48 & 0xFF, place)
        if self.part.any():
            _lift_parts(group, self, place, found)
        split = len(group.sums)
        return Rows(self.owner, self.at, found[:split], found[split:])

    def items(self, group: Group, only: npt.NDArray[np.bool_] | None = None) -> Items:
        """The counterparties that entries name; parts of tiles use these bytes otherwise."""
        slots = [self.pair & 0xFFFFFFFF, self.pair >> 32 & 0xFFFFFFFF, self.tail & 0xFFFFFFFF][: len(group.others)]
        names = self.part != PART_FIELDS if only is None else only & (self.part != PART_FIELDS)
        return _items_of(self.owner, self.at, [slot * names for slot in slots])


def items_of(own: Own) -> Items:
    """The counterparties of events."""
    return _items_of(own.owner, own.at, list(own.others))


def _items_of(owner: Ints, at: Ints, slots: Sequence[Ints]) -> Items:
    where = [slot.nonzero()[0] for slot in slots]
    if not where:
        return NOBODY_NAMED
    if len(where) == 1:
        return Items(owner[where[0]], np.zeros(len(where[0]), np.int64), slots[0][where[0]], at[where[0]])
    slot = np.repeat(np.arange(len(where)), [len(found) for found in where])
    hashes = np.concatenate([hashes[found] for hashes, found in zip(slots, where, strict=True)])
    which = np.concatenate(where)
    return Items(owner[which], slot, hashes, at[which])


def measures(group: Group, at: Ints, amount: Ints, flags: Ints, place: Ints) -> tuple[Ints, Ints]:
    """What events count for: (len(group.sums), m) and (len(group.peaks), m)."""
    found = values(group.fields, at, amount, flags, place)
    return found[: len(group.sums)], found[len(group.sums) :]


def _lift_parts(group: Group, raw: Raw, place: Ints, found: Ints) -> None:
    """Replaces what entries that are parts of tiles count for: (fields, m)."""
    pieces = np.flatnonzero(raw.part)
    found[: len(group.sums), pieces] = 0
    found[len(group.sums) :, pieces] = ABSENT
    folded = np.flatnonzero(raw.folded & (place * 2 < len(group.fields)))
    which = place[folded] * 2
    found[which, folded] = raw.amount[folded]
    two = which + 1 < len(group.fields)
    found[which[two] + 1, folded[two]] = raw.pair[folded[two]]


def _raw(group: Group, parsed: Parsed, limit: Numbers) -> Raw:
    where = ranges(parsed.raw_start, parsed.raws, ENTRY_WORDS)
    owner = np.arange(len(parsed.raws)).repeat(parsed.raws)
    stamp = parsed.words[where].byteswap().view(np.uint64)
    below = stamp < limit[owner]
    if not below.all():
        where, owner = where[below], owner[below]
    tail = parsed.words[where + 4]
    marks = tail >> 56 & 0xFF
    if (marks != mark_of(group)).any():
        _check_marks(group, marks)
    words = parsed.words
    part = tail >> 32 + PLACE_BITS & 0xF
    return Raw(where, owner, words[where + 1], words[where + 2], words[where + 3], tail, part)


def _check_marks(group: Group, marks: Ints) -> None:
    """Entries of an earlier version pass: theirs is the same layout of bytes."""
    version, layout = marks >> 5, marks & 31
    if (later := version > VERSION).any():
        found = int(version[later][0])
        raise BadBagError(
            f"bag of group {group.name!r}: an entry has version {found} and this worker reads up to {VERSION}: "
            "upgrade this worker"
        )
    if (foreign := layout != group.layout).any():
        found = int(layout[foreign][0])
        raise BadBagError(
            f"bag of group {group.name!r}: an entry of layout {found}, want layout {group.layout}: "
            "give the group the layout it was written in"
        )


def _tiles(group: Group, parsed: Parsed) -> Rows:
    where = ranges(parsed.start + HEADER_WORDS, parsed.tiles, group.tile_words)
    owner = np.arange(len(parsed.tiles)).repeat(parsed.tiles)
    fields = parsed.words[where + np.arange(1, group.tile_words)[:, None]]
    split = len(group.sums)
    return Rows(owner, parsed.words[where] >> 8, fields[:split], fields[split:])


def _others(group: Group, parsed: Parsed) -> Items:
    where = ranges(parsed.start + HEADER_WORDS + parsed.tiles * group.tile_words, parsed.others)
    owner = np.arange(len(parsed.others)).repeat(parsed.others)
    words = parsed.words[where]
    at = (words & (1 << TICK_BITS) - 1) * group.ladder[0]
    return Items(owner, words >> TICK_BITS + HASH_BITS & 3, words >> TICK_BITS & HASH_MASK, at)


def join_rows(*rows: Rows) -> Rows:
    return Rows(
        np.concatenate([r.owner for r in rows]),
        np.concatenate([r.at for r in rows]),
        np.concatenate([r.sums for r in rows], axis=1),
        np.concatenate([r.peaks for r in rows], axis=1),
    )


def join_items(*items: Items) -> Items:
    return Items(
        np.concatenate([i.owner for i in items]),
        np.concatenate([i.slot for i in items]),
        np.concatenate([i.hash for i in items]),
        np.concatenate([i.at for i in items]),
    )


def counts_for(rows: Rows) -> npt.NDArray[np.bool_]:
    """(m,) which rows count for anything: an entry of a kind that no feature asks for does not."""
    some: npt.NDArray[np.bool_] = (rows.sums != 0).any(axis=0) | (rows.peaks != ABSENT).any(axis=0)
    return some


def merge_runs(rows: Rows, order: Ints, first: Ints) -> tuple[Ints, Ints]:
    """The sums and peaks of runs of rows; `first` (r,) is where in `order` each run begins."""
    if not len(first):
        return rows.sums[:, :0], rows.peaks[:, :0]
    sums = np.add.reduceat(rows.sums.take(order, axis=1), first, axis=1)
    peaks = (
        np.maximum.reduceat(rows.peaks.take(order, axis=1), first, axis=1)
        if len(rows.peaks)
        else rows.peaks[:, : len(first)]
    )
    return sums, peaks.reshape(len(rows.peaks), len(first))
