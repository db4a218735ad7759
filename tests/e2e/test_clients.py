"""Clients in other languages beside a worker: each writes orders, the worker decides them, each reads the decisions.

The programs are those of docs/clients.md, word for word. On Apache Kafka the worker decides exactly-once, so that
readers meet transactions. The embedded broker has neither transactions nor idempotent producers.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from schemas.cloudevents import SOURCE
from schemas.ids import partition_for
from streams.data.record import Record
from streams.embedded.processes import Children
from tests.e2e.conftest import ON_KAFKA, stream_on
from tests.support.clients import Argv, java, node, python
from tests.support.events import order_body
from tests.support.worker import Stream, Worker, until

pytestmark = pytest.mark.xdist_group("clients")

Body = dict[str, Any]
WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Running:
    """A worker at its stream."""

    stream: Stream
    worker: Worker

    async def decided(self, made: Sequence[Body]) -> None:
        """Returns when each order has its decision, and there is one of each."""
        wanted = {body["order_id"] for body in made}

        async def all_are() -> bool:
            return wanted <= (await self.stream.decisions()).keys()

        await until(all_are, WITHIN_S, lambda: f"not all of {sorted(wanted)} are decided:\n{self.worker.said[-2000:]}")
        assert {len(copies) for copies in (await self.stream.decisions()).values()} == {1}


@pytest.fixture(scope="module", params=["embedded", ON_KAFKA])
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    with Children() as own:
        stream = stream_on(request.param, own, request)
        delivery = "exactly-once" if request.param == "kafka" else "at-least-once"
        yield Running(stream, stream.worker(0, DELIVERY=delivery))


def bodies(name: str, count: int = 40) -> list[Body]:
    """Orders of a few users, some of whose names are not ASCII."""
    users = ["ann", "bo", "cleo", "dé", "中", "u-4711"]
    return [order_body(f"{name}{n}", users[n % len(users)], 100 * n) for n in range(count)]


def lines(made: Sequence[Body]) -> bytes:
    return b"".join(orjson.dumps(body) + b"\n" for body in made)


@pytest.mark.parametrize("running", [ON_KAFKA], indirect=True)
@pytest.mark.parametrize("language", [python, node, java])
async def test_the_programs_of_the_page_write_orders_and_read_their_decisions(
    running: Running, children: Children, language: Argv
) -> None:
    stream, made = running.stream, bodies(f"{language.__name__}-")
    producer = [*language("producer"), stream.brokers]
    wrote = await asyncio.to_thread(
        subprocess.run, producer, input=lines(made), capture_output=True, timeout=WITHIN_S, check=False
    )
    assert wrote.returncode == 0, wrote.stderr.decode()
    await running.decided(made)

    wanted = {body["order_id"] for body in made}
    reader = children.start("consumer", [*language("consumer"), stream.brokers, f"g-{uuid4().hex[:8]}"])

    def read() -> list[str]:
        return [words[0] for line in reader.log.read_text().splitlines() if len(words := line.split()) == 2]

    await until(lambda: wanted <= set(read()), WITHIN_S, lambda: reader.log.read_text()[-2000:])
    assert len(read()) == len(set(read()))
    reader.kill()

    at = {orjson.loads(r.value or b"")["order_id"]: (r.key, r.partition) for r in await stream.read("orders")}
    for body in made:
        key = str(body["user_id"]).encode()
        assert at[body["order_id"]] == (key, partition_for(key, stream.partitions))


Mode = Callable[[CloudEvent, JSONFormat], KafkaMessage]


def _sent(mode: Mode, body: Body, **attributes: Any) -> Record:
    """An order as the CloudEvents package writes it."""
    event = CloudEvent({"source": "/shop", "type": "com.shop.order", **attributes}, body)
    message = mode(event, JSONFormat())
    return Record("orders", str(body["user_id"]).encode(), message.value, tuple(message.headers.items()))


async def test_orders_are_taken_as_cloudevents_in_both_modes_and_decisions_come_as_cloudevents(
    running: Running,
) -> None:
    binary, structured = bodies("binary", 10), bodies("structured", 10)
    await running.stream.send(
        *[_sent(to_binary, body, id=body["event_id"]) for body in binary],
        *[_sent(to_structured, body, id=body["event_id"]) for body in structured],
    )
    await running.decided([*binary, *structured])
    wanted = {body["order_id"]: body["event_time"] for body in (*binary, *structured)}
    for record in await running.stream.read("fraud"):
        headers = {name: value or b"" for name, value in record.headers}
        event = from_binary(KafkaMessage(headers, record.key, record.value or b""), JSONFormat())
        decision: Any = event.get_data()
        if decision["order_id"] in wanted:
            assert (event.get_id(), event.get_source()) == (decision["decision_id"], SOURCE)
            assert (event.get_type(), headers["ce_time"].decode()) == (
                "headrace.decision",
                wanted[decision["order_id"]],
            )


async def test_who_an_event_is_stands_in_its_value_and_not_in_its_headers(
    running: Running,
) -> None:
    (body,) = bodies("named", 1)
    (other,) = bodies("unnamed", 1)
    before = await running.stream.report()
    await running.stream.send(
        _sent(to_binary, body, id="one"),
        _sent(to_binary, body, id="two"),  # the same order: a duplicate
        _sent(to_binary, other, id="one"),  # another order
    )
    await running.decided([body, other])
    report = await running.stream.settled(before.consumed + 3)
    assert (report.duplicate - before.duplicate, report.decided - before.decided) == (1, 2)
    assert report.dead == before.dead
