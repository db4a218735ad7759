"""Two workers of one slot: one goes on, the other ends and says which slot it was. One that comes back takes over."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.events import orders
from tests.support.worker import Stream

SESSION_S = 6.0
LONG_SESSION_S = 30.0
TAKEN = "another worker has joined with --slot 0"


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
async def test_of_two_workers_of_one_slot_the_older_ends_with_the_remedy_and_the_newer_goes_on(
    kafka_stream: Stream, delivery: str
) -> None:
    stream = kafka_stream
    stream.environment["DELIVERY"] = delivery
    older = stream.worker(slot=0)
    await stream.working(older)
    await stream.send(*orders(50))
    newer = stream.worker(slot=0)
    assert await older.ended(3 * SESSION_S) == 2
    assert TAKEN in older.said.splitlines()[-1], older.said
    await stream.working(newer)
    await stream.send(*orders(50, name="later"))
    report = await stream.settled(100)
    assert report.decided == 100
    await asyncio.sleep(SESSION_S)
    assert newer.child.running, newer.said
    assert TAKEN not in newer.said
    assert newer.terminate() == 0


async def test_an_older_worker_that_has_nothing_to_do_ends_as_well(kafka_stream: Stream) -> None:
    older = kafka_stream.worker(slot=0)
    await kafka_stream.working(older)
    newer = kafka_stream.worker(slot=0)
    assert await older.ended(3 * SESSION_S) == 2
    assert TAKEN in older.said
    await kafka_stream.working(newer)


async def test_a_killed_worker_that_is_started_again_has_its_slot_at_once(kafka_stream: Stream) -> None:
    """And not when the session of the one before has ended, however long a slow machine takes to start it."""
    kafka_stream.environment["KAFKA__SESSION_TIMEOUT_MS"] = f"{1000 * LONG_SESSION_S:.0f}"
    killed = kafka_stream.worker(slot=0)
    await kafka_stream.working(killed)
    killed.kill()
    again = kafka_stream.worker(slot=0)
    await kafka_stream.working(again, within_s=LONG_SESSION_S - SESSION_S)
    await asyncio.sleep(SESSION_S + 1.0)
    assert again.child.running, again.said


async def test_a_worker_that_stood_still_for_longer_than_its_session_takes_its_slot_again(
    kafka_stream: Stream,
) -> None:
    """Nobody else has joined under its name, so the group has merely forgotten it."""
    worker = kafka_stream.worker(slot=0)
    await kafka_stream.working(worker)
    worker.child.stop()
    await asyncio.sleep(1.5 * SESSION_S)
    worker.child.cont()
    await kafka_stream.send(*orders(50))
    report = await kafka_stream.settled(50)
    assert report.decided == 50
    assert worker.child.running, worker.said
