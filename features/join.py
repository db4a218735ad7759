"""Joins: bags in which several flows meet, and what a range publishes of such a meeting.

A label knows an order's id and nothing else of it, and comes weeks after the order or, out of another partition, before
it. So both leave what they know in one bag, whose entity is what both name, and whichever is taken second sees the
other. What a range adds depends on its events alone, as with every bag; what the bag then says decides only what the
range publishes. A flow that joins has a `Join`: which bags (`Meeting`), by which ids, and its records.

    bag    = [head] chunk ...
    head   = version u8 | 3 zero bytes | bytes u32 | records      what compaction leaves
    chunk  = stamp u64 big-endian | bytes u32 | records           what one range added, stamped by the store
    record = bytes u16 | bytes                                    what a record says is its owner's to know

A record says its own version. The meaning of a bag is that of the set of its records (`Meeting.reduce`), so neither the
order of arrival nor where ranges were cut nor compaction changes it. The price: such a bag is read in a loop of Python,
a few us each; an empty one, which is what an order meets, costs nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features.bag import BadBagError
from features.columns import Columns

VERSION = 1
STAMP_BYTES = 8
EVERY_STAMP = 2**64 - 1  # more than any entry's

_HEAD = struct.Struct("<B3xI")
_BYTES = struct.Struct("<I")
_RECORD = struct.Struct("<H")
_ALONE = struct.Struct("<IH")  # both, of a chunk of one record


@dataclass(frozen=True, slots=True)
class Made:
    """A record to publish. The same `name` stands for the same statement, whoever makes it and whenever."""

    name: str
    key: bytes
    value: bytes


@dataclass(frozen=True)
class Meeting:
    """Bags in which flows meet.

    `reduce` gives the smallest list of records that means what the set of these means, in one order for all; it bounds
    a bag. `due(entity, records)` is what these (reduced) ask to be published, by name. `tell` is their meaning, for
    people and for comparing two states: equal for equal events, however they came. `keep_ms`: how long a bag that
    nobody touches is kept. `over`: bytes above which a bag is compacted.
    """

    name: str
    topic: str
    keep_ms: int
    reduce: Callable[[Iterable[bytes]], list[bytes]]
    due: Callable[[str, Sequence[bytes]], Mapping[str, Made]]
    tell: Callable[[Sequence[bytes]], dict[str, Any]]
    over: int = 4_000


@dataclass(frozen=True)
class Join:
    """How a flow takes part: `entity` names a column of ids, `records(columns)` has one record per event.

    An event with no id, or with b"" for a record, has no part in it.
    """

    meeting: Meeting
    entity: str
    records: Callable[[Columns], Sequence[bytes]]


def added(join: Join, columns: Columns, since: int) -> tuple[list[str], list[list[bytes]], list[bytes]]:
    """The entities of a range, the records of each, and the bytes that the events from place `since` on add to each."""
    pairs = list(zip(columns.ids[join.entity], join.records(columns), strict=True))
    records = _by_entity(pairs)
    later = _by_entity(pairs[since:]) if since else records
    payloads = [_chunk(join.meeting.reduce, later.get(entity, ())) for entity in records]
    return list(records), list(records.values()), payloads


def _by_entity(pairs: Iterable[tuple[str | None, bytes]]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for entity, record in pairs:
        if entity is not None and record:
            found.setdefault(entity, []).append(record)
    return found


def _chunk(reduce: Callable[[Iterable[bytes]], list[bytes]], records: Sequence[bytes]) -> bytes:
    if len(records) == 1:  # nearly always
        return _ALONE.pack(len(records[0]) + _RECORD.size, len(records[0])) + records[0]
    body = _joined(reduce(records))
    return _BYTES.pack(len(body)) + body if body else b""


def _joined(records: Iterable[bytes]) -> bytes:
    return b"".join([_RECORD.pack(len(record)) + record for record in records])


def news(
    meeting: Meeting, entity: str, bag: bytes | None, number: int, own: Sequence[bytes], *, whole: bool
) -> list[Made]:
    """What the records of a range ask to be published, seeing the bag as it was below `number`.

    What was due before is left out: who made it due publishes it. `whole`: the bag has the range's records already and
    maybe later ones, so everything that is due is told.
    """
    if whole:
        return list(meeting.due(entity, meeting.reduce(records_of(bag))).values())
    before = meeting.reduce(records_of(bag, number)) if bag else []
    known = meeting.due(entity, before) if before else {}
    due = meeting.due(entity, meeting.reduce([*before, *own]))
    return [made for name, made in due.items() if name not in known]


def records_of(bag: bytes | None, below: int = EVERY_STAMP) -> list[bytes]:
    """The records of a bag that are stamped below a number; those of its head always are."""
    found: list[bytes] = []
    for stamp, start, end in _parts(bag or b""):
        if stamp < below:
            found += _records(bag or b"", start, end)
    return found


def compacted(meeting: Meeting, bag: bytes, below: int) -> tuple[bytes, bytes, int] | None:
    """(prefix, replacement, newest stamp in it) of a bag's chunks stamped below a number; None where there are none."""
    newest, end, found = 0, 0, list[bytes]()
    for stamp, start, stop in _parts(bag):
        if stamp >= below:
            break
        found += _records(bag, start, stop)
        newest, end = max(newest, stamp), stop
    if not newest:
        return None
    body = _joined(meeting.reduce(found))
    return bag[:end], _HEAD.pack(VERSION, len(body)) + body, newest


def without(bag: bytes, own: bytes) -> bytes:
    """A bag less the chunk `own` with its stamp, where it is there."""
    at = bag.rfind(own) if own else -1
    return bag if at < STAMP_BYTES else bag[: at - STAMP_BYTES] + bag[at + len(own) :]


def stamps_of(bag: bytes) -> list[int]:
    """The stamps of a bag's chunks, in the order in which they were appended."""
    return [stamp for stamp, _, _ in _parts(bag) if stamp]


def canonical(meeting: Meeting, bag: bytes) -> dict[str, Any]:
    """What a bag means, whatever was compacted when and in whichever order its records came."""
    return {"group": meeting.name, **meeting.tell(meeting.reduce(records_of(bag)))}


def _parts(bag: bytes) -> list[tuple[int, int, int]]:
    """(stamp, first byte, last byte + 1) of the records of head and chunks; the head has stamp 0."""
    found, at = [], 0
    try:
        if bag and bag[0]:
            version, size = _HEAD.unpack_from(bag)
            if version > VERSION:
                raise BadBagError(
                    f"a bag of version {version} where flows meet, and this worker reads up to {VERSION}: "
                    "upgrade this worker"
                )
            at = _HEAD.size + size
            found.append((0, _HEAD.size, at))
        while at < len(bag):
            (size,) = _BYTES.unpack_from(bag, at + STAMP_BYTES)
            start = at + STAMP_BYTES + _BYTES.size
            found.append((int.from_bytes(bag[at : at + STAMP_BYTES], "big"), start, start + size))
            at = start + size
    except struct.error:
        at = -1
    if at != len(bag):
        raise BadBagError(f"a bag where flows meet, {len(bag)} bytes, begins {bag[:8].hex()}: cut off")
    return found


def _records(bag: bytes, at: int, end: int) -> list[bytes]:
    found = []
    while at < end:
        (size,) = _RECORD.unpack_from(bag, at)
        found.append(bag[at + _RECORD.size : at + _RECORD.size + size])
        at += _RECORD.size + size
    return found
