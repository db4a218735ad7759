"""Feeds the events of a run: a steady flow, so that a standstill can be seen, and bursts, so that a kill meets work.

A burst is acknowledged when `burst` returns. A broker that is away is waited for by the producer itself. The price: one
producer, so bursts and flow take turns.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol

from streams.data.record import Record

AT_ONCE = 2000
TICK_S = 0.05


class Sender(Protocol):
    """What is asked of streams/data/sender.py."""

    async def send(self, records: Sequence[Record]) -> None: ...
    async def dispatch(self) -> None: ...
    async def flush(self) -> None: ...


class Feed:
    """`records` in the order in which they arrive; each carries its own timestamp."""

    def __init__(self, sender: Sender, records: Iterator[Record]) -> None:
        self._sender, self._records = sender, records
        self._turn = asyncio.Lock()
        self.sent = 0
        self.exhausted = False

    async def burst(self, events: int) -> None:
        """Sends so many at once: a batch or two for each partition, so that ranges are as large as they may be."""
        await self._send(events)
        async with self._turn:
            await self._sender.flush()

    async def rest(self) -> None:
        """Sends all that is left."""
        while not self.exhausted:
            await self._send(AT_ONCE)
        async with self._turn:
            await self._sender.flush()

    async def flow(self, events_a_second: float) -> None:
        """Sends at this pace until there is nothing left."""
        owed, last = 0.0, time.monotonic()
        while not self.exhausted:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            owed = min(events_a_second, owed + (now - last) * events_a_second)  # an outage is not made up for
            last = now
            if owed >= 1:
                await self._send(int(owed))
                owed -= int(owed)

    async def _send(self, count: int) -> None:
        async with self._turn:
            some = list(islice(self._records, count))
            self.exhausted = len(some) < count
            await self._sender.send(some)
            await self._sender.dispatch()
            self.sent += len(some)
        await asyncio.sleep(0)
