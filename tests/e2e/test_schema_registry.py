"""Avro through a real schema registry: decided as JSON is, and waited for while the registry is away.

The registry is Apicurio, asked by Confluent's interface; the worker is told where it is by a setting and no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from schemas import jsonschema
from schemas.avro import schemas
from streams.data.record import Record
from streams.embedded.processes import Children
from tests.conftest import KAFKA_TIMEOUT_S
from tests.support.apicurio import Apicurio, start_apicurio
from tests.support.events import START_MS, order_body
from tests.support.schemas import as_written, avro, framed
from tests.support.worker import Stream, until

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.timeout(KAFKA_TIMEOUT_S)]  # it needs Java, as Kafka does

ORDERS = schemas()["orders"]


@pytest.fixture(scope="module")
def registry() -> Iterator[Apicurio]:
    with Children() as own:
        yield start_apicurio(own)


def record(body: dict[str, Any], value: bytes) -> Record:
    return Record("orders", str(body["user_id"]).encode(), value, (), START_MS)


def of_schema(number: int, schema: Any, body: dict[str, Any]) -> Record:
    return record(body, avro(number, schema, as_written("orders", body)))


async def test_orders_in_avro_and_in_json_are_decided_alike_and_everything_adds_up(
    embedded_stream: Stream, registry: Apicurio
) -> None:
    stream = embedded_stream
    stream.environment["SCHEMA_REGISTRY__URL"] = registry.url
    number = registry.register("orders-value", ORDERS)
    in_json = registry.register("orders-json-value", jsonschema.schemas()["orders"], "JSON")
    bodies = [order_body(f"n{n}", f"u{n % 5}", n * 250) for n in range(60)]
    stream.worker()
    await stream.send(
        *[of_schema(number, ORDERS, body) for body in bodies[:20]],
        *[record(body, framed(in_json, orjson.dumps(body))) for body in bodies[20:40]],
        *[record(body, orjson.dumps(body)) for body in bodies[40:]],
        of_schema(number, ORDERS, bodies[0]),  # again
        record(bodies[0], framed(2_000_000_000, b"?")),
        record(bodies[0], framed(number, b"?")),
    )
    report = await stream.settled(63)
    assert (report.decided, report.duplicate, report.dead) == (60, 1, 2)
    letters = [dict(letter.headers)["dlq-reason"] or b"" for letter in await stream.read("orders.dlq")]
    assert sorted(letters) == [b"not_avro", b"unknown_schema"]
    decided = [orjson.loads(values[0]) for values in (await stream.decisions()).values()]
    assert {one["event_time"] for one in decided} == {body["event_time"] for body in bodies}
    code, told, errors = await stream.command("audit", "--json")
    assert (code, orjson.loads(told)["decided"]) == (0, 60), errors


async def test_while_the_registry_is_away_orders_wait_and_none_is_a_dead_letter(
    embedded_stream: Stream, registry: Apicurio
) -> None:
    stream = embedded_stream
    stream.environment |= {"SCHEMA_REGISTRY__URL": registry.url, "SCHEMA_REGISTRY__TIMEOUT_MS": "300"}
    worker = stream.worker()
    plain = order_body("first", "u1")
    await stream.send(record(plain, orjson.dumps(plain)))
    await stream.settled(1)
    renamed = {**ORDERS, "doc": "another version, which the worker has not asked for yet"}
    number = registry.register("orders-value", renamed)
    registry.child.stop()
    try:
        bodies = [order_body(f"w{n}", f"u{n}", n * 250) for n in range(8)]
        await stream.send(*[of_schema(number, renamed, body) for body in bodies])
        away = "the schema registry at http://127.0.0.1"
        await until(lambda: away in worker.said and "does not answer" in worker.said, 30.0, lambda: worker.said)
        await asyncio.sleep(1.0)
        assert len(await stream.decisions()) == 1
    finally:
        registry.child.cont()
    report = await stream.settled(9)
    assert (report.decided, report.dead) == (9, 0)
    assert "ERROR" not in worker.said


async def test_a_worker_that_nobody_told_of_the_registry_says_so_in_the_dead_letter_and_redrive_mends_it(
    embedded_stream: Stream, registry: Apicurio
) -> None:
    stream = embedded_stream
    body = order_body("later", "u1")
    first = stream.worker()
    await stream.send(of_schema(registry.register("orders-value", ORDERS), ORDERS, body))
    report = await stream.settled(1)
    assert report.dead == 1
    code, told, errors = await stream.command("dlq", "ls")
    assert (code, "unknown_schema" in told) == (0, True), errors
    assert await asyncio.to_thread(first.terminate) == 0
    stream.environment["SCHEMA_REGISTRY__URL"] = registry.url
    stream.worker()
    code, told, errors = await stream.command("dlq", "redrive", "orders")
    assert code == 0, errors
    assert (await stream.settled(2)).decided == 1
