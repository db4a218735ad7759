"""Workers that come and go while orders flow: nothing is lost, nothing counted twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streams.data.record import Record
from streams.embedded.broker import start_broker
from streams.embedded.processes import Children, free_port
from tests.support.events import order
from tests.support.worker import Stream, new_stream, until

EVERY_S = 0.1
AT_ONCE = 20
USERS = 50


@asynccontextmanager
async def flowing(stream: Stream) -> AsyncIterator[list[Record]]:
    """Orders of many users all the while, some 200 a second; gives what was sent."""
    sent: list[Record] = []
    ending = asyncio.Event()

    async def send() -> None:
        while not ending.is_set():
            numbers = range(len(sent), len(sent) + AT_ONCE)
            some = [order(f"f{n}", f"u{n % USERS}", 10 * n) for n in numbers]
            await stream.send(*some)
            sent.extend(some)
            await asyncio.sleep(EVERY_S)

    task = asyncio.create_task(send())
    try:
        yield sent
    finally:
        ending.set()
        await task


async def one_pass(children: Children, sent: list[Record], partitions: int) -> bytes:
    """The state after one worker took the same records from another broker, in peace."""
    broker = start_broker(children, free_port(), "broker-of-one-pass")
    stream = await new_stream(children, broker.address, partitions, "store-of-one-pass")
    await stream.send(*sent)
    stream.worker()
    await stream.settled(len(sent))
    return await stream.dump()


async def joined_and_left(stream: Stream, children: Children) -> None:
    """Nothing is lost or doubled, not even a decision: who gives a partition up in good order closes its last range."""
    first = stream.worker()
    await stream.working(first)
    async with flowing(stream) as sent:
        second = stream.worker()
        await stream.working(first, second)
        await until(lambda: second.metric("headrace_decisions_total") > 0, 40.0, lambda: second.said)
        assert second.terminate() == 0
        await stream.working(first)
        await asyncio.sleep(0.5)
    report = await stream.settled(len(sent))
    counted = (report.decided, report.published, report.duplicate, report.recovered)
    assert counted == (len(sent), len(sent), 0, 0)
    assert await stream.dump() == await one_pass(children, sent, stream.partitions)


async def test_a_worker_that_joins_and_leaves_loses_nothing_and_doubles_nothing(
    stream: Stream, children: Children
) -> None:
    await joined_and_left(stream, children)


async def test_exactly_once_a_worker_that_joins_and_leaves_loses_nothing_and_doubles_nothing(
    kafka_stream: Stream, children: Children
) -> None:
    kafka_stream.environment["DELIVERY"] = "exactly-once"
    await joined_and_left(kafka_stream, children)
