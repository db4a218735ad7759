"""What holds on every broker: the suite that test_transport_kafka.py and test_transport_embedded.py both run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
from faust.types import TP

from streams.protocol.ports import Row, Tp, Verdict
from streams.transport.consumer import BatchConsumer
from streams.transport.log import LogReader, TopicFacts
from streams.transport.output import Output
from streams.transport.sink import KafkaSink
from tests.support.transport import Notebook, Place, Worker, outputs, unique


async def committed(place: Place, group: str, topic: str, partitions: int = 4) -> dict[int, int | None]:
    async with place.log() as log:
        return {p: await log.committed(group, topic, p) for p in range(partitions)}


async def publish(place: Place, topic: str, numbers: range) -> None:
    async with place.publisher() as publisher:
        for first in range(numbers.start, numbers.stop, 2_000):
            await publisher.send(outputs(topic, range(first, min(first + 2_000, numbers.stop))))


async def _until(log: LogReader, topic: str, *, there: bool) -> dict[str, TopicFacts]:
    """What the brokers say of a topic once they say that it is (or is not) there."""
    for _ in range(200):
        facts = await log.topics([topic])
        if bool(facts) == there:
            break
        await asyncio.sleep(0.1)
    return facts


class Transport:
    async def test_all_records_come_once_in_order_and_their_offsets_are_committed(self, place: Place) -> None:
        topic, group, notes = await place.topic(), unique("group"), Notebook()
        await publish(place, topic, range(30_000))
        async with Worker(place, topic, group, notes).running():
            await notes.until(lambda: notes.count >= 30_000)
        assert notes.in_order_once()
        assert await committed(place, group, topic) == dict(notes.place)

    async def test_a_worker_that_joins_and_leaves_costs_no_record_and_repeats_none(self, place: Place) -> None:
        topic, group, notes = await place.topic(), unique("group"), Notebook()

        async def publishing() -> int:
            count = 0
            async with place.publisher() as publisher:
                while not told.is_set():
                    await publisher.send(outputs(topic, range(count, count + 100)))
                    count += 100
                    await asyncio.sleep(0.02)
            return count

        told = asyncio.Event()
        async with Worker(place, topic, group, notes, slot=0, static=False).running():
            producing = asyncio.create_task(publishing())
            await notes.until(lambda: notes.count > 500)
            async with Worker(place, topic, group, notes, slot=1, static=False).running():
                await notes.until(lambda: notes.slots == {0, 1})
            told.set()
            total = await producing
            await notes.until(lambda: notes.count >= total)
        assert notes.count == total
        assert notes.in_order_once()
        assert await committed(place, group, topic) == dict(notes.place)

    async def test_the_place_that_is_asked_for_wins_over_the_committed_offset(self, place: Place) -> None:
        topic, group, notes = await place.topic(1), unique("group"), Notebook()
        await publish(place, topic, range(1_000))
        async with Worker(place, topic, group, notes).running():
            await notes.until(lambda: notes.count >= 1_000)
        again = Notebook()
        again.place[0] = 400  # as after a store's rollback
        async with Worker(place, topic, group, again).running():
            await again.until(lambda: again.count >= 600)
        assert [offset for offset, _ in again.given[0]] == list(range(400, 1_000))
        assert await committed(place, group, topic, 1) == {0: 1_000}

    async def test_a_rollback_in_the_middle_seeks_back_and_goes_on(self, place: Place) -> None:
        topic, group, notes = await place.topic(1), unique("group"), Notebook()
        await publish(place, topic, range(1_000))
        async with Worker(place, topic, group, notes).running():
            await notes.until(lambda: notes.count >= 1_000)
            notes.place[0] = 100
            await notes.until(lambda: notes.count >= 1_900)
        assert [offset for offset, _ in notes.given[0]] == [*range(1_000), *range(100, 1_000)]

    async def test_a_slow_partition_holds_up_no_other_and_buffers_stay_bounded(self, place: Place) -> None:
        topic, group, notes = await place.topic(), unique("group"), Notebook()
        await publish(place, topic, range(40_000))
        free = asyncio.Event()

        async def slow(tp: Tp, _: object) -> None:
            if tp.partition == 0:
                await free.wait()

        worker = Worker(place, topic, group, notes, work=slow)
        async with worker.running(), place.log() as log:
            ends = [(await log.bounds(topic, p))[1] for p in range(4)]
            await notes.until(lambda: all(len(notes.given[p]) == ends[p] for p in (1, 2, 3)))
            consumer = cast(BatchConsumer, worker.tasks.app.consumer)
            waiting = (await consumer.standings())[TP(topic, 0)].waiting
            assert notes.given[0] == []
            assert 0 < waiting <= 8_000
            free.set()
            await notes.until(lambda: notes.count >= 40_000)
        assert notes.in_order_once()

    async def test_what_breaks_a_partition_ends_the_worker_with_its_records_uncommitted(self, place: Place) -> None:
        topic, group, notes = await place.topic(1), unique("group"), Notebook()
        await publish(place, topic, range(10))

        async def bug(*_: object) -> None:
            raise ZeroDivisionError("a bug")

        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(Worker(place, topic, group, notes, work=bug).run(), 20)
        assert await committed(place, group, topic, 1) == {0: None}

    async def test_a_topic_made_anew_is_told_by_its_id(self, place: Place) -> None:
        topic = await place.topic()
        async with place.log() as log:
            before = await log.topics([topic])
            await place.delete(topic)
            await _until(log, topic, there=False)
            await place.topic(name=topic)
            after = await _until(log, topic, there=True)
        assert before[topic].id != after[topic].id

    async def test_a_log_is_read_by_range_and_backwards_and_knows_its_bounds(self, place: Place) -> None:
        topic = await place.topic(1)
        async with place.log() as log:
            assert await log.bounds(topic, 0) == (0, 0)
            assert [stretch async for stretch in log.backwards(topic, 0)] == []
            assert await log.records_end(topic, 0) == 0
            await publish(place, topic, range(5_000))
            assert await log.bounds(topic, 0) == (0, 5_000)
            assert await log.records_end(topic, 0) == 5_000
            assert [r.value for r in await log.read(topic, 0, 1_990, 2_010)] == [b"%d" % i for i in range(1_990, 2_011)]
            assert await log.read(topic, 0, 5_000, 6_000) == []
            newest = [record.offset async for stretch in log.backwards(topic, 0) for record in reversed(stretch)]
        assert newest == list(range(4_999, -1, -1))

    async def test_a_record_of_ten_megabytes_arrives_whole_among_small_ones(self, place: Place) -> None:
        topic, notes, big = await place.topic(1, max_message_bytes=12_000_000), Notebook(), b"x" * 10_000_000
        sizes: list[int] = []

        async def weigh(_: Tp, records: Sequence[Any]) -> None:
            sizes.extend(len(record.value) for record in records)

        async with place.publisher() as publisher, place.log() as log:
            await publisher.send([*outputs(topic, range(3), 0), Output(topic, b"k", big), *outputs(topic, range(2), 0)])
            async with Worker(place, topic, unique("group"), notes, work=weigh).running():
                await notes.until(lambda: notes.count >= 6)
            (record,) = await log.read(topic, 0, 3, 3)
        assert sizes == [1, 1, 1, len(big), 1, 1]
        assert record.value == big

    async def test_rows_are_found_again_by_range_and_the_newest_first(self, place: Place) -> None:
        applied, tp = await place.topic(2), Tp("orders", 1, "id")
        rows = [
            Row("orders", 1, "id", i * 10, i * 10 + 9, "cfg", {i * 10: Verdict.DEAD}, (i, i + 1), False, i * 10 + 9)
            for i in range(100)
        ]
        async with place.log() as log:
            sink = KafkaSink(place.link, place.profile, log, group="g", inputs=["orders"], applied=applied)
            assert await sink.newest(tp) is None
            for row in rows:
                await sink.row(row)
            assert await sink.newest(tp) == rows[-1]
            assert list(await sink.rows(tp, 120, 129)) == [rows[12]]
            assert await sink.open(tp) is None
            await sink.stop()
