"""Workers that come and go while orders flow: nothing is lost, nothing counted twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.support.events import order
from tests.support.worker import Stream

EVERY_S = 0.1
AT_ONCE = 20


@dataclass(slots=True)
class Flow:
    """How many orders were sent."""

    sent: int = 0


@asynccontextmanager
async def flowing(stream: Stream) -> AsyncIterator[Flow]:
    """Orders of many users all the while, some 200 a second."""
    flow, ending = Flow(), asyncio.Event()

    async def send() -> None:
        while not ending.is_set():
            some = [
                order(f"f{flow.sent + n}", f"u{(flow.sent + n) % 50}", 10 * (flow.sent + n)) for n in range(AT_ONCE)
            ]
            await stream.send(*some)
            flow.sent += AT_ONCE
            await asyncio.sleep(EVERY_S)

    task = asyncio.create_task(send())
    try:
        yield flow
    finally:
        ending.set()
        await task


async def test_a_worker_that_joins_and_leaves_loses_nothing_and_doubles_nothing_in_the_state(stream: Stream) -> None:
    """The gauges of a partition that left go with it. At the end one pass over the same log gives the same state."""
    first = stream.worker()
    await stream.working(first)
    async with flowing(stream) as flow:
        second = stream.worker()
        await stream.working(first, second)
        assert first.partitions() & second.partitions() == set()
        await asyncio.sleep(1.0)
        assert second.terminate() == 0
        await stream.working(first)
        await asyncio.sleep(0.5)
    report = await stream.settled(flow.sent)
    assert (report.decided, report.duplicate, report.recovered) == (flow.sent, 0, 0)
    decisions = await stream.decisions()
    assert all(len(set(copies)) == 1 for copies in decisions.values())
    counted = {line.split(b'"entity":"')[1].split(b'"')[0] for line in (await stream.dump()).splitlines()}
    assert {f"u{n}".encode() for n in range(50)} <= counted
