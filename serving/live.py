"""What moves, second by second: rates, actions, latency. Five minutes of it, for the page's figures.

A tick a second adds up what came since the one before, and wakes whoever waits for it; what a tick shows is made once,
however many watch. Latency is measured on one order a second: the newest decision's order is read from its topic, and
what lies between the two records' times is what its shop has waited. The price: one fetch a second.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from serving.recent import Recent
from serving.traffic import Traffic
from streams.protocol.ports import SinkDown
from streams.transport.aio import KafkaError
from streams.transport.log import LogReader

TICK_S: Final = 1.0
TICKS: Final = 300
STALE_S: Final = 5.0  # a decision older than this says nothing of now


@dataclass(frozen=True, slots=True)
class Tick:
    """One second. `latency_ms` None: no decision was made in it."""

    at_s: int
    events: float
    allow: int
    review: int
    block: int
    lag: int
    latency_ms: int | None


class Live:
    """`ticks` are the newest, oldest first."""

    def __init__(self, reader: LogReader, recent: Recent, traffic: Traffic) -> None:
        self._reader, self._recent, self._traffic = reader, recent, traffic
        self._number = recent.decisions.number
        self.ticks: deque[Tick] = deque(maxlen=TICKS)
        self.number = 0  # of the newest tick
        self._woken = asyncio.Condition()

    async def watch(self) -> None:
        """Never returns."""
        while True:
            begun = time.monotonic()
            self.ticks.append(await self._tick())
            async with self._woken:
                self.number += 1
                self._woken.notify_all()
            await asyncio.sleep(max(0.0, TICK_S - (time.monotonic() - begun)))

    async def after(self, number: int) -> int:
        """Waits for a tick later than this one; its number."""
        async with self._woken:
            await self._woken.wait_for(lambda: self.number > number)
            return self.number

    def latency(self) -> tuple[int | None, int | None]:
        """(p50, p99) in ms of the ticks that are kept; None where none has any."""
        told = [tick.latency_ms for tick in self.ticks if tick.latency_ms is not None]
        if not told:
            return None, None
        p50, p99 = np.quantile(told, [0.5, 0.99])
        return round(float(p50)), round(float(p99))

    async def _tick(self) -> Tick:
        kept, actions = self._recent.decisions, {"allow": 0, "review": 0, "block": 0}
        since_ms = (time.time() - STALE_S) * 1000
        for number, seen in kept.newest():
            if number <= self._number or seen.published_ms < since_ms:  # what was read at the start is no news
                break
            actions[seen.decision.action] += 1
        self._number = kept.number
        return Tick(
            at_s=round(time.time()),
            events=round(sum(one.per_s for one in self._traffic.carried), 1),
            lag=sum(one.lag for one in self._traffic.carried),
            latency_ms=await self._latency_ms(),
            **actions,
        )

    async def _latency_ms(self) -> int | None:
        """Of the newest decision, if it is of this moment."""
        _, log = next(self._recent.logs.newest(), (0, None))
        seen = self._recent.decisions.get(log.decision_id) if log else None
        if log is None or seen is None or time.time() - seen.published_ms / 1000 > STALE_S:
            return None
        try:
            (order,) = await self._reader.read(log.topic, log.partition, log.offset, log.offset)
        except (SinkDown, KafkaError, ValueError):
            return None
        return seen.published_ms - order.timestamp
