"""The transport on Apache Kafka: the common suite, exactly-once, and a broker that dies or stands still."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from streams.protocol.ports import Fenced, Row, SinkDown, Stop, Tp
from streams.transport.checks import check
from streams.transport.output import Output
from streams.transport.profile import KAFKA, profile_of
from streams.transport.sink import KafkaSink
from tests.e2e.transport import Transport, publish
from tests.support.kafka import Kafka
from tests.support.transport import Notebook, Place, Worker, outputs, unique

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(kafka: Kafka) -> Place:
    return Place(kafka.address, KAFKA)


class TestOnKafka(Transport):
    async def test_it_is_known_for_what_it_is(self, place: Place) -> None:
        async with place.log() as log:
            assert await profile_of("auto", log) == KAFKA

    async def test_a_session_that_kafka_refuses_is_found_before_the_worker_joins(self, place: Place) -> None:
        inputs, outputs_ = [await place.topic()], [await place.topic()]
        async with place.log() as log:
            await check(log, KAFKA, inputs, outputs_)
            with pytest.raises(Stop, match="2000 ms: the broker allows 6000"):
                await check(log, KAFKA.with_(session_timeout_ms=2_000), inputs, outputs_)

    async def test_a_record_larger_than_its_topic_allows_stops_with_the_remedy(self, place: Place) -> None:
        topic = await place.topic(1)
        async with place.publisher() as publisher:
            with pytest.raises(Stop, match=r"max\.message\.bytes"):
                await publisher.send([Output(topic, None, b"x" * 3_000_000)])
            await publisher.send(outputs(topic, range(1)))

    async def test_sends_to_a_topic_that_vanished_are_given_up_in_silence(self, place: Place) -> None:
        topic, complaints = await place.topic(1), []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with place.publisher(deliver_within_s=2.0) as publisher:
            await publisher.send(outputs(topic, range(1)))
            await place.delete(topic)
            with pytest.raises(SinkDown):
                await publisher.send(outputs(topic, range(1)))
        await asyncio.sleep(0)
        gc.collect()
        assert complaints == []


class TestSlots:
    async def test_a_worker_that_has_no_room_for_more_hears_all_the_same_that_another_took_its_place(
        self, place: Place
    ) -> None:
        topic, group = await place.topic(1), unique("group")
        await publish(place, topic, range(20_000))

        async def never(*_: object) -> None:
            await asyncio.Event().wait()

        older = Worker(place, topic, group, Notebook(), work=never)
        running = asyncio.create_task(older.run())
        await asyncio.sleep(3.0)
        newer = Worker(place, topic, group, Notebook())
        async with newer.running():
            with pytest.raises(Stop, match="another worker has joined with --slot 0"):
                await asyncio.wait_for(running, 3 * KAFKA.session_timeout_ms / 1000)


def row(first: int, last: int, topic: str) -> Row:
    return Row(topic, 0, "id", first, last, "cfg", {}, (1,), False, last)


def of_range(topic: str, first: int, last: int) -> Sequence[Output]:
    return outputs(topic, range(first, last + 1), 0)


class TestExactlyOnce:
    @asynccontextmanager
    async def sink(self, place: Place, topic: str, applied: str) -> AsyncIterator[KafkaSink]:
        async with place.log() as log:
            options = {"group": f"g-{topic}", "inputs": [topic], "exactly_once": True, "applied": applied}
            sink = KafkaSink(place.link, place.profile, log, **options)  # type: ignore[arg-type] # a dict of several types
            try:
                yield sink
            finally:
                await sink.stop()

    async def visible(self, place: Place, topic: str) -> list[bytes | None]:
        async with place.log() as log:
            _, end = await log.bounds(topic, 0)
            return [record.value for record in await log.read(topic, 0, 0, end)]

    async def test_outputs_row_and_offset_appear_together(self, place: Place) -> None:
        topic, applied = await place.topic(1), await place.topic(1)
        out, tp = await place.topic(1), Tp(topic, 0, "id")
        async with self.sink(place, topic, applied) as sink:
            assert await sink.open(tp) == 0
            await sink.transact(row(0, 9, topic), of_range(out, 0, 9), 0)
            await sink.transact(row(10, 19, topic), of_range(out, 10, 19), 0)
            assert (await sink.open(tp), await sink.newest(tp)) == (20, row(10, 19, topic))
        assert await self.visible(place, out) == [b"%d" % i for i in range(20)]

    async def test_a_log_of_transactions_ends_in_a_marker_behind_its_last_record(self, place: Place) -> None:
        topic, applied, out = await place.topic(1), await place.topic(1), await place.topic(1)
        async with self.sink(place, topic, applied) as sink, place.log() as log:
            await sink.open(Tp(topic, 0, "id"))
            await sink.transact(row(0, 9, topic), of_range(out, 0, 9), 0)
            for _ in range(100):  # a commit is acknowledged before its marker is in the log
                if (await log.bounds(out, 0))[1] == 11:
                    break
                await asyncio.sleep(0.05)
            assert (await log.bounds(out, 0))[1] == 11
            assert await log.records_end(out, 0) == 10

    async def test_a_repeat_publishes_nothing_below_what_is_committed_and_the_offset_never_goes_back(
        self, place: Place
    ) -> None:
        topic, applied = await place.topic(1), await place.topic(1)
        out, tp = await place.topic(1), Tp(topic, 0, "id")
        async with self.sink(place, topic, applied) as sink:
            since = await sink.open(tp) or 0
            await sink.transact(row(0, 9, topic), of_range(out, 0, 9), since)
            await sink.transact(row(0, 4, topic), of_range(out, 0, 4), 10)
            assert await sink.open(tp) == 10
        assert await self.visible(place, out) == [b"%d" % i for i in range(10)]

    async def test_an_owner_that_was_replaced_is_fenced_and_leaves_nothing_visible(self, place: Place) -> None:
        topic, applied = await place.topic(1), await place.topic(1)
        out, tp = await place.topic(1), Tp(topic, 0, "id")
        async with self.sink(place, topic, applied) as old, self.sink(place, topic, applied) as new:
            await old.open(tp)
            await old.transact(row(0, 9, topic), of_range(out, 0, 9), 0)
            assert await new.open(tp) == 10
            with pytest.raises(Fenced):
                await old.transact(row(10, 19, topic), of_range(out, 10, 19), 0)
            await new.transact(row(10, 19, topic), of_range(out, 10, 19), 0)
        assert await self.visible(place, out) == [b"%d" % i for i in range(20)]

    async def test_what_a_dead_owner_left_open_is_settled_by_the_next(self, place: Place) -> None:
        topic, applied = await place.topic(1), await place.topic(1)
        out, tp = await place.topic(1), Tp(topic, 0, "id")
        async with self.sink(place, topic, applied) as dead, self.sink(place, topic, applied) as next_:
            await dead.open(tp)
            producer = dead._transactions._producers[topic, 0]
            await producer.begin_transaction()
            await producer.send_and_wait(out, b"never", partition=0)
            assert await next_.open(tp) == 0
            await next_.transact(row(0, 9, topic), of_range(out, 0, 9), 0)
        assert await self.visible(place, out) == [b"%d" % i for i in range(10)]

    async def test_a_sink_that_is_not_open_is_an_outage_that_opening_ends(self, place: Place) -> None:
        topic, applied = await place.topic(1), await place.topic(1)
        async with self.sink(place, topic, applied) as sink:
            with pytest.raises(SinkDown, match="not open"):
                await sink.transact(row(0, 9, topic), [], 0)


WORKER = """
import asyncio, sys
from streams.transport.profile import KAFKA
from tests.support.transport import Notebook, Place, Worker

class Told(Notebook):
    pass

async def main(address, topic, group, slot):
    async def tell(tp, records):
        print(tp.partition, records[0].offset, records[-1].offset, flush=True)
    await Worker(Place(address, KAFKA), topic, group, Notebook(), slot=int(slot), work=tell).run()

asyncio.run(main(*sys.argv[1:]))
"""


def start_worker(place: Place, topic: str, group: str, slot: int) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", WORKER, place.address, topic, group, str(slot)]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ})


# aiokafka forgets a connection whose opening is cancelled while the broker stands still; the collector closes it.
FORGETFUL = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def collected() -> Iterator[None]:
    """Lets the collector find such a connection within the test that lost it."""
    yield
    gc.collect()


@FORGETFUL
@pytest.mark.usefixtures("collected")
class TestDeath:
    async def test_a_send_that_is_not_acknowledged_in_time_is_an_outage(self, kafka: Kafka, place: Place) -> None:
        topic = await place.topic(1)
        async with place.publisher(deliver_within_s=1.0) as publisher:
            await publisher.send(outputs(topic, range(1)))
            kafka.stop()
            try:
                with pytest.raises(SinkDown, match="not acknowledged"):
                    await publisher.send(outputs(topic, range(1, 2)))
            finally:
                kafka.cont()
            await publisher.send(outputs(topic, range(2, 3)))

    async def test_a_killed_worker_of_a_slot_is_soon_back_and_the_other_never_stops(self, place: Place) -> None:
        topic, group, notes = await place.topic(), unique("group"), Notebook()
        gaps: list[float] = []

        async def publishing() -> None:
            count = 0
            async with place.publisher() as publisher:
                while True:
                    await publisher.send(outputs(topic, range(count, count + 50)))
                    count += 50
                    await asyncio.sleep(0.05)

        last = time.monotonic()

        async def note(*_: object) -> None:
            nonlocal last
            gaps.append(time.monotonic() - last)
            last = time.monotonic()

        other = start_worker(place, topic, group, 1)
        again = None
        try:
            async with Worker(place, topic, group, notes, slot=0, work=note).running():
                producing = asyncio.create_task(publishing())
                try:
                    assert await asyncio.to_thread(_first_line, other)
                    await notes.until(lambda: bool(notes.given))
                    gaps.clear()
                    other.kill()
                    died = time.monotonic()
                    again = start_worker(place, topic, group, 1)
                    assert await asyncio.to_thread(_first_line, again)
                    back_s = time.monotonic() - died
                finally:
                    producing.cancel()
        finally:
            for process in (other, again):
                if process is not None:
                    process.kill()
                    process.communicate()
        assert back_s < 8.0  # 1.1-2.4 s measured on a quiet machine, interpreter start included
        assert max(gaps) < 2.0

    @pytest.mark.slow
    async def test_a_broker_that_dies_or_stands_still_costs_no_record(self, kafka: Kafka, place: Place) -> None:
        topic, group, notes = await place.topic(), unique("group"), Notebook()
        async with Worker(place, topic, group, notes).running(), place.publisher() as publisher:
            await publisher.send(outputs(topic, range(1_000)))
            await notes.until(lambda: notes.count >= 1_000)
            kafka.kill()
            sending = asyncio.create_task(publisher.send(outputs(topic, range(1_000, 2_000))))
            await asyncio.sleep(3)
            await asyncio.to_thread(kafka.restart)
            await sending
            await notes.until(lambda: notes.count >= 2_000, 60)
            kafka.stop()
            await asyncio.sleep(10)
            kafka.cont()
            await publisher.send(outputs(topic, range(2_000, 3_000)))
            await notes.until(lambda: notes.count >= 3_000, 60)
        assert notes.in_order_once()

    async def test_a_worker_asked_to_stop_while_the_broker_is_away_stops(self, kafka: Kafka, place: Place) -> None:
        topic, group, notes = await place.topic(), unique("group"), Notebook()
        await publish(place, topic, range(100))
        worker = Worker(place, topic, group, notes)
        async with asyncio.timeout(60):
            async with worker.running():
                await notes.until(lambda: notes.count >= 100)
                kafka.stop()
                worker.stopping.set()
                await asyncio.sleep(2)
                kafka.cont()


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()
