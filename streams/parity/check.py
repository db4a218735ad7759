"""A check: the feed goes through the replay, what was logged is read beside it, and both meet in pairs.

    feed -> replay -> pairs <- decisions            one round goes up to a line (streams/past/)
      \\--> oracle, if there is one; asked at the end, for a sample

A round may be followed by another: the replay keeps its bags, so the check goes on where the log has grown. The price:
what is logged is read a stretch ahead of what is rebuilt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from features.definitions import Definitions
from features.replay import AT_ONCE, Range, Rebuilt, Replay
from schemas.records import Record
from streams.parity.oracle import Oracle, Sample
from streams.parity.pairs import Logged, Pairs, Terms, Why
from streams.parity.tally import Tally
from streams.past.feed import Feed, Told
from streams.past.reach import reach_ms
from streams.past.reading import Line, Partition, Past

DECISIONS = "decisions"
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """What to compare: vectors of orders in [from_ms, to_ms), and `sample` of them with the oracle."""

    from_ms: int = 0
    to_ms: int = 2**62
    sample: int = 0


@dataclass(slots=True)
class Report:
    """What a check found so far."""

    replay: Tally
    oracle: Tally | None
    left_out: Mapping[str, int]
    copies: int
    undecided: int
    pending: int
    lagging: Sequence[Partition] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.wrong

    @property
    def wrong(self) -> list[str]:
        """The features that differ, from the replay or the oracle."""
        other = self.oracle.wrong if self.oracle else []
        return list(dict.fromkeys([*self.replay.wrong, *other]))

    def as_dict(self) -> dict[str, Any]:
        return {
            "holds": self.holds,
            **self.replay.as_dict(),
            "copies": self.copies,
            "not_compared": dict(self.left_out) | {"pending": self.pending},
            "undecided": self.undecided,
            "oracle": self.oracle.as_dict() if self.oracle else None,
        }

    def lines(self) -> Iterator[str]:
        """For a terminal."""
        yield _line("the replay in applied order", self.replay)
        yield from self.replay.lines(SHOWN)
        if self.oracle is not None:
            yield _line("the oracle, on a sample", self.oracle)
            yield from self.oracle.lines(SHOWN)
        others = {**self.left_out, "pending": self.pending}
        if told := ", ".join(f"{name} {count:,}" for name, count in others.items() if count):
            yield f"not compared: {told}"
        if self.undecided:
            yield f"{self.undecided:,} orders have no vector in `{DECISIONS}` (`headrace audit` says whether they must)"
        if self.pending and self.lagging:
            names = ", ".join(f"{topic}/{number}" for topic, number in self.lagging)
            yield f"pending: what was decided since {names} stands still; start a worker, or wait"


def _line(against: str, tally: Tally) -> str:
    said = "all equal" if not tally.mismatches else f"{tally.mismatches:,} differ in {len(tally.wrong)} features"
    return f"{tally.compared:,} vectors against {against}: {said}"


class Check:
    """`open` it, `look` once or again and again, then ask for the `report`."""

    def __init__(
        self,
        past: Past,
        definitions: Definitions,
        asked: Asked,
        *,
        lifetimes_ms: Mapping[str, int],
        future_ms: int = 0,
        oracle: Oracle | None = None,
    ) -> None:
        """`lifetimes_ms`: of bags in the store, by group. `future_ms`: how far an event may be ahead of its record."""
        self._past, self._definitions, self._oracle = past, definitions, oracle
        self._lifetimes_ms = lifetimes_ms
        self._names = definitions.vector.names
        back_ms = reach_ms(definitions, future_ms)
        self._feed = Feed(past, definitions, 0 if back_ms is None else max(0, asked.from_ms - back_ms))
        terms = Terms(definitions.vector.hash, asked.from_ms, asked.to_ms, back_ms)
        self._pairs = Pairs(Tally(self._names), terms, lambda: self._feed.lost_ms)
        self._sample = Sample(asked.sample)
        if oracle is not None:
            self._pairs.chosen = self._sample.choose
        self._replay: Replay | None = None
        self._logs: list[_Log] = []
        self._line = Line({}, ())

    async def open(self) -> None:
        """Finds topics and partitions."""
        await self._feed.open()
        topics = await self._past.topics([DECISIONS, *(flow.topic for flow in self._definitions.flows)])
        logged = topics[DECISIONS].partitions if DECISIONS in topics else 0
        level = len({topic.partitions for topic in topics.values()}) == 1
        self._logs = [_Log(self._past, number, level) for number in range(logged)]

    async def look(self, patience_s: float) -> None:
        """One round: up to the line that is drawn now."""
        self._line = await self._feed.line(patience_s)
        if not self._line.complete:
            return
        replay = self._replay = self._replay or Replay(
            self._definitions, len(self._line.complete), lifetimes_ms=self._lifetimes_ms
        )
        async for range_ in self._feed.ranges():
            self._take(replay, range_)
            if replay.waiting >= AT_ONCE:
                await self._meet(replay.advance(self._feed.complete))
        await self._meet(replay.advance(self._feed.complete))
        for log in self._logs:
            async for one in log.rest():
                self._pairs.logged(one)
        self._pairs.settle()

    def end(self) -> Report:
        """No further round is to come: asks the oracle, and counts what met nothing."""
        self._pairs.end()
        return self.report(self._ask() if self._oracle else None)

    def report(self, oracle: Tally | None = None) -> Report:
        """As far as it is."""
        pairs, pending = self._pairs, self._replay.waiting if self._replay else 0
        unknown = max(0, pairs.left_out[Why.UNKNOWN] - pending)
        left_out = {why.value: pairs.left_out[why] for why in Why} | {Why.UNKNOWN.value: unknown}
        return Report(pairs.tally, oracle, left_out, pairs.copies, pairs.undecided, pending, self._line.lagging)

    def _take(self, replay: Replay, range_: Range) -> None:
        replay.take(range_)
        if self._oracle is not None:
            told: Told = range_.tag
            events = list(zip(told.offset.tolist(), told.values, strict=True))
            self._oracle.take(range_.topic, told.applied.partition, range_.numbers, events)

    async def _meet(self, rebuilt: Sequence[Rebuilt]) -> None:
        """Reads what was logged as far as it was rebuilt."""
        upto: dict[Partition, int] = {}
        for one in rebuilt:
            self._pairs.rebuilt(one)
            applied = one.range.tag.applied
            upto[applied.topic, applied.partition] = max(upto.get((applied.topic, applied.partition), -1), applied.last)
        for partition, last in upto.items():
            for log in self._logs:
                async for one_logged in log.upto(partition, last):
                    self._pairs.logged(one_logged)
        self._pairs.settle()

    def _ask(self) -> Tally:
        """The oracle's answers for the sample."""
        assert self._oracle is not None
        tally = Tally(self._names)
        for one in self._sample.decisions:
            said = self._oracle.vector(one.topic, one.partition, one.offset)
            rebuilt = np.array([[said.get(name, np.nan) for name in self._names]])
            tally.compare([(one.order_id, one.decision_id, one.at_ms)], np.array([one.vector]), rebuilt)
        return tally


class _Log:
    """One partition of `decisions`, read as far as it is asked for."""

    def __init__(self, past: Past, number: int, level: bool) -> None:
        """`level`: a partition of `decisions` has the orders of the partition of the same number alone."""
        self._past, self._number, self._level = past, number, level
        self._decode = msgspec.json.Decoder(Logged).decode
        self._held: deque[Record] = deque()
        self._next = 0
        self._stretches: AsyncIterator[Sequence[Record]] | None = None
        self._seen: dict[Partition, int] = {}  # the largest offset of each input partition

    async def upto(self, partition: Partition, last: int) -> AsyncIterator[Logged]:
        """Until a vector of an order behind `last` comes, or the end."""
        if self._level and partition[1] != self._number:
            return
        while self._seen.get(partition, -1) <= last:
            one = await self._one()
            if one is None:
                return
            yield one

    async def rest(self) -> AsyncIterator[Logged]:
        """Up to the end."""
        while (one := await self._one()) is not None:
            yield one

    async def _one(self) -> Logged | None:
        while not self._held:
            if self._stretches is None:
                self._stretches = self._past.records((DECISIONS, self._number), self._next)
            stretch = await anext(self._stretches, None)
            if stretch is None:
                self._stretches = None
                return None
            self._held.extend(stretch)
        record = self._held.popleft()
        self._next = record.offset + 1
        one = self._decode(record.value or b"")
        place = one.topic, one.partition
        self._seen[place] = max(self._seen.get(place, -1), one.offset)
        return one
