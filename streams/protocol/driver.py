"""The worker of one partition: LEARN the place, then range after range until it is cancelled, fenced or must stop.

begin agrees a range on the partition's home shard, apply hands it to every shard and brings the bags back, the row goes
out while the range is decided, the outputs once the row is acknowledged, and the next begin says so. Whatever dies in
between, the next owner finds the range open and gets the same answers. `docs/protocol.md` has the rules, and the
schedule that breaks each one left out.

While a range waits for the store and for acknowledgements the next batch is fetched and decoded (ahead.py), no more:
only one range is ever open. The price: two round trips to the store (one where it can begin and apply at once) and two
to the broker a range.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic

from streams.protocol import stops
from streams.protocol.again import look_again
from streams.protocol.ahead import Ahead, Ready, decoded
from streams.protocol.beside import Handle, Start, task
from streams.protocol.judge import Judge
from streams.protocol.learn import Learned, learn
from streams.protocol.observer import Laps, Observer, RangeDone, Silent, Stages
from streams.protocol.ports import (
    ApplyReply,
    Begin,
    Limits,
    O,
    Open,
    P,
    Position,
    R,
    Rebind,
    Row,
    ShardBags,
    ShardCall,
    Sink,
    SinkDown,
    Source,
    Store,
    StoreDown,
    Swap,
    Tp,
    Unknown,
    Work,
)
from streams.protocol.pulse import Pulse
from streams.protocol.safety import SAFE, Safety
from streams.protocol.shards import EVERY_STAMP, Lost, Shards, Taken

UNSENT_S = 0.2  # with `acked` off: how long a range is said to be published and is not, and longer from partition to
# partition: where they keep step, the first output of one means that no other has a range unsent, and no kill met one


def _token() -> bytes:
    return os.urandom(16)


ROW_TURNS = 3  # of the loop, until a row is on its way to the broker; then the range is decided, which blocks the loop


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient a driver is."""

    stall_s: float = 10.0  # the session timeout: after a standstill this long another owner may be at work
    chunk: int = 2000  # offsets of one step of a catch-up
    backoff_s: float = 0.05  # after the first failure; doubles
    backoff_most_s: float = 5.0


class Driver(Generic[R, P, O]):
    """One partition's worker. `config` names the configuration that new ranges are pinned to, asked for each."""

    def __init__(
        self,
        tp: Tp,
        store: Store,
        source: Source[R],
        sink: Sink[O],
        work: Work[R, P, O],
        config: Callable[[], str],
        *,
        limits: Limits,
        pace: Pace | None = None,
        observer: Observer | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        token: Callable[[], bytes] = _token,
        start: Start = task,
        safety: Safety = SAFE,
    ) -> None:
        self._tp, self._store, self._source, self._sink, self._work = tp, store, source, sink, work
        self._config, self._sleep, self._clock, self._token, self._start = config, sleep, clock, token, start
        self._pace, self._observer, self._safety = pace or Pace(), observer or Silent(), safety
        self._judge = Judge(limits, dedup=safety.dedup)
        self._pulse = Pulse(clock, self._pace.stall_s)
        self._shards = Shards(tp, store, source, work, self._observer, self._pulse.beat, self._pace.chunk)
        self._learned: Learned | None = None
        self._ahead = Ahead(source, work, start)
        self._opened = False  # the sink
        self._failures = 0
        self._again = False  # whether some shard may have been caught up and not been looked at since
        self._published = -1  # everything up to here is out, as far as this owner knows
        self._since = 0  # exactly-once: the committed offset
        self._tail = -1  # the largest offset known to have a row

    @property
    def place(self) -> int | None:
        """The first offset that is not published yet; None while it is being learnt."""
        return None if self._learned is None else self._learned.place

    async def run(self) -> None:
        """Works until cancelled. Raises `Fenced` when another owner took over, `Stop` when only a person can help."""
        try:
            while True:
                await self.turn()
        finally:
            self.close()

    async def leave(self) -> None:
        """Before the partition is given up in good order: closes what is published, so that the next owner need not
        publish it again. Raises StoreDown.
        """
        if self._learned is not None:
            await self._store.begin(self._tp, Begin(self._published))

    def close(self) -> None:
        """Lets go of the batch ahead."""
        self._ahead.drop()

    async def turn(self) -> None:
        """One LEARN, one range or one idle round. Outages are waited out here: lag grows, nothing is lost."""
        try:
            await self._turn()
            self._failures = 0
        except Lost:
            self._learned = None
        except (StoreDown, SinkDown) as error:
            self._learned = None
            self._opened = self._opened and not isinstance(error, SinkDown)
            wait_s = min(self._pace.backoff_most_s, self._pace.backoff_s * 2.0 ** min(self._failures, 16))
            self._failures += 1
            self._observer.outage(self._tp, error, wait_s)
            await self._sleep(wait_s)

    async def _turn(self) -> None:
        if self._learned is None:
            await self._learn()
        elif self._learned.open is not None:
            await self._repeat(self._learned.open, self._learned.genesis)
        else:
            if self._again:
                self._again = await look_again(self._shards, self._sink, self._since)
            await self._advance(self._learned)

    # ---- LEARN

    async def _learn(self) -> None:
        if not self._opened:
            committed = await self._sink.open(self._tp)
            if committed is not None:
                self._since, self._published = committed, committed - 1
            self._opened = True
        args = (self._tp, self._store, self._source, self._sink)
        learned = await learn(*args, self._published, self._since)
        if learned is None:
            return
        self._tail = max(self._tail, learned.tail)
        self._judge.load(learned.ids, learned.judged)
        if learned.open is not None and not self._safety.plan:
            self._published = learned.judged
            learned = Learned(learned.genesis, learned.judged, None, learned.tail, None)
        self._learned = learned
        self._again = self._work.joins and self._safety.again
        if learned.open is None:
            self._source.done(learned.place - 1)
        self._observer.learned(self._tp, learned.place, repeat=learned.open is not None)

    # ---- LOOP

    async def _advance(self, learned: Learned) -> None:
        laps = Laps(self._clock)
        ready = await self._ahead.take(learned.place)
        laps.lap("fetch_s")
        if ready is None:
            await self._idle(learned)
            return
        judged = self._judge.judge(ready.facts, ready.batch.last)
        laps.lap("judge_s")
        self._pulse.start()
        published, place, genesis = self._published, learned.place, learned.genesis
        asked = Begin(
            published, judged.proposal, place, genesis, self._config(), self._token(), max(self._tail, published)
        )
        calls = self._work.calls(ready.prepared, judged.proposal.exceptions, place)
        self._ahead.ask(judged.proposal.last + 1)
        reply, replies = await self._store.take(self._tp, asked, calls)
        if isinstance(reply, Rebind):
            raise stops.rebind(self._tp, reply.known)
        if not (isinstance(reply, Open) and reply.mine):
            raise Lost
        self._judge.accept(judged)
        await self._finish(reply, genesis, ready, laps, calls, replies)

    async def _repeat(self, range_: Open, genesis: int) -> None:
        """A range that was open already: the same records, the same configuration, the same bytes."""
        laps = Laps(self._clock)
        self._ahead.drop()
        self._source.hold(range_.last)
        batch = await self._source.read(range_.first, range_.last)
        if batch is None or batch.last != range_.last:
            raise stops.log_holes(self._tp, range_.first, range_.last)
        laps.lap("fetch_s")
        exact = await self._work.ready(range_.config)
        self._pulse.start()
        self._ahead.ask(range_.last + 1)
        ready = decoded(self._work, batch)
        calls = self._work.calls(ready.prepared, range_.exceptions, range_.first)
        await self._finish(range_, genesis, ready, laps, calls, exact=exact)

    async def _finish(
        self,
        range_: Open,
        genesis: int,
        ready: Ready[R, P],
        laps: Laps,
        calls: Sequence[ShardCall],
        replies: Sequence[ApplyReply] | None = None,
        *,
        exact: bool = True,
    ) -> None:
        """From an open range to acknowledged outputs. `replies`: what the shards have answered to `calls` already.

        `exact`: whether its configuration is what it was when the range was begun.
        """
        try:
            taken = await self._shards.take(range_, genesis, ready.prepared, self._published, calls, replies)
        except Lost:
            self._observer.dropped(self._tp, range_.first, range_.last)
            raise
        laps.lap("apply_s")
        self._caught_up(taken.flag)
        recovered = not exact or range_.recovered or taken.flag or await self._differs(range_, taken)
        self._check_pulse()
        row = self._row(range_, taken, recovered)
        announced = self._start(self._announce(row))
        try:
            for _ in range(ROW_TURNS):
                await self._sleep(0)
            outputs = self._work.decide(ready.prepared, range_, self._visible(taken.bags), recovered)
            laps.lap("decide_s")
            self._check_pulse()
            swaps = self._work.compact(ready.prepared, taken.bags)
            swapping = self._start(self._swap(swaps)) if swaps else None
            laps.lap("compact_s")
            await self._publish(row, outputs, announced)
        finally:
            announced.cancel()
        if swapping is not None:
            await swapping
        laps.lap("publish_s")
        self._learned = Learned(genesis, range_.last + 1, None, self._tail, None)
        self._source.done(range_.last)
        self._observer.done(self._tp, self._done(range_, ready, recovered, laps.stages))

    async def _idle(self, learned: Learned) -> None:
        """Closes what is published, and looks for shards that lost their tail under a quiet partition."""
        place = learned.place
        reply = await self._store.begin(self._tp, Begin(self._published))
        if isinstance(reply, Unknown) and place == learned.genesis:
            return
        if not isinstance(reply, Position) or reply.at != place:
            raise Lost
        behind: dict[int, int] = {}
        standings = await self._store.where(self._tp, closed=place)
        for shard, standing in enumerate(standings):
            if standing is not None and standing.topic_id != self._tp.topic_id:
                raise stops.rebind(self._tp, standing.topic_id)
            at = learned.genesis if standing is None else standing.position
            if at < place:
                behind[shard] = at
        self._observer.behind(self._tp, len(behind))
        for shard, at in behind.items():
            await self._shards.catch_up(shard, learned.genesis, at, place - 1, self._token())
        if behind:
            self._observer.behind(self._tp, 0)
        self._caught_up(bool(behind) or any(one is not None and one.again for one in standings))

    def _caught_up(self, some: bool) -> None:
        """Notes that a shard was caught up: where flows meet, what that changed is looked at before the next range."""
        self._again |= some and self._work.joins and self._safety.again

    # ---- publishing

    async def _differs(self, range_: Open, taken: Taken) -> bool:
        """At-least-once: a repeat gives the bytes of before if every row that overlaps it is of this range and numbers.

        A row with other bounds is from another life: a range was open when the store was saved, its offsets were
        published otherwise, and then the store came back with it.
        """
        if range_.mine or self._sink.exactly_once:
            return False
        rows = await self._sink.rows(self._tp, range_.first, range_.last)
        same = (range_.first, range_.last, taken.numbers)
        return any((row.first, row.last, row.numbers) != same for row in rows)

    def _visible(self, bags: Sequence[ShardBags]) -> Sequence[ShardBags]:
        return bags if self._safety.stamps else [bag._replace(number=EVERY_STAMP) for bag in bags]

    def _check_pulse(self) -> None:
        self._pulse.beat()
        if self._pulse.stalled:
            self._observer.stalled(self._tp, self._pulse.longest_s)
            raise Lost

    def _row(self, range_: Open, taken: Taken, recovered: bool) -> Row:
        self._tail = max(self._tail, self._published, range_.last)
        return Row(
            self._tp.topic,
            self._tp.partition,
            self._tp.topic_id,
            range_.first,
            range_.last,
            range_.config,
            range_.exceptions,
            taken.numbers,
            recovered,
            self._tail,
        )

    async def _announce(self, row: Row) -> Exception | None:
        """At-least-once: sends the row while the range is decided. A failure is handed over, not raised."""
        if self._sink.exactly_once or not self._safety.row_first:
            return None
        try:
            await self._sink.row(row)
        except Exception as error:
            return error
        return None

    async def _publish(self, row: Row, outputs: O, announced: Handle[Exception | None]) -> None:
        if not self._safety.acked:
            await self._store.begin(self._tp, Begin(row.last))
            await self._sleep(UNSENT_S * (1 + 2 * self._tp.partition))
        failure: Exception | None = await announced
        if failure is not None:
            raise failure
        if self._sink.exactly_once:
            await self._sink.transact(row, outputs, self._since)
            self._since = max(self._since, row.last + 1)
        else:
            await self._sink.publish(self._tp, outputs)
            if not self._safety.row_first:
                await self._sink.row(row)
        self._published = max(self._published, row.last)

    async def _swap(self, swaps: Sequence[Swap]) -> None:
        """Compaction runs beside the publishing; a failure is left to the next call to meet."""
        with suppress(StoreDown):
            accepted = await self._store.swap(swaps)
            self._observer.compacted(self._tp, len(swaps), accepted)

    def _done(self, range_: Open, ready: Ready[R, P], recovered: bool, stages: Stages) -> RangeDone:
        return RangeDone(
            range_.first,
            range_.last,
            len(ready.batch.records),
            range_.exceptions,
            range_.config,
            not range_.mine,
            recovered,
            stages,
            self._judge.ids,
            self._judge.bytes,
        )
