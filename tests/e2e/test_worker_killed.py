"""A worker that dies in the middle, and records that come again: every order is decided, with the same bytes.

A range is closed by the next one, or a second after it: a worker that is killed as soon as its decisions appear leaves
one open behind, whose outputs are out, and who comes next must say the same again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import orjson
import pytest

from streams.embedded.broker import start_broker
from streams.embedded.processes import Children, free_port
from tests.support.events import event, orders
from tests.support.worker import Stream, new_stream, until

ORDERS = 3_000
ENDS_WITHIN_S = 10.0


async def killed_over_work(stream: Stream, **settings: str) -> dict[int, tuple[int, int]]:
    """Starts a worker, kills it as soon as decisions of it appear, and says which ranges it left open."""
    before = len(await stream.read("fraud"))
    worker = stream.worker(0, **settings)

    async def decides() -> bool:
        return len(await stream.read("fraud")) > before

    await until(decides, 40.0, lambda: worker.said)
    worker.kill()
    return await stream.open_ranges()


def same_bytes(decisions: Mapping[str, Sequence[bytes]]) -> bool:
    return all(len(set(copies)) == 1 for copies in decisions.values())


async def test_killed_over_open_ranges_it_decides_every_order_with_the_same_bytes(stream: Stream) -> None:
    """Each start takes other batches: 97, 53, then as many as come."""
    await stream.send(*orders(ORDERS))
    left = [await killed_over_work(stream, RANGE_RECORDS=size) for size in ("97", "53")]
    assert any(left), "no kill met an open range"
    worker = stream.worker(0)
    report = await stream.settled(ORDERS)
    decisions = await stream.decisions()
    assert len(decisions) == report.decided == ORDERS
    assert same_bytes(decisions)
    assert report.recovered == 0
    assert report.repeated > 0, "no decision was published twice: the kills came too late to prove anything"
    assert worker.child.running
    assert not any(row["recovered"] for row in await stream.rows())


async def test_other_batch_boundaries_give_the_same_decisions_and_the_same_state(children: Children) -> None:
    """The same log twice, taken 7 and 2,000 records at a time. One partition, and carts of others than those who order:
    what two partitions share depends on whose turn came first, and that may differ.
    """
    sent = orders(400, users=9) + orders(20, users=9)  # the latter are duplicates
    sent += [event("cart", "add_to_cart", f"a{n}", f"v{n % 9}", 100 * n, value=3.0) for n in range(100)]
    outcomes = []
    for size in ("7", "2000"):
        broker = start_broker(children, free_port(), f"broker-{size}")
        stream = await new_stream(children, broker.address, 1, f"store-{size}")
        await stream.send(*sent)
        stream.worker(RANGE_RECORDS=size)
        report = await stream.settled(len(sent))
        assert report.duplicate == 20
        records = [(r.key, r.value) for r in await stream.read("fraud")]
        logs = [(r.key, r.value) for r in await stream.read("decisions")]
        outcomes.append((records, logs, await stream.dump(), len(await stream.rows())))
    assert outcomes[0][:3] == outcomes[1][:3]
    assert outcomes[0][3] > outcomes[1][3]


async def test_told_to_end_it_ends_in_good_order_and_another_goes_on_though_the_group_has_no_offsets(
    stream: Stream,
) -> None:
    """Records that are read again are not decided again: the store knows the place, whatever the group says."""
    await stream.send(*orders(ORDERS))
    worker = stream.worker(RANGE_RECORDS="50")
    await until(lambda: worker.metric("headrace_ranges_total", topic="orders") > 2, 40.0, lambda: worker.said)
    began = time.monotonic()
    assert worker.terminate() == 0
    assert time.monotonic() - began < ENDS_WITHIN_S
    stream.group = f"{stream.group}-another"
    stream.worker()
    report = await stream.settled(ORDERS)
    assert (report.decided, report.recovered) == (ORDERS, 0)
    assert report.repeated == 0, "what it published was closed when it ended"


@pytest.mark.kafka
async def test_exactly_once_a_reader_of_committed_records_sees_each_decision_once_though_workers_are_killed(
    kafka_stream: Stream,
) -> None:
    stream = kafka_stream
    stream.environment["DELIVERY"] = "exactly-once"
    await stream.send(*orders(ORDERS))
    left = [await killed_over_work(stream, RANGE_RECORDS=size) for size in ("40", "60", "90")]
    assert any(left), "no kill met an open range"
    stream.worker(0)
    report = await stream.settled(ORDERS)
    assert (report.decided, report.published, report.repeated, report.recovered) == (ORDERS, ORDERS, 0, 0)
    seen = confluent_committed(stream.brokers, "fraud", stream.partitions, ORDERS)
    assert sorted(seen) == sorted({*seen})
    assert len(seen) == ORDERS


def confluent_committed(brokers: str, topic: str, partitions: int, count: int) -> list[str]:
    """The order ids that a stranger reads, until `count` came and then for a second."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "stranger", "isolation.level": "read_committed"})
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(partitions)])
    seen: list[str] = []
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        for message in consumer.consume(1000, timeout=0.2):
            assert message.error() is None
            seen.append(orjson.loads(message.value() or b"")["order_id"])
        if len(seen) >= count and until_s - time.monotonic() > 1:
            until_s = time.monotonic() + 1
    consumer.close()
    return seen
