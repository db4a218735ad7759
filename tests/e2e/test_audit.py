"""The audit adds up what is in the topics, and names what does not fit."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from schemas.decisions import AppliedRow, Decision, Model, encode
from schemas.ids import decision_id
from schemas.timestamps import rfc3339
from streams.audit import Report, audit
from streams.embedded.processes import Children
from streams.transport.log import LogReader
from streams.transport.output import Output
from streams.transport.profile import EMBEDDED
from streams.transport.publisher import Publisher
from tests.support.tansu import start_tansu
from tests.support.transport import Place

AT = rfc3339(1_800_000_000_000)


class Topics:
    """A broker of the test's own, whose topics are filled by hand."""

    def __init__(self, place: Place) -> None:
        self.reader, self.publisher = LogReader(place.link), Publisher(place.link, EMBEDDED)

    async def send(self, topic: str, *values: bytes, **headers: str) -> None:
        ours = tuple((f"dlq-{name}", text.encode()) for name, text in headers.items())
        await self.publisher.send([Output(topic, b"k", value, ours, partition=0) for value in values])

    async def applied(self, first: int, last: int, **exceptions: list[int]) -> None:
        facts = await self.reader.topics(["orders"])
        row = AppliedRow(1, "orders", 0, facts["orders"].id, first, last, "c", exceptions, [1], False, last)
        await self.send("applied", encode(row))

    async def report(self) -> Report:
        return await audit(self.reader, ["orders"])


@pytest.fixture
async def topics(children: Children) -> AsyncIterator[Topics]:
    place = Place(start_tansu(children).address, EMBEDDED)
    for name in ("orders", "applied", "fraud", "orders.dlq"):
        await place.topic(1, name)
    topics = Topics(place)
    yield topics
    await topics.publisher.stop()
    await topics.reader.stop()


def order(n: int) -> bytes:
    fields: dict[str, Any] = {"type": "purchase", "event_id": f"e{n}", "event_time": AT, "order_id": f"o{n}"}
    items = [{"item_id": "p", "price": 1, "quantity": 1}]
    return msgspec.json.encode(fields | {"user_id": "u", "value": 1, "currency": "EUR", "items": items})


def decision(n: int, *, score: float = 0.5, recovered: bool = False) -> bytes:
    names = (decision_id(f"e{n}"), f"o{n}", f"e{n}", "u", AT)
    return encode(Decision(*names, score, "allow", (), (), Model(None, None), "c", "f", recovered))


async def test_what_was_consumed_is_the_sum_of_what_became_of_it(topics: Topics) -> None:
    await topics.send("orders", order(0), order(1), order(0), b"{", order(4))
    await topics.applied(0, 3, duplicate=[2], dead=[3])
    await topics.send("fraud", decision(0), decision(1), decision(1))
    await topics.send("orders.dlq", b"{", partition="0", offset="3")
    report = await topics.report()
    assert report.holds, report.problems
    assert (report.consumed, report.decided, report.duplicate, report.dead) == (4, 2, 1, 1)
    assert (report.pending, report.published, report.repeated) == (1, 3, 1)


async def test_an_accepted_order_without_a_decision_is_named(topics: Topics) -> None:
    await topics.send("orders", order(0), order(1))
    await topics.applied(0, 1)
    await topics.send("fraud", decision(0))
    report = await topics.report()
    assert not report.holds
    assert "order o1" in report.problems[0]


async def test_a_decision_nobody_asked_for_is_named(topics: Topics) -> None:
    await topics.send("orders", order(0))
    await topics.applied(0, 0, duplicate=[0])
    await topics.send("fraud", decision(0))
    assert "order o0" in (await topics.report()).problems[0]


async def test_a_decision_whose_range_is_still_open_is_nobodys_mistake(topics: Topics) -> None:
    """A stream that runs: the decision is out and its row is not, or came after the rows were read."""
    await topics.send("orders", order(0), order(1))
    await topics.applied(0, 0)
    await topics.send("fraud", decision(0), decision(1))
    report = await topics.report()
    assert report.holds, report.problems
    assert (report.decided, report.pending, report.published) == (1, 1, 2)


async def test_two_decisions_of_one_order_that_differ_must_say_recovered(topics: Topics) -> None:
    await topics.send("orders", order(0), order(1))
    await topics.applied(0, 1)
    await topics.send("fraud", decision(0), decision(0, score=0.7, recovered=True), decision(1))
    assert (await topics.report()).holds
    await topics.send("fraud", decision(1, score=0.9))
    report = await topics.report()
    assert not report.holds
    assert "order o1" in report.problems[0]


async def test_a_refused_record_that_is_in_no_dead_letter_topic_is_named(topics: Topics) -> None:
    await topics.send("orders", b"{")
    await topics.applied(0, 0, dead=[0])
    assert "orders/0 offset 0" in (await topics.report()).problems[0]


async def test_a_hole_between_the_rows_is_named(topics: Topics) -> None:
    await topics.send("orders", order(0), order(1), order(2))
    await topics.applied(0, 0)
    await topics.applied(2, 2)
    await topics.send("fraud", decision(0), decision(2))
    assert "offset 1" in (await topics.report()).problems[0]


async def test_rows_of_a_topic_that_was_deleted_and_made_anew_do_not_count(topics: Topics) -> None:
    await topics.send("orders", order(0))
    old = AppliedRow(1, "orders", 0, "another id", 0, 0, "c", {}, [1], False, 0)
    await topics.send("applied", encode(old))
    report = await topics.report()
    assert (report.consumed, report.pending) == (0, 1)
