"""Reads what the queue is made of: `decisions` and `labels`, from the logs' beginnings on.

A decision's time is the event time of its order, a label's that of its record: both are what a replay sets, and neither
is a clock of ours. So a log that is read twice gives the same sequence (merge.py), however fast it was written. What
cannot be read is a sign of the time all the same.

A partition that has been read to its end, and to which nothing has come for `idle_s` although the broker answered,
holds up the others no longer. Reading on stops where a partition is far ahead of the others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

import msgspec

from features.orders import Labelled, statement
from schemas.decode import DEFAULT_CURRENCIES, Decoded, decode_batch
from schemas.events import type_of
from schemas.ids import hash64
from schemas.records import Record
from streams.learner.merge import Merge
from streams.learner.queue import Decided, Heard
from streams.learner.said import decision_of
from streams.transport.log import LogReader

DECISIONS: Final = "decisions"
LABELS: Final = "labels"
FETCH_BYTES: Final = 1_000_000
AHEAD: Final = 5_000  # records of a partition that wait for the others
BLIND_S: Final = 5.0  # without an answer for so long: what was quiet before says nothing

Item = Decided | Heard


class Source(NamedTuple):
    """A partition."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """What workers take for a label; others are dead letters, and say nothing here either."""

    late_ms: int
    future_ms: int
    currencies: Collection[str] = DEFAULT_CURRENCIES
    decode: Callable[[Sequence[bytes | None]], Decoded] | None = None  # None: ours, of these currencies


class At(msgspec.Struct, frozen=True):
    """How far a partition was read: the first record that is not in the queue, and the least time that it may have."""

    position: int
    clock: int


@dataclass(slots=True)
class _Place:
    position: int
    end: int
    target: int  # the end when reading began
    items: list[int] = field(default_factory=list)  # offsets of the records that wait in the merge, at the end
    quiet_since_s: float = 0.0
    answered_s: float = 0.0


class _Decision(msgspec.Struct, gc=False):
    """Of a record of `decisions`, what the queue needs."""

    decision_id: str
    order_id: str
    at_ms: int


_decode = msgspec.json.Decoder(_Decision).decode


def sources_of(partitions: Mapping[str, int]) -> list[Source]:
    """All of them, decisions first: at equal times a label finds its order."""
    return [Source(topic, number) for topic in (DECISIONS, LABELS) for number in range(partitions[topic])]


class Feed:
    """`once`: what comes after the ends of now is not waited for."""

    def __init__(
        self,
        log: LogReader,
        sources: Sequence[Source],
        accepted: Accepted,
        *,
        idle_s: float,
        once: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._sources, self._accepted, self._clock = log, sources, accepted, clock
        self._idle_s = 0.0 if once else idle_s
        self._places: list[_Place] = []
        self.merge: Merge[Item] = Merge(len(sources))

    async def begin(self) -> None:
        """At the logs' beginnings. Raises SinkDown, Stop."""
        self._places = [_Place(start, end, end) for start, end in await self._bounds()]
        self.merge = Merge(len(self._sources))

    async def go_on(self, places: Sequence[At], now: int) -> bool:
        """From there on; False, and nothing is begun, where a log ends before: it lost records. Raises SinkDown, Stop.

        What retention has deleted since is passed over.
        """
        bounds = await self._bounds()
        if any(at.position > end for at, (_, end) in zip(places, bounds, strict=True)):
            return False
        self._places = [
            _Place(max(at.position, start), end, end) for at, (start, end) in zip(places, bounds, strict=True)
        ]
        self.merge = Merge.at([at.clock for at in places], now)
        return True

    async def _bounds(self) -> list[tuple[int, int]]:
        return await asyncio.gather(*(self._log.bounds(*source) for source in self._sources))

    def places(self) -> list[At]:
        """Of each source the first record that the merge has not given out."""
        clocks = self.merge.clocks()
        return [At(self._given_out(number), clock) for number, clock in enumerate(clocks)]

    def _given_out(self, number: int) -> int:
        """What waits is read again."""
        place, waiting = self._places[number], self.merge.held(number)
        return place.items[-waiting] if waiting else place.position

    def has(self, newest: Mapping[int, int]) -> bool:
        """Whether decisions up to these offsets, by partition, were all given out."""
        given = {s.partition: self._given_out(n) for n, s in enumerate(self._sources) if s.topic == DECISIONS}
        return all(given[partition] > offset for partition, offset in newest.items())

    @property
    def caught_up(self) -> bool:
        """Whether all is read that was there at the beginning."""
        return all(place.position >= place.target for place in self._places)

    def lags(self) -> Iterator[tuple[Source, int]]:
        """Records that are not read yet."""
        for source, place in zip(self._sources, self._places, strict=True):
            yield source, max(0, place.end - place.position)

    async def read(self) -> bool:
        """Fetches what has come; whether anything had. Raises SinkDown, Stop."""
        wanted = [n for n in range(len(self._sources)) if self.merge.held(n) < AHEAD]
        found = await asyncio.gather(*(self._read(number) for number in wanted), return_exceptions=True)
        for one in found:  # once all have ended: none may come back into the next round
            if isinstance(one, BaseException):
                raise one
        return any(found)

    async def _read(self, number: int) -> bool:
        source, place = self._sources[number], self._places[number]
        chunk = await self._log.fetch(*source, place.position, max_bytes=FETCH_BYTES)
        now_s = self._clock()
        if now_s - place.answered_s > BLIND_S:
            place.quiet_since_s = now_s
        place.position, place.end, place.answered_s = chunk.position, chunk.end, now_s
        if chunk.records:
            place.quiet_since_s = now_s
            self._add(number, source, chunk.records)
        if place.position >= max(place.end, place.target) and now_s - place.quiet_since_s >= self._idle_s:
            self.merge.rest(number)
        return bool(chunk.records)

    def _add(self, number: int, source: Source, records: Sequence[Record]) -> None:
        if source.topic == DECISIONS:
            items: Iterator[tuple[int, Item | None]] = decided(source.partition, records)
        else:
            items = heard(records, self._accepted)
        for record, (at_ms, item) in zip(records, items, strict=True):
            if item is None:
                self.merge.tick(number, at_ms)
            else:
                self.merge.add(number, at_ms, item)
                self._places[number].items.append(record.offset)
        offsets = self._places[number].items
        del offsets[: len(offsets) - self.merge.held(number)]


def decided(partition: int, records: Sequence[Record]) -> Iterator[tuple[int, Decided | None]]:
    """What records of `decisions` say, with their times; one that cannot be read says nothing, at no time."""
    for record in records:
        try:
            one = _decode(record.value or b"")
        except msgspec.MsgspecError:
            yield 0, None
            continue
        item = Decided(hash64(one.order_id), decision_of(one.decision_id), one.at_ms, partition, record.offset)
        yield one.at_ms, item


def heard(records: Sequence[Record], accepted: Accepted) -> Iterator[tuple[int, Heard | None]]:
    """The same of `labels`: chargebacks and reviews say something, as in training sets."""
    decode = accepted.decode or partial(decode_batch, LABELS, currencies=accepted.currencies)
    decoded = decode([record.value for record in records])
    for record, label, at_ms in zip(records, decoded.events, decoded.at_ms.tolist(), strict=True):
        fraud = None if label is None else statement(label)
        if fraud is None or not -accepted.late_ms <= at_ms - record.timestamp <= accepted.future_ms:
            yield record.timestamp, None
            continue
        yield record.timestamp, Heard(hash64(label.order_id), Labelled(at_ms, label.event_id, type_of(label), fraud))
