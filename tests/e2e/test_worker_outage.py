"""Broker and store away: lag grows, nothing is lost, and the worker goes on by itself."""

from __future__ import annotations

import asyncio

import redis

from tests.support.events import event, orders
from tests.support.kafka import Kafka
from tests.support.worker import Stream, Worker, until

AWAY_S = 3.0


async def begun(stream: Stream) -> Worker:
    """A worker that has decided its first orders."""
    worker = stream.worker(0)
    await stream.send(*orders(100, name="before"))
    await stream.settled(100)
    return worker


async def waits_for(worker: Worker, dependency: str) -> None:
    await until(lambda: worker.metric("headrace_backoffs_total", dependency=dependency) > 0, 30.0, lambda: worker.said)


async def test_a_store_that_is_killed_and_comes_back_is_waited_for(embedded_stream: Stream) -> None:
    """Events of all four topics meet it gone."""
    stream = embedded_stream
    worker = await begun(stream)
    stream.store.child.kill()
    others = [
        event("clickstream", "page_view", "k", "w"),
        event("cart", "view_cart", "c", "w"),
        event("labels", "chargeback", "l", "w", order_id="o-before0"),
    ]
    await stream.send(*orders(200, name="during"), *others)
    await waits_for(worker, "store")
    assert len(await stream.decisions()) == 100
    await asyncio.to_thread(stream.store.start_again)
    report = await stream.settled(304)  # with the outcome of the label
    assert (report.decided, report.other, report.recovered) == (300, 4, 0)
    assert worker.child.running
    assert worker.metric("headrace_store_errors_total") > 0


async def test_a_store_that_is_full_makes_the_lag_grow_and_freed_it_goes_on(embedded_stream: Stream) -> None:
    """Full: writes are refused and nothing is evicted."""
    stream = embedded_stream
    worker = await begun(stream)
    with redis.Redis.from_url(stream.store.url) as client:
        keys = client.dbsize()
        client.config_set("maxmemory", 1)
        await stream.send(*orders(300, name="during"))
        await waits_for(worker, "store")
        await until(
            lambda: worker.metric("headrace_lag_records", topic="orders") == 300, 20.0, lambda: "the lag does not grow"
        )
        assert client.dbsize() == keys
        assert worker.metric("headrace_store_errors_total", kind="full") > 0
        client.config_set("maxmemory", 0)
    report = await stream.settled(400)
    assert (report.decided, report.repeated, report.recovered) == (400, 0, 0)
    assert worker.child.running
    await until(lambda: worker.metric("headrace_lag_records") == 0, 20.0, lambda: "the lag does not go")


async def test_a_store_that_stands_still_is_waited_for(embedded_stream: Stream) -> None:
    stream = embedded_stream
    stream.environment["REDIS__TIMEOUT_MS"] = "500"
    worker = await begun(stream)
    stream.store.child.stop()
    await stream.send(*orders(100, name="during"))
    await asyncio.sleep(AWAY_S)
    stream.store.child.cont()
    report = await stream.settled(200)
    assert (report.decided, report.recovered) == (200, 0)
    assert worker.child.running


async def test_a_broker_that_is_killed_and_restarted_is_waited_for(kafka_stream: Stream, kafka: Kafka) -> None:
    stream = kafka_stream
    worker = await begun(stream)
    await stream.send(*orders(1_000, name="during"))
    kafka.kill()
    await asyncio.sleep(AWAY_S)
    await asyncio.to_thread(kafka.restart)
    await stream.send(*orders(200, name="after"))
    report = await stream.settled(1_300)
    assert (report.decided, report.recovered) == (1_300, 0)
    decisions = await stream.decisions()
    assert all(len(set(copies)) == 1 for copies in decisions.values())
    assert worker.child.running, "the watchdog spares a worker whose broker is away"


async def test_exactly_once_store_and_broker_may_die_and_a_reader_sees_each_decision_once(
    kafka_stream: Stream, kafka: Kafka
) -> None:
    stream = kafka_stream
    stream.environment["DELIVERY"] = "exactly-once"
    worker = await begun(stream)
    await stream.send(*orders(1_000, name="during"))
    stream.store.child.kill()
    await asyncio.sleep(1.0)
    await asyncio.to_thread(stream.store.start_again)
    kafka.kill()
    await asyncio.to_thread(kafka.restart)
    await stream.send(*orders(200, name="after"))
    report = await stream.settled(1_300)
    assert (report.decided, report.published, report.recovered) == (1_300, 1_300, 0)
    assert worker.child.running


async def test_a_broker_that_stands_still_longer_than_a_session_is_waited_for(
    kafka_stream: Stream, kafka: Kafka
) -> None:
    stream = kafka_stream
    worker = await begun(stream)
    kafka.stop()
    await asyncio.sleep(8.0)
    kafka.cont()
    await stream.send(*orders(200, name="after"))
    report = await stream.settled(300)
    assert (report.decided, report.recovered) == (300, 0)
    assert worker.child.running


async def test_a_worker_that_starts_before_its_store_waits_for_it(embedded_stream: Stream) -> None:
    """For half a minute; then it says so and ends with exit code 1, for its supervisor to try again."""
    stream = embedded_stream
    await stream.send(*orders(50))
    stream.store.child.kill()
    worker = stream.worker()
    await asyncio.sleep(AWAY_S)
    assert worker.child.running, worker.said
    await asyncio.to_thread(stream.store.start_again)
    report = await stream.settled(50)
    assert report.decided == 50


async def test_told_to_end_while_it_waits_for_its_store_it_ends_at_once(embedded_stream: Stream) -> None:
    """In the store's place listens somebody who hangs up on all who call."""
    stream, calls = embedded_stream, asyncio.Event()
    stream.store.child.kill()

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.set()
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", stream.store.port):
        worker = stream.worker()
        await asyncio.wait_for(calls.wait(), 30.0)
        worker.child.ask_to_end()
        assert await worker.ended(5.0) == 0
