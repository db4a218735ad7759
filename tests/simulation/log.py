"""The simulated input log, and the naive judge that the real one is held against."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from streams.protocol.ports import Batch, Limits, Tp, Verdict

KEYS = tuple(b"e%d" % i for i in range(6))
START_MS = 1_700_000_000_000


Meets = Callable[[random.Random, int, int], tuple[str, bytes]]
"""Dice, an event's id and its time -> the order id it names, and the record that it leaves there."""


@dataclass(frozen=True, slots=True)
class Record:
    offset: int
    record_ms: int
    event_ms: int
    event_id: int
    payload: int
    dead: bool
    keys: tuple[bytes, ...]
    meets: tuple[str, bytes] | None = None  # the order id that it shares with other topics, and its record there


@dataclass(slots=True)
class Old:
    """An id that a topic left behind when it was made anew."""

    event_id: int
    payload: int
    clock_s: int


@dataclass(slots=True)
class Partition:
    """One partition's log: records with holes between them, appended while the world runs."""

    tp: Tp
    number: int
    scored: bool
    limits: Limits
    records: list[Record] = field(default_factory=list)
    start: int = 0
    old: list[Old] = field(default_factory=list)
    old_clock_s: int = 0
    meets: Meets | None = None  # what its records leave where flows meet

    @property
    def joins(self) -> bool:
        """Whether its records meet those of other topics."""
        return self.meets is not None or self.tp.topic == "outcomes"

    @property
    def end(self) -> int:
        return self.records[-1].offset + 1 if self.records else self.start

    def grow(self, rng: random.Random, ids: list[int], count: int) -> None:
        """Appends records: a sixth repeat an id of this partition, some are dead, late, early or out of order."""
        for _ in range(count):
            offset = self.end + (rng.choice((1, 2, 9)) if rng.random() < 0.15 else 0)
            now_ms = self.records[-1].record_ms if self.records else START_MS
            record_ms = now_ms + rng.choice((0, 300, 2000, 2000, -5000, 30_000))
            event_ms = record_ms + rng.choice((0, 0, 0, -50, -20_000_000 if rng.random() < 0.2 else 0, 0))
            if rng.random() < 0.04:
                event_ms += 10_000_000
            event_id, payload = rng.getrandbits(64), rng.getrandbits(32)
            again = [(r.event_id, r.payload) for r in self.records[-12:]] + [(o.event_id, o.payload) for o in self.old]
            if again and rng.random() < 0.17:
                event_id, payload = rng.choice(again)
                payload ^= rng.random() < 0.3
            ids.append(event_id)
            keys = tuple(sorted(rng.sample(KEYS, rng.choice((1, 2, 2, 3)))))
            dead = rng.random() < 0.05
            meets = self.meets(rng, event_id, event_ms) if self.meets is not None else None
            self.records.append(Record(offset, record_ms, event_ms, event_id, payload, dead, keys, meets))

    def tell(self, event_id: int, meets: tuple[str, bytes]) -> None:
        """Appends what a worker says; its time and content are not judged."""
        now_ms = self.records[-1].record_ms + 1 if self.records else START_MS
        self.records.append(Record(self.end, now_ms, now_ms, event_id, 0, False, (), meets))

    def batch(self, first: int, last: int, most: int) -> Batch[Record] | None:
        records = [r for r in self.records if first <= r.offset <= last][:most]
        return Batch(first, records) if records else None

    def verdicts(self) -> list[Verdict]:
        """By the words of the rule: looks at every earlier fresh record."""
        said: list[Verdict] = []
        fresh = [(self.start - 1, old.clock_s, old.event_id, old.payload) for old in self.old]
        clock_s = self.old_clock_s
        for r in self.records:
            clock_s = max(clock_s, r.record_ms // 1000)
            said.append(self._verdict(r, clock_s, fresh))
            if said[-1] == Verdict.FRESH:
                fresh.append((r.offset, clock_s, r.event_id, r.payload))
        return said

    def _verdict(self, r: Record, clock_s: int, fresh: list[tuple[int, int, int, int]]) -> Verdict:
        if r.dead:
            return Verdict.DEAD
        for offset, seen_s, event_id, payload in reversed(fresh):
            near = r.offset - offset <= self.limits.dedup_offsets and clock_s - seen_s <= self.limits.dedup_s
            if event_id == r.event_id and near:
                return Verdict.DUPLICATE if payload == r.payload else Verdict.CONFLICT
        if r.event_ms < r.record_ms - self.limits.late_ms:
            return Verdict.TOO_LATE
        return Verdict.FUTURE if r.event_ms > r.record_ms + self.limits.future_ms else Verdict.FRESH

    def fresh(self) -> list[Record]:
        return [r for r, verdict in zip(self.records, self.verdicts(), strict=True) if verdict == Verdict.FRESH]

    def left_behind(self) -> tuple[list[Old], int]:
        """The ids still in reach at the end of this log, and its clock: what a topic made anew starts with."""
        end, clock_s, clocks = self.end, self.old_clock_s, {}
        for r in self.records:
            clock_s = max(clock_s, r.record_ms // 1000)
            clocks[r.offset] = clock_s
        seen = [(self.start - 1, old) for old in self.old]
        seen += [(r.offset, Old(r.event_id, r.payload, clocks[r.offset])) for r in self.fresh()]
        n, h = self.limits.dedup_offsets, self.limits.dedup_s
        return [old for offset, old in seen if offset >= end - n and old.clock_s >= clock_s - h], clock_s


def weight(partition: int, offset: int) -> int:
    """What an event adds to a bag: sums of these give any missing or doubled event away."""
    return ((partition + 1) * 1_000_003 + offset) * 0x9E3779B97F4A7C15 % 2**64
