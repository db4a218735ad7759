"""The judge: what becomes of each record, as a pure function of the log.

A record is a duplicate if its id was fresh at a lower offset, at most N offsets and H hours back *on the log's own
clock*: the largest record timestamp so far, in whole seconds. Nothing else decides: not the wall clock, not where
ranges were cut, not when the memory was trimmed. So a worker may judge and the store need only keep: whoever holds
home's position holds the right window of ids, loaded from home's id log.

The window is a few generations, each a plain table of ids in log order under an open hash index; a generation goes when
its newest id is out of reach. The price: 48 bytes an id and at most half as many again, counted, and about .4 us an
event. A record whose timestamp lies far ahead moves the clock for good: from then on N alone bounds the window.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.protocol.ports import Exceptions, Facts, IdLog, Ints, Limits, Proposal, Stop, Verdict

ENTRY = np.dtype([("id", "<u8"), ("offset", "<i8"), ("payload", "<u4"), ("clock_s", "<u4")])
"""One fresh id of the id log: 24 bytes. A blob is HEADER and the entries of one range, in offset order."""

PACKED = struct.Struct("<QqII")  # one of them
VERSION = 1
HEADER = bytes([VERSION, 0, 0, 0, 0, 0, 0, 0])
LATEST_S = 2**32 - 1

Entries = npt.NDArray[np.void]
Ids = npt.NDArray[np.uint64]

FEW = 32  # records, or ids, that are looked at one by one: some fifty calls of numpy take longer
_SMALLEST = 4096  # ids of the first generation; later ones grow fourfold up to half of N
_VERDICTS = tuple(Verdict)
_Earlier = dict[int, tuple[int, int, int]]  # id -> offset, payload, clock of its newest fresh record


def encode_ids(entries: Entries) -> bytes:
    """The blob of a range; b"" where nothing is fresh."""
    return HEADER + entries.tobytes() if len(entries) else b""


def decode_ids(blobs: Iterable[bytes]) -> Entries:
    """All entries of an id log, oldest first. Refuses a blob of a newer version: an older reader must not guess."""
    parts = [_decoded(blob) for blob in blobs if blob]
    return np.concatenate(parts) if parts else np.empty(0, ENTRY)


def _decoded(blob: bytes) -> Entries:
    if blob[0] > VERSION:
        raise Stop(f"the id log has version {blob[0]} and this worker reads up to {VERSION}: upgrade this worker")
    return np.frombuffer(blob, ENTRY, offset=len(HEADER))


def before_every_offset(log: IdLog, genesis: int, limits: Limits) -> list[bytes]:
    """The id log of a topic made anew: every id still in reach, as if fresh just before `genesis`, in the old order.

    What is out of reach at the end of the old topic is dropped here and now: whether it was trimmed must not decide.
    """
    entries = decode_ids(log.blobs).copy()
    oldest, oldest_s = log.position - limits.dedup_offsets, log.clock_s - limits.dedup_s
    entries = entries[(entries["offset"] >= oldest) & (entries["clock_s"] >= oldest_s)]
    entries["offset"] = genesis - 1
    return [encode_ids(entries)] if len(entries) else []


class _Generation:
    """Some thousands of fresh ids in log order, under an open index at most a quarter full."""

    __slots__ = ("_held", "_index", "_mask", "_slots", "entries", "ids", "used")

    def __init__(self, capacity: int) -> None:
        self.ids: Ids = np.zeros(capacity, np.uint64)
        self.entries: Entries = np.zeros(capacity, ENTRY)
        self.used = 0
        slots = 1 << (4 * capacity - 1).bit_length()
        self._slots = np.zeros(slots, np.int32)  # 1 + row; 0 is free
        self._mask = slots - 1
        self._held, self._index = self.ids.data, self._slots.data

    @property
    def room(self) -> int:
        return len(self.ids) - self.used

    @property
    def bytes(self) -> int:
        return self.ids.nbytes + self.entries.nbytes + self._slots.nbytes

    def find(self, ids: Ids) -> Ints:
        """(n,) the newest row that holds each id, -1 where there is none."""
        if len(ids) <= FEW:
            return np.array([self._index[self._slot_of(one)] - 1 for one in ids.tolist()], np.int64)
        found = np.full(len(ids), -1, np.int64)
        slot = (ids & self._mask).astype(np.int64)
        row = self._slots.take(slot)
        asked = np.flatnonzero(row)
        slot, row = slot.take(asked), row.take(asked)
        while len(asked):
            same = self.ids.take(row - 1) == ids.take(asked)
            found[asked[same]] = row[same] - 1
            slot = self._after(slot)
            row = self._slots.take(slot)
            on = np.flatnonzero((row > 0) & ~same)
            asked, slot, row = asked.take(on), slot.take(on), row.take(on)
        return found

    def add(self, entries: Entries) -> None:
        """Appends entries, at most `room` of them; of equal ids the last one is found from now on."""
        first, self.used = self.used, self.used + len(entries)
        self.entries[first : self.used] = entries
        if len(entries) <= FEW:
            for place, one in enumerate(entries["id"].tolist(), first):
                self._held[place] = one
                self._index[self._slot_of(one)] = 1 + place
            return
        rows = np.arange(first, self.used, dtype=np.int32) + 1
        want = np.ascontiguousarray(entries["id"])
        self.ids[first : self.used] = want
        slot = (want & self._mask).astype(np.int64)
        while len(rows):
            row = self._slots[slot]
            mine = (row == 0) | (self.ids[row - 1] == want)
            self._slots[slot[mine]] = rows[mine]  # of several that want one slot the last gets it
            lost = self.ids[self._slots[slot] - 1] != want
            rows, want, slot = rows[lost], want[lost], self._after(slot[lost])

    def holds(self, one: int) -> bool:
        """Whether this id is here."""
        return self._index[self._slot_of(one)] > 0

    def _slot_of(self, one: int) -> int:
        """The slot of this id, or the free one that it would take."""
        held, index, mask = self._held, self._index, self._mask
        slot = one & mask
        while (row := index[slot]) and held[row - 1] != one:
            slot = (slot + 1) & mask
        return slot

    def _after(self, slot: Ints) -> Ints:
        return (slot + 1) & self._mask


class Judged(NamedTuple):
    """A judged batch: what to offer to `begin`, and what to remember once the offer is taken."""

    proposal: Proposal
    fresh: Entries


class Judge:
    """Judges the records of one partition from `position` on."""

    def __init__(self, limits: Limits, *, dedup: bool = True) -> None:
        self._limits = limits
        self._dedup = dedup
        self._largest = max(_SMALLEST, limits.dedup_offsets // 2)
        self._generations: list[_Generation] = []
        self.position = 0
        self.clock_s = 0

    @property
    def ids(self) -> int:
        """How many ids are remembered."""
        return sum(generation.used for generation in self._generations)

    @property
    def bytes(self) -> int:
        """What the window takes, in bytes."""
        return sum(generation.bytes for generation in self._generations)

    def load(self, log: IdLog | None, position: int) -> None:
        """Forgets everything and takes home's id log, right for `position`; None: nothing was ever fresh."""
        self._generations = []
        self.position = position
        self.clock_s = 0 if log is None else log.clock_s
        if log is not None:
            self._remember(decode_ids(log.blobs))

    def judge(self, facts: Facts, last: int) -> Judged:
        """Verdicts of the records position..last. Changes nothing: `accept` does, once the range is open."""
        if 0 < len(facts.offset) <= FEW and self._all_fresh(facts):
            return self._fresh(facts, last)
        seconds = np.minimum(np.maximum(facts.record_ms // 1000, self.clock_s), LATEST_S)
        clock_s = np.maximum.accumulate(seconds)
        verdicts = self._by_time(facts)
        if self._dedup:
            self._by_id(facts, clock_s, verdicts)
        odd = np.flatnonzero(verdicts)
        exceptions = _exceptions(facts.offset[odd], verdicts[odd])
        fresh = self._entries(facts, clock_s, np.flatnonzero(verdicts == Verdict.FRESH) if len(odd) else slice(None))
        upto_s = int(clock_s[-1]) if len(clock_s) else self.clock_s
        return Judged(Proposal(last, exceptions, encode_ids(fresh), upto_s), fresh)

    def _all_fresh(self, facts: Facts) -> bool:
        """Whether nothing is odd about any of a few records."""
        ahead_ms, ids = (facts.event_ms - facts.record_ms).tolist(), facts.event_id.tolist()
        in_time = -self._limits.late_ms <= min(ahead_ms) and max(ahead_ms) <= self._limits.future_ms
        return in_time and True not in facts.dead.tolist() and not (self._dedup and self._knows_some(ids))

    def _knows_some(self, ids: list[int]) -> bool:
        return len(set(ids)) < len(ids) or any(known.holds(one) for known in self._generations for one in ids)

    def _fresh(self, facts: Facts, last: int) -> Judged:
        """What follows from a few records that are all fresh."""
        packed, clock_s = [HEADER], self.clock_s
        columns = [column.tolist() for column in (facts.event_id, facts.offset, facts.payload, facts.record_ms)]
        for event_id, offset, payload, record_ms in zip(*columns, strict=True):
            clock_s = min(max(record_ms // 1000, clock_s), LATEST_S)
            packed.append(PACKED.pack(event_id, offset, payload, clock_s))
        ids = b"".join(packed)
        return Judged(Proposal(last, {}, ids, clock_s), _decoded(ids))

    def skip(self, last: int) -> Judged:
        """A range without any record: only the position moves."""
        return Judged(Proposal(last, {}, b"", self.clock_s), np.empty(0, ENTRY))

    def accept(self, judged: Judged) -> None:
        """The range was opened as offered: its fresh ids are remembered, and what is out of reach is let go."""
        self._remember(judged.fresh)
        self.position, self.clock_s = judged.proposal.last + 1, judged.proposal.clock_s
        while self._generations and self._is_out(self._generations[0]):
            del self._generations[0]

    def _is_out(self, generation: _Generation) -> bool:
        _, offset, _, clock_s = generation.entries.item(generation.used - 1)
        behind, older_s = self.position - offset, self.clock_s - clock_s
        return bool(behind > self._limits.dedup_offsets or older_s > self._limits.dedup_s)

    def _remember(self, entries: Entries) -> None:
        while len(entries):
            if not self._generations or not self._generations[-1].room:
                self._generations.append(_Generation(min(self._largest, max(_SMALLEST, 4 * self.ids))))
            generation = self._generations[-1]
            now, entries = entries[: generation.room], entries[generation.room :]
            generation.add(now)

    def _by_time(self, facts: Facts) -> npt.NDArray[np.uint8]:
        ahead_ms = facts.event_ms - facts.record_ms
        verdicts = np.zeros(len(ahead_ms), np.uint8)
        verdicts[ahead_ms < -self._limits.late_ms] = Verdict.TOO_LATE
        verdicts[ahead_ms > self._limits.future_ms] = Verdict.FUTURE
        verdicts[facts.dead] = Verdict.DEAD
        return verdicts

    def _by_id(self, facts: Facts, clock_s: Ints, verdicts: npt.NDArray[np.uint8]) -> None:
        """Marks duplicates and conflicts. Each id stands alone, so only those seen twice are walked through."""
        alive = np.flatnonzero(~facts.dead)
        ids = facts.event_id[alive]
        earlier: _Earlier = {}
        suspect = _repeated(ids)
        for generation in self._generations:
            rows = generation.find(ids)
            hits = np.flatnonzero(rows >= 0)
            if len(hits):
                suspect[hits] = True
                earlier |= _known(generation.entries[rows[hits]])
        rows = alive[suspect]
        if len(rows):
            verdicts[rows] = self._weighed(facts, clock_s, verdicts, rows, earlier)

    def _weighed(
        self, facts: Facts, clock_s: Ints, verdicts: npt.NDArray[np.uint8], rows: Ints, earlier: _Earlier
    ) -> list[int]:
        """The verdicts of these rows, in offset order: an earlier fresh id within reach outweighs a wrong time."""
        columns = (facts.event_id, facts.offset, facts.payload, clock_s, verdicts)
        weighed = []
        for event_id, offset, payload, now_s, verdict in zip(*(c[rows].tolist() for c in columns), strict=True):
            known = earlier.get(event_id)
            if known is not None and self._reaches(known, offset, now_s):
                verdict = int(Verdict.DUPLICATE if known[1] == payload else Verdict.CONFLICT)
            elif verdict == Verdict.FRESH:
                earlier[event_id] = (offset, payload, now_s)
            weighed.append(verdict)
        return weighed

    def _reaches(self, known: tuple[int, int, int], offset: int, now_s: int) -> bool:
        return offset - known[0] <= self._limits.dedup_offsets and now_s - known[2] <= self._limits.dedup_s

    def _entries(self, facts: Facts, clock_s: Ints, rows: Ints | slice) -> Entries:
        ids = facts.event_id[rows]
        entries = np.empty(len(ids), ENTRY)
        entries["id"], entries["offset"] = ids, facts.offset[rows]
        entries["payload"], entries["clock_s"] = facts.payload[rows], clock_s[rows]
        return entries


def _repeated(ids: Ids) -> npt.NDArray[np.bool_]:
    """(n,) which ids occur more than once in the batch."""
    if len(set(ids.tolist())) == len(ids):
        return np.zeros(len(ids), np.bool_)
    ordered = np.sort(ids)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    return np.isin(ids, twice) if len(twice) else np.zeros(len(ids), np.bool_)


def _known(entries: Entries) -> _Earlier:
    return {event_id: (offset, payload, clock_s) for event_id, offset, payload, clock_s in entries.tolist()}


def _exceptions(offsets: Ints, verdicts: npt.NDArray[np.uint8]) -> Exceptions:
    return {o: _VERDICTS[v] for o, v in zip(offsets.tolist(), verdicts.tolist(), strict=True)}
