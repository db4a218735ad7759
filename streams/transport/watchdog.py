"""Ends a worker that is alive and does nothing: a silent stall is the one failure that nobody else sees.

It looks at offset progress alone. A partition is stalled if there is something to do (records to read, or given out and
not finished), nothing moved for longer than a session and a grace, and *the broker answers*: while it is away every
worker stands still, and to kill them then would only make the return slower. The same holds for a store that is known
to be down (`excused`), and for a process that was stopped itself. At the start: no answer from the group within
`assignment_s`.

The price: a range that takes longer than session and grace is taken for a stall.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from faust.types import TP

from streams.protocol.ports import SinkDown, Stop, StoreDown
from streams.transport.consumer import Standing

LOOK_EVERY_S = 1.0
ANSWER_WITHIN_S = 2.0
STOPPED_S = 7.0  # between two looks: the process itself stood still, and nothing in it could have moved
PROBE_AFTER_S = 2.0  # a broker that is away is noticed early, so that its return begins a full term


class StalledError(RuntimeError):
    """The worker must be started anew."""


class Watched(Protocol):
    """What is looked at: partitions.PartitionTasks and consumer.BatchConsumer, or a test's own."""

    @property
    def assigned(self) -> bool: ...

    def places(self) -> dict[TP, int]: ...


@dataclass(slots=True)
class Watchdog:
    """`watch` never returns; it raises StalledError."""

    tasks: Watched
    standings: Callable[[], Awaitable[dict[TP, Standing]]]
    answers: Callable[[], Awaitable[object]]  # raises SinkDown while the broker is away
    stall_s: float  # session timeout and grace
    assignment_s: float = 30.0
    excused: Callable[[], bool] = lambda: False
    tell: Callable[[float], object] = float  # for how long nothing has moved; 0 where that is excused
    look_every_s: float = LOOK_EVERY_S
    clock: Callable[[], float] = time.monotonic
    _seen: dict[TP, tuple[int, int | None]] = field(default_factory=dict)
    _moved_at: dict[TP, float] = field(default_factory=dict)
    _since: float = 0.0
    _looked_at: float | None = None

    async def watch(self) -> None:
        self._since = self.clock()
        while True:
            await asyncio.sleep(self.look_every_s)
            await self.look()

    async def look(self) -> None:
        """One look; raises StalledError."""
        now, before = self.clock(), self._looked_at
        self._looked_at = now
        if before is not None and now - before > STOPPED_S:
            self._spare()
        if self.tasks.assigned:
            still_s, what = self._stillest(await self._standings(), self.clock())
            allowed_s = self.stall_s
        else:
            still_s, what = self._unassigned(self.clock())
            allowed_s = self.assignment_s
        if still_s > PROBE_AFTER_S and (self.excused() or not await self._broker_answers()):
            self._spare()
            still_s = 0.0
        self.tell(still_s)
        if still_s > allowed_s:
            raise StalledError(what)

    def _unassigned(self, now: float) -> tuple[float, str]:
        still_s = now - self._since
        return still_s, (
            f"the group has given this worker no answer for {still_s:.0f} s: is another worker running with "
            "the same --slot, or the session timeout not allowed (HEADRACE_KAFKA__SESSION_TIMEOUT_MS)?"
        )

    def _stillest(self, standings: dict[TP, Standing], now: float) -> tuple[float, str]:
        """For how long the partition that has stood still longest has done so, and in which state."""
        places = self.tasks.places()
        for tp in self._seen.keys() - standings.keys():
            del self._seen[tp], self._moved_at[tp]
        for tp, standing in standings.items():
            seen = (standing.position, places.get(tp))
            idle = standing.position >= standing.end and not standing.waiting
            if idle or self._seen.get(tp) != seen:
                self._moved_at[tp] = now
            self._seen[tp] = seen
        if not standings:
            return 0.0, ""
        tp = min(standings, key=self._moved_at.__getitem__)
        still_s, standing = now - self._moved_at[tp], standings[tp]
        return still_s, (
            f"{tp.topic}/{tp.partition} has not moved for {still_s:.0f} s: read up to {standing.position} of "
            f"{standing.end}, {standing.waiting} records in hand, finished up to {places.get(tp)}"
        )

    async def _standings(self) -> dict[TP, Standing]:
        """As they are; as they were where the consumer's thread does not answer, which is no progress."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await self.standings()
        except TimeoutError:
            return {tp: Standing(position, position + 1, 0) for tp, (position, _) in self._seen.items()}

    async def _broker_answers(self) -> bool:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self.answers()
        except (SinkDown, TimeoutError, OSError):
            return False
        return True

    def _spare(self) -> None:
        now = self.clock()
        self._since = now
        self._moved_at = dict.fromkeys(self._moved_at, now)


async def kept_in_mind(watchdog: Watchdog, add: Callable[[int, str, str], Awaitable[None]], worker: str) -> None:
    """Watches; that it ends the worker is added to what the store knows, where the store answers soon."""
    try:
        await watchdog.watch()
    except StalledError as stalled:
        with contextlib.suppress(StoreDown, Stop, TimeoutError):
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await add(time.time_ns() // 1_000_000, worker, str(stalled))
        raise
