"""Topics that are not what a worker needs: it ends with the topic's name and the remedy, not as if in an outage."""

from __future__ import annotations

from pathlib import Path

from aiokafka.admin import NewPartitions, NewTopic  # type: ignore[import-untyped]  # it ships no types

from tests.e2e.test_worker_definitions import DEFINITIONS, payment
from tests.support.events import orders
from tests.support.worker import Stream, delete_topics, make_topic, until

NOTICED_S = 25.0
DECLARED = DEFINITIONS.replace("True, outputs)", 'True, outputs, writes=("risk",))')


def define(stream: Stream, folder: Path, definitions: str) -> None:
    file = folder / "payments.py"
    file.write_text(definitions)
    stream.environment["FEATURES"] = str(file)


async def test_an_output_topic_that_the_definitions_name_must_be_there_and_can_be_created(
    embedded_stream: Stream, tmp_path: Path
) -> None:
    stream = embedded_stream
    define(stream, tmp_path, DECLARED)
    code, told, errors = await stream.command("topics", "create")
    assert code == 0, errors
    assert "risk" in {line.split()[0] for line in told.splitlines()}
    await delete_topics(stream, ["risk"])
    refused = stream.worker()
    assert await refused.ended() == 2
    assert "topics risk are not there: run `headrace topics create`" in refused.said
    await stream.command("topics", "create")
    worker = stream.worker()
    await stream.send(payment(0, "a", 100))

    async def out() -> bool:
        return len(await stream.read("risk")) == 1

    await until(out, 40.0, lambda: worker.said)


async def test_an_output_topic_that_only_the_adapter_knows_ends_the_worker_when_it_is_first_written_to(
    kafka_stream: Stream, tmp_path: Path
) -> None:
    """The embedded broker creates what a producer asks for."""
    stream = kafka_stream
    await delete_topics(stream, ["risk", "payments", "payments.dlq"])
    define(stream, tmp_path, DEFINITIONS)
    await stream.command("topics", "create")
    await stream.send(payment(0, "a", 100))
    worker = stream.worker()
    assert await worker.ended(NOTICED_S) == 2, worker.said
    last = worker.said.splitlines()[-1]
    assert "topics risk are not there" in last
    assert 'writes=("risk",)' in last
    assert await stream.read("payments.dlq") == []
    code, _, errors = await stream.command("topics", "create", FEATURES=_declared(tmp_path))
    assert code == 0, errors
    again = stream.worker()

    async def out() -> bool:
        return len(await stream.read("risk")) == 1

    await until(out, 40.0, lambda: again.said)


def _declared(folder: Path) -> str:
    file = folder / "declared.py"
    file.write_text(DECLARED)
    return str(file)


async def test_an_output_topic_of_fewer_partitions_that_only_the_adapter_knows_is_written_by_key(
    embedded_stream: Stream, tmp_path: Path
) -> None:
    stream = embedded_stream
    define(stream, tmp_path, DEFINITIONS)
    await stream.command("topics", "create")
    async with stream.cluster.admin() as admin:
        await admin.create_topics([NewTopic("risk", 1, 1)])
    await stream.send(*(payment(n, f"account-{n}", 100) for n in range(20)))
    worker = stream.worker()

    async def out() -> bool:
        return len(await stream.read("risk")) == 20

    await until(out, 40.0, lambda: worker.said)


async def test_an_output_topic_that_vanishes_ends_the_worker_with_its_name(stream: Stream) -> None:
    worker = stream.worker()
    await stream.send(*orders(20))
    await stream.settled(20)
    await delete_topics(stream, ["fraud"])
    assert await worker.ended(NOTICED_S) == 2, worker.said
    assert "topics fraud are not there: run `headrace topics create`" in worker.said.splitlines()[-1]


async def test_an_input_that_grows_ends_the_workers_until_applied_fits_and_then_all_of_it_is_read(
    kafka_stream: Stream,
) -> None:
    stream = kafka_stream
    worker = stream.worker()
    await stream.send(*orders(20))
    await stream.settled(20)
    async with stream.cluster.admin() as admin:
        await admin.create_partitions({"orders": NewPartitions(3)})
    assert await worker.ended(NOTICED_S) == 2, worker.said
    last = worker.said.splitlines()[-1]
    assert "topic orders has 3 partitions and had 2" in last
    assert "headrace topics create" in last

    lacking = "topic applied has 10 partitions, 5 inputs with up to 3 need 15"
    again = stream.worker()
    assert await again.ended() == 2
    assert lacking in again.said
    before = await stream.dump()
    for command in (("audit",), ("state", "rebuild"), ("state", "rebuild", "--from-scratch")):
        code, _, errors = await stream.command(*command)
        assert (code, lacking in errors) == (2, True), errors
    assert await stream.dump() == before

    code, _, errors = await stream.command("topics", "create")
    assert code == 0, errors
    stream.worker()
    await stream.send(*orders(60, name="later", users=40))
    assert (await stream.settled(80)).decided == 80


async def test_without_applied_the_audit_says_so(embedded_stream: Stream) -> None:
    await embedded_stream.send(*orders(1))
    await delete_topics(embedded_stream, ["applied"])
    code, _, errors = await embedded_stream.command("audit")
    assert code == 2
    assert "topics applied are not there: run `headrace topics create`" in errors
    await make_topic(embedded_stream, "applied", 8)
