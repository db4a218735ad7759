"""produce, consume, replay and dlq as a user runs them, on the embedded broker and on Apache Kafka."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from unittest.mock import patch
from uuid import uuid4

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]  # it ships no types
from aiokafka.admin import NewTopic  # type: ignore[import-untyped]

from schemas.deadletters import headers_of
from schemas.decisions import AppliedRow, encode
from schemas.decode import Fault, Reason
from schemas.ids import partition_for
from schemas.settings import Kafka
from schemas.topics import applied_partition, dead_letters_of
from streams import cli
from streams.data import dlq
from streams.data.cluster import Cluster
from streams.data.consume import Read, read_all
from streams.data.dataset import DataError
from streams.data.dlq import Where, letters_and_marks
from streams.data.lockstep import Lockstep
from streams.data.progress import watching
from streams.data.record import Record
from streams.data.redrive import Redriven, redrive
from streams.data.replay import Pace, Replay
from streams.data.retention import check_retention
from streams.data.sender import Ack, Sender

PARTITIONS = 3
NOW_MS = round(time.time() * 1000)


@pytest.fixture(params=["tansu", pytest.param("kafka", marks=pytest.mark.kafka)])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    return Cluster(Kafka(brokers=request.getfixturevalue(request.param).address))


async def make_topics(cluster: Cluster, *names: str, partitions: int = PARTITIONS, **config: str) -> None:
    settings = {"max.message.bytes": "16000000", **{name.replace("_", "."): value for name, value in config.items()}}
    async with cluster.admin() as admin:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=settings) for name in names])
    while not set(names) <= (await cluster.topics()).keys():  # Kafka's controller says yes before its brokers know
        continue


@pytest.fixture
async def topic(cluster: Cluster) -> str:
    name = f"orders-{uuid4().hex[:8]}"
    await make_topics(cluster, name, dead_letters_of(name))
    return name


def piped(cluster: Cluster, *arguments: str, stdin: bytes = b"") -> tuple[bytes, str]:
    """A command as a process of its own, with real pipes."""
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", *arguments],
        input=stdin,
        capture_output=True,
        env={**os.environ, "HEADRACE_KAFKA__BROKERS": cluster.kafka.brokers},
        timeout=60,
        check=True,
    )
    return done.stdout, done.stderr.decode()


def run(cluster: Cluster, *arguments: str, stdin: bytes = b"", code: int = 0) -> tuple[bytes, str]:
    """A command within this process, which spares its imports."""
    output, told = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    with (
        patch.dict(os.environ, {"HEADRACE_KAFKA__BROKERS": cluster.kafka.brokers}),
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin))),
        redirect_stdout(output),
        redirect_stderr(told),
    ):
        assert cli.run(arguments) == code, told.getvalue()
    output.flush()
    written: io.BytesIO = output.buffer
    return written.getvalue(), told.getvalue()


async def send(cluster: Cluster, *records: Record) -> list[Ack]:
    acks: list[Ack] = []
    async with cluster.producer() as producer:
        sender = Sender(producer, acks.append)
        await sender.send(records)
        await sender.flush()
    return acks


async def everything(cluster: Cluster, topic: str) -> list[Read]:
    return [record async for records in read_all(cluster, [topic]) for record in records]


def test_what_is_produced_is_consumed_byte_for_byte_under_its_key(cluster: Cluster, topic: str) -> None:
    lines = [b'{"user_id":"u%d", "n":%d.50}' % (n % 7, n) for n in range(50)]
    _, told = piped(cluster, "produce", topic, stdin=b"\n".join(lines))
    assert told.strip() == f"50 records to {topic}"
    shown, _ = piped(cluster, "consume", topic, "--from", "start", "--until-idle", "0.5")
    assert sorted(shown.splitlines()) == sorted(lines)
    envelopes, _ = run(cluster, "consume", topic, "--from", "start", "--until-idle", "0.5", "--headers")
    for record in map(orjson.loads, envelopes.splitlines()):
        assert record["key"] == record["value"]["user_id"]
        assert record["partition"] == partition_for(record["key"].encode(), PARTITIONS)


def test_consume_starts_at_the_end_or_at_an_offset_and_stops_at_a_limit(cluster: Cluster, topic: str) -> None:
    for batch in range(2):  # two batches: where ListOffsets goes wrong on the embedded broker
        run(cluster, "produce", topic, stdin=b"".join(b'{"user_id":"u","n":%d}\n' % (batch * 5 + n) for n in range(5)))
    one = ("--partition", str(partition_for(b"u", PARTITIONS)), "--until-idle", "0.3")
    assert run(cluster, "consume", topic, *one, "--from", "end")[0] == b""
    assert run(cluster, "consume", topic, *one, "--from", "8")[0].count(b"\n") == 2
    assert run(cluster, "consume", topic, *one, "--from", "999")[0] == b""
    assert run(cluster, "consume", topic, *one, "--from", "start", "--limit", "3")[0].splitlines() == [
        b'{"user_id":"u","n":%d}' % n for n in range(3)
    ]


def test_a_topic_that_is_absent_is_named_with_a_near_one_and_not_made(cluster: Cluster, topic: str) -> None:
    for command in ("produce", "consume"):
        _, told = run(cluster, command, topic + "x", code=2)
        assert f"did you mean {topic}?" in told
    assert topic + "x" not in asyncio.run(cluster.topics())


def test_a_file_replayed_is_dated_by_its_events_in_every_topic(cluster: Cluster, topic: str, tmp_path: Path) -> None:
    times = ["2026-01-01T00:00:00.000Z", "2026-01-01T00:00:01.500Z", "2026-01-02T00:00:00.000Z"]
    lines = [orjson.dumps({"type": "purchase", "event_id": at, "event_time": at, "user_id": "u"}) for at in times]
    (tmp_path / "events").write_bytes(b"\n".join(lines))
    window = ("--from", "2026-01-01T00:00:01Z", "--to", "2026-01-02")
    _, told = run(cluster, "replay", str(tmp_path / "events"), "--topic", topic, *window)
    assert told.strip() == f"events: 1 to {topic}, {times[1]} to {times[1]}"
    shown, _ = run(cluster, "consume", topic, "--from", "start", "--until-idle", "0.3", "--headers")
    record = orjson.loads(shown)
    assert (record["timestamp"], record["headers"]["ce_time"]) == (times[1], times[1])
    assert orjson.dumps(record["value"]) == lines[1]


async def test_a_record_of_ten_megabytes_and_a_tombstone_go_through(cluster: Cluster, topic: str) -> None:
    big = os.urandom(10_000_000)
    await send(cluster, Record(topic, b"k", big), Record(topic, b"k", None), Record(topic, b"k", b""))
    assert [record.value for record in await everything(cluster, topic)] == [big, None, b""]


async def test_the_sender_says_where_records_went_and_keeps_their_order(cluster: Cluster, topic: str) -> None:
    records = [Record(topic, b"k%d" % (n % 11), b"%d" % n, (("h", b"%d" % n),), NOW_MS + n) for n in range(5_000)]
    acks = await send(cluster, *records)
    read = await everything(cluster, topic)
    assert sum(ack.last - ack.first + 1 for ack in acks) == len(read) == 5_000
    for partition in range(PARTITIONS):
        mine = [r for r in records if partition_for(r.key or b"", PARTITIONS) == partition]
        there = sorted((r for r in read if r.partition == partition), key=lambda r: r.offset)
        assert [(r.key, r.value, r.timestamp) for r in there] == [(r.key, r.value, r.timestamp_ms) for r in mine]
        oldest = [ack.oldest_ms for ack in acks if ack.partition == partition]
        assert oldest[0] == mine[0].timestamp_ms


# ---------------------------------------------------------------- dead letters


def letter(topic: str, offset: int, value: bytes, reason: Reason = Reason.NOT_JSON, attempt: int = 0) -> Record:
    original = (("trace", b"t1"), *((("dlq-attempt", b"%d" % attempt),) if attempt else ()))
    headers = headers_of(Fault(reason, "$", "bad"), topic, 1, offset, NOW_MS, original)
    return Record(dead_letters_of(topic), b"u1", value, tuple((n, v or b"") for n, v in headers), NOW_MS)


def test_dead_letters_are_counted_shown_and_sent_back_once(cluster: Cluster, topic: str) -> None:
    letters = [letter(topic, 3, b"\xff"), letter(topic, 4, b"{", Reason.FUTURE), letter(topic, 3, b"\xff")]
    asyncio.run(send(cluster, *letters))
    counted = [orjson.loads(line) for line in run(cluster, "dlq", "ls", topic)[0].splitlines()]
    assert [(line["reason"], line["letters"], line["redriven"]) for line in counted] == [
        ("future", 1, 0),
        ("not_json", 1, 0),
    ]
    shown = orjson.loads(run(cluster, "dlq", "show", f"{topic}/1/3")[0])
    assert (shown["value"], shown["headers"], shown["state"]) == ({"base64": "/w=="}, {"trace": "t1"}, "dead")
    assert run(cluster, "dlq", "show", f"{topic}/1/3", "--value")[0] == b"\xff\n"
    assert run(cluster, "dlq", "redrive", topic, "--reason", "not_json")[0] == f"1 sent back to {topic}\n".encode()
    assert b"1 sent back" in run(cluster, "dlq", "redrive", topic)[0]
    assert run(cluster, "dlq", "redrive", topic)[0] == f"0 sent back to {topic}, 2 were before\n".encode()
    back = sorted(asyncio.run(everything(cluster, topic)), key=lambda record: record.value or b"")
    assert [(record.partition, record.key, record.value) for record in back] == [(1, b"u1", b"{"), (1, b"u1", b"\xff")]
    assert dict(back[1].headers)["dlq-attempt"] == b"1"
    assert dict(back[1].headers)["trace"] == b"t1"
    run(cluster, "dlq", "show", f"{topic}/1/99", code=1)


async def test_a_redriven_record_that_dies_again_is_sent_only_where_it_is_asked_for(
    cluster: Cluster, topic: str
) -> None:
    await send(cluster, letter(topic, 3, b"{"))
    assert await redrive(cluster, Where(topic)) == Redriven(sent=1)
    await send(cluster, letter(topic, 4, b"{", attempt=1), letter(topic, 5, b"{", attempt=1))
    assert await redrive(cluster, Where(topic)) == Redriven(before=1, again=2)
    assert await redrive(cluster, Where(topic, 1, 4)) == Redriven(sent=1)
    assert await redrive(cluster, Where(topic), again=True) == Redriven(sent=1, before=2)
    assert await redrive(cluster, Where(topic)) == Redriven(before=3)
    assert [dict(r.headers)["dlq-attempt"] for r in await everything(cluster, topic)] == [b"1", b"2", b"2"]


class KilledError(Exception):
    """Stands for the process's death."""


@pytest.mark.parametrize("before", ["send", "done"])
async def test_a_redrive_that_died_is_finished_by_the_next_and_nothing_is_sent_twice(
    cluster: Cluster, topic: str, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    await send(cluster, *(letter(topic, n, b"%d" % n) for n in range(20)))
    real = Sender.send

    async def dying(self: Sender, records: list[Record]) -> None:
        mark = dict(records[0].headers).get(dlq.MARK)
        if (before == "send" and mark is None) or (before == "done" and mark == b"done"):
            raise KilledError
        await real(self, records)

    with monkeypatch.context() as patch:
        patch.setattr(Sender, "send", dying)
        with pytest.raises(KilledError):
            await redrive(cluster, Where(topic))
    assert await redrive(cluster, Where(topic)) == Redriven(busy=20)
    later_ms = round(time.time() * 1000) + dlq.CLAIM_HOLDS_MS
    done = await redrive(cluster, Where(topic), later_ms)
    assert (done.sent, done.before) == ((20, 0) if before == "send" else (0, 20))
    assert await redrive(cluster, Where(topic), later_ms) == Redriven(before=20)
    assert sorted(int(r.value or b"") for r in await everything(cluster, topic)) == list(range(20))


async def test_of_redrives_at_once_each_letter_is_sent_by_one(cluster: Cluster, topic: str) -> None:
    await send(cluster, *(letter(topic, n, b"%d" % n) for n in range(50)))
    done = await asyncio.gather(*(redrive(cluster, Where(topic)) for _ in range(4)))
    assert sum(one.sent for one in done) == 50
    assert sorted(int(r.value or b"") for r in await everything(cluster, topic)) == list(range(50))
    assert len((await letters_and_marks(cluster, topic)).redriven) == 50


# ---------------------------------------------------------------- lockstep


class Ledger:
    """A meter that sees how far ahead the replay is of the workers."""

    def __init__(self, lockstep: Lockstep) -> None:
        self.lockstep, self.ahead_ms = lockstep, 0

    def moved(self, at_ms: int, sent: int) -> None:  # noqa: ARG002 - the meter's signature
        """Called when records went out; `ceiling_ms` of them may not lie before them."""
        self.ahead_ms = max(self.ahead_ms, at_ms - self.lockstep.ceiling_ms(at_ms) + self.lockstep.width_ms)


@asynccontextmanager
async def worker(cluster: Cluster, topic: str, witness: str) -> AsyncIterator[list[Read]]:
    """Reads the topic, and tells where it is as workers do: by committed offsets, or by rows of `applied`."""
    seen: list[Read] = []
    task = asyncio.ensure_future(_work(cluster, topic, witness, seen))
    try:
        yield seen
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task  # a worker that died fails the test


async def _work(cluster: Cluster, topic: str, witness: str, seen: list[Read]) -> None:
    tps = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    async with cluster.consumer(dict.fromkeys(tps, 0)) as reader, cluster.producer() as producer:
        sender = Sender(producer)
        while True:
            for tp, records in (await reader.getmany(timeout_ms=20)).items():
                await asyncio.sleep(0.01)
                seen += records
                if witness == "applied":
                    await sender.send([_row(topic, tp.partition, records[-1].offset)])
                    await sender.flush()
                else:
                    await _commit(cluster, tp, records[-1].offset + 1)


def _row(topic: str, partition: int, last: int) -> Record:
    row = AppliedRow(1, topic, partition, "id", 0, last, "c", {}, [], False, last)
    return Record("applied", None, encode(row), partition=applied_partition(topic, partition, (topic,)))


async def _commit(cluster: Cluster, tp: TopicPartition, offset: int) -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=cluster.kafka.brokers, group_id=cluster.kafka.group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([tp])
        await consumer.commit({tp: offset})
    finally:
        await consumer.stop()


@pytest.mark.parametrize("witness", ["applied", "committed"])
async def test_a_replay_in_lockstep_waits_for_the_workers(cluster: Cluster, topic: str, witness: str) -> None:
    own = Cluster(cluster.kafka.model_copy(update={"group": f"g-{topic}"}))
    if "applied" not in await cluster.topics():
        await make_topics(cluster, "applied", partitions=PARTITIONS)
    hours = 12 if witness == "applied" else 4
    records = [
        Record(topic, b"k%d" % n, b"%d" % n, (), NOW_MS - 3_600_000 * (hours - n // 5)) for n in range(5 * hours)
    ]
    lockstep = Lockstep(3_600_000)
    ledger = Ledger(lockstep)
    async with worker(own, topic, witness) as seen, watching(own, [topic]) as progress, own.producer() as producer:
        replay = Replay(Sender(producer, lockstep.acked), Pace(), ledger, lockstep, progress, stall_s=20.0)
        done = await replay.run(iter(records))
        assert done.sent == {topic: 5 * hours}
        assert len(seen) >= 5 * (hours - 3)
    assert ledger.ahead_ms <= lockstep.width_ms


async def test_a_replay_in_lockstep_without_workers_says_so(cluster: Cluster, topic: str) -> None:
    own = Cluster(cluster.kafka.model_copy(update={"group": f"nobody-{topic}"}))
    lockstep = Lockstep(1_000)
    async with watching(own, [topic]) as progress, own.producer() as producer:
        replay = Replay(Sender(producer, lockstep.acked), Pace(), Ledger(lockstep), lockstep, progress, stall_s=0.5)
        with pytest.raises(DataError, match="no worker has moved for"):
            await replay.run(Record(topic, b"k", b"{}", (), NOW_MS + ahead_ms) for ahead_ms in (0, 2_000))


@pytest.mark.kafka
async def test_old_data_is_refused_where_the_broker_would_delete_it(kafka: object) -> None:
    cluster = Cluster(Kafka(brokers=kafka.address))  # type: ignore[attr-defined]  # tests.support.kafka.Kafka
    name = f"short-{uuid4().hex[:8]}"
    await make_topics(cluster, name, retention_ms="86400000")
    await check_retention(cluster, [name], NOW_MS - 3_600_000, lift=False)
    with pytest.raises(DataError, match=f"{name} 1 days.*--keep-forever"):
        await check_retention(cluster, [name], NOW_MS - 2 * 86_400_000, lift=False)
    await check_retention(cluster, [name], 0, lift=True)
    await check_retention(cluster, [name], 0, lift=False)
    await send(cluster, Record(name, b"k", os.urandom(2_000_000)))  # the topic's other settings are as they were
