"""Recorded events into topics at their own pace, faster, or as fast as the workers follow.

The loop sends what may go and waits for what may not: `Pace` ties event time to the wall clock, `Lockstep` to the
workers' progress. Records are dated by their own time, so verdicts that compare event and record time (late, future,
duplicate) come out as they did then. The price of that: a broker with limited retention deletes what is older than
its limit, so `retention` looks before anything is sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from streams.data.dataset import DataError
from streams.data.lockstep import Lockstep, Place
from streams.data.record import Record
from streams.data.sender import Sender

CHUNK = 2_000  # records
TICK_S = 0.005  # paced records leave in slices of at least this
STALL_S = 60.0


class Positions(Protocol):
    """Where workers are (`progress.Progress`)."""

    async def positions(self) -> Mapping[Place, int]: ...


class Meter(Protocol):
    """Whoever shows how far a replay is."""

    def moved(self, at_ms: int, sent: int) -> None:
        """Records up to `at_ms` were sent."""
        ...


@dataclass(slots=True)
class Pace:
    """Event time against the clock: `speed` seconds of it pass in one second; inf = as fast as can be."""

    speed: float = inf
    clock: Callable[[], float] = time.monotonic
    _began: tuple[float, int] | None = None

    def ceiling_ms(self, next_ms: int) -> float:
        """The latest event time that may be sent now."""
        if self.speed == inf:
            return inf
        if self._began is None:
            self._began = (self.clock(), next_ms)
        started_s, first_ms = self._began
        return first_ms + (self.clock() - started_s) * self.speed * 1000

    def wait_s(self, next_ms: int) -> float:
        """How long until the record of `next_ms` may go."""
        late_ms = next_ms - self.ceiling_ms(next_ms)
        return 0.0 if late_ms <= 0 else max(TICK_S, late_ms / 1000 / self.speed)


@dataclass(slots=True)
class Replayed:
    """What was sent."""

    sent: dict[str, int] = field(default_factory=dict)
    first_ms: int | None = None
    last_ms: int | None = None

    @property
    def records(self) -> int:
        return sum(self.sent.values())


@dataclass(slots=True)
class Replay:
    """One replay. `lockstep` and `progress` go together; `sender` must report its acknowledgements to `lockstep`."""

    sender: Sender
    pace: Pace
    meter: Meter
    lockstep: Lockstep | None = None
    progress: Positions | None = None
    stall_s: float = STALL_S
    done: Replayed = field(default_factory=Replayed)
    _ceiling_ms: float = -inf

    async def run(self, records: Iterator[Record]) -> Replayed:
        """Sends everything; returns when the broker has it. Raises DataError where the workers stand still."""
        chunk: list[Record] = []
        for record in records:
            at_ms = record.timestamp_ms or 0
            if at_ms > self._ceiling_ms:
                await self._send(chunk)
                await self._make_room(at_ms)
            chunk.append(record)
            if len(chunk) >= CHUNK:
                await self._send(chunk)
        await self._send(chunk)
        await self.sender.flush()
        return self.done

    async def _send(self, chunk: list[Record]) -> None:
        if not chunk:
            return
        await self.sender.send(chunk)
        for record in chunk:
            self.done.sent[record.topic] = self.done.sent.get(record.topic, 0) + 1
        first_ms, last_ms = chunk[0].timestamp_ms, chunk[-1].timestamp_ms
        self.done.first_ms = first_ms if self.done.first_ms is None else self.done.first_ms
        self.done.last_ms = last_ms
        chunk.clear()
        self.meter.moved(last_ms or 0, self.done.records)

    async def _make_room(self, at_ms: int) -> None:
        """Returns when the clock and the workers allow an event of `at_ms`; what was sent before is with the broker."""
        await self.sender.flush()
        await asyncio.sleep(self.pace.wait_s(at_ms))
        if self.lockstep is not None:
            await self._await_workers(self.lockstep, at_ms)
        self._ceiling_ms = self._ceiling(at_ms)

    def _ceiling(self, at_ms: int) -> float:
        paced_ms = self.pace.ceiling_ms(at_ms)
        return paced_ms if self.lockstep is None else min(paced_ms, self.lockstep.ceiling_ms(at_ms))

    async def _await_workers(self, lockstep: Lockstep, at_ms: int) -> None:
        moved_s = time.monotonic()
        while at_ms > lockstep.ceiling_ms(at_ms):
            positions = await self.progress.positions() if self.progress is not None else {}
            if lockstep.reached(positions):
                moved_s = time.monotonic()
            elif time.monotonic() - moved_s > self.stall_s:
                raise _stalled(lockstep, positions, self.stall_s)
            else:
                await asyncio.sleep(TICK_S)
            self.meter.moved(self.done.last_ms or 0, self.done.records)


def _stalled(lockstep: Lockstep, positions: Mapping[Place, int], stall_s: float) -> DataError:
    slowest = lockstep.slowest()
    assert slowest is not None  # else nobody would be waited for
    place, offset = slowest
    return DataError(
        f"no worker has moved for {stall_s:g} s: {place[0]}/{place[1]} stands at {positions.get(place, 0)} and "
        f"{offset} is yet to be done. Is `headrace worker` running on this group? Without --lockstep none is waited for"
    )
