"""Looks at a stream from outside: where the store stands, where the logs end, which worker holds what.

Answers come from the store, the broker and the workers' own metrics, asked beside them. A store that is down is asked
again: to look is never a fault.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from streams.embedded.processes import LOCALHOST
from streams.protocol.ports import SinkDown, StoreDown
from streams.stores.admin import Place, places
from streams.stores.valkey import ValkeyStore
from streams.transport.log import LogReader

Partition = tuple[str, int]  # topic, number
T = TypeVar("T")

_HELD = re.compile(rb'^headrace_position\{partition="(\d+)",topic="([^"]+)"\} ', re.MULTILINE)
SCRAPE_S = 1.0
AGAIN_S = 0.1
PATIENCE_S = 60.0  # without any progress


class StuckError(Exception):
    """Something that must come about did not; the message says what was waited for and how it stands."""


async def held_by(port: int) -> frozenset[Partition]:
    """The partitions that the worker with this metrics port works on; none where it does not answer."""
    try:
        async with asyncio.timeout(SCRAPE_S):
            reader, writer = await asyncio.open_connection(LOCALHOST, port)
            try:
                writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
                page = await reader.read(-1)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return frozenset()
    return frozenset((topic.decode(), int(number)) for number, topic in _HELD.findall(page))


async def until(what: str, holds: Callable[[], Awaitable[bool]], within_s: float = PATIENCE_S) -> None:
    """Waits until it holds; raises StuckError."""
    deadline = time.monotonic() + within_s
    while not await holds():
        if time.monotonic() > deadline:
            raise StuckError(f"{what}: not within {within_s:g} s")
        await asyncio.sleep(AGAIN_S)


class Watch:
    """`inputs` are the input topics with their partitions."""

    def __init__(self, store: ValkeyStore, reader: LogReader, inputs: Mapping[str, int]) -> None:
        self.store, self.reader = store, reader
        self.partitions: Sequence[Partition] = [(topic, n) for topic, count in inputs.items() for n in range(count)]

    def numbers(self, topic: str) -> list[int]:
        """The partitions of one topic."""
        return [number for name, number in self.partitions if name == topic]

    async def everything(self) -> list[Place]:
        """Every position in the store, asked until it answers."""
        return await _patiently(lambda: places(self.store))

    async def homes(self) -> dict[Partition, Place]:
        """What the home of each partition that was ever begun says: begun position and open range."""
        return {(place.topic, place.partition): place for place in await self.everything() if place.home}

    async def ends(self) -> dict[Partition, int]:
        """Where each partition's log ends: behind its last record."""
        return {key: await self.reader.records_end(*key) for key in self.partitions}

    async def begun(self, topic: str) -> int:
        """How many offsets of a topic have been begun."""
        return sum(place.position for key, place in (await self.homes()).items() if key[0] == topic)

    async def drained(self, patience_s: float = PATIENCE_S) -> None:
        """Returns when all that is in the logs is taken and closed; raises StuckError when nothing moves for long."""
        before, since = None, time.monotonic()
        while True:
            found = await self.everything()
            left = _left(found, await self.ends())  # in this order: what is closed has published what is read back
            if not left:
                return
            if (now := [(place.position, place.last_range) for place in found]) != before:
                before, since = now, time.monotonic()
            if time.monotonic() - since > patience_s:
                raise StuckError(f"nothing moved for {patience_s:g} s: {'; '.join(left[:5])}")
            await asyncio.sleep(AGAIN_S)


def _left(found: Sequence[Place], ends: Mapping[Partition, int]) -> list[str]:
    """What is not finished, in words."""
    homes = {(place.topic, place.partition): place for place in found if place.home}
    left = []
    for (topic, number), end in ends.items():
        home = homes.get((topic, number))
        if end and (home is None or home.position < end):
            left.append(f"{topic}/{number} stands at {home.position if home else 'none'} of {end}")
        elif home is not None and home.last_range is not None:
            left.append(f"{topic}/{number} has range {home.last_range} open")
    behind = [
        place for place in found if not place.home and place.position < ends.get((place.topic, place.partition), 0)
    ]
    left += [f"shard {place.shard} stands at {place.position} of {place.topic}/{place.partition}" for place in behind]
    return left


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await ask()
        except (StoreDown, SinkDown):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(AGAIN_S)
