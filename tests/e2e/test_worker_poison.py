"""Every kind of bad input, sent between good orders to a running worker: what becomes of it, and of its neighbours.

All of it goes into one partition, a good order before and after each, and is looked at once the worker has taken it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from schemas.decode import Reason
from schemas.ids import decision_id, partition_for
from schemas.topics import MAX_RECORD_BYTES
from streams.audit import Report
from streams.data.consume import Read
from streams.data.record import Record
from tests.support.events import HEADERS, START_MS, event, order, order_body
from tests.support.worker import Stream

pytestmark = pytest.mark.xdist_group("poison")

USER = "victim"
KEY = USER.encode()
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Poison:
    """A bad record, and what a dead letter must say of it."""

    record: Record
    reason: Reason
    path: str


def raw(value: bytes | None, topic: str = "orders") -> Record:
    return Record(topic, KEY, value, HEADERS, START_MS)


def spoilt(**more: Any) -> Record:
    """A good order but for some fields; None takes one out."""
    body = {name: value for name, value in order_body("bad", USER, **more).items() if value is not None}
    return Record("orders", KEY, orjson.dumps(body), HEADERS, START_MS)


def replaced(old: bytes, new: bytes) -> Record:
    """A good order with some of its bytes replaced: for what no encoder would write."""
    value = order("bad", USER).value or b""
    assert old in value
    return raw(value.replace(old, new))


def item(**more: Any) -> list[dict[str, Any]]:
    return [{"item_id": "p", "price": 1.0, "quantity": 1, **more}]


POISONS: dict[str, Poison] = {
    "not UTF-8": Poison(replaced(b"Lamp", b"L\xffmp"), Reason.NOT_UTF8, "$.items[0].item_name"),
    "not JSON": Poison(raw(b'{"type":"purchase",'), Reason.NOT_JSON, "$"),
    "an array": Poison(raw(b"[1,2,3]"), Reason.WRONG_TYPE, "$"),
    "a text where a number belongs": Poison(spoilt(value="30.5"), Reason.WRONG_TYPE, "$.value"),
    "a number where a text belongs": Poison(spoilt(order_id=17), Reason.WRONG_TYPE, "$.order_id"),
    "no order id": Poison(spoilt(order_id=None), Reason.MISSING_FIELD, "$.order_id"),
    "nobody": Poison(spoilt(user_id=None), Reason.MISSING_FIELD, "$.user_id"),
    "NaN": Poison(replaced(b'"value":30.5', b'"value":NaN'), Reason.OUT_OF_RANGE, "$.value"),
    "infinity": Poison(replaced(b'"value":30.5', b'"value":-Infinity'), Reason.OUT_OF_RANGE, "$.value"),
    "a number beyond all floats": Poison(replaced(b'"value":30.5', b'"value":1e999'), Reason.OUT_OF_RANGE, "$.value"),
    "a value over the limit": Poison(spoilt(value=1.1e9), Reason.OUT_OF_RANGE, "$.value"),
    "a negative price": Poison(spoilt(items=item(price=-1.0)), Reason.OUT_OF_RANGE, "$.items[0].price"),
    "a quantity of nothing": Poison(spoilt(items=item(quantity=0)), Reason.OUT_OF_RANGE, "$.items[0].quantity"),
    "no items": Poison(spoilt(items=[]), Reason.OUT_OF_RANGE, "$.items"),
    "10,000 items": Poison(spoilt(items=item() * 10_000), Reason.TOO_MANY_ITEMS, "$.items"),
    "10 MB": Poison(spoilt(note="x" * 10_000_000), Reason.TOO_LARGE, "$"),
    "no time": Poison(spoilt(event_time="yesterday"), Reason.BAD_TIME, "$.event_time"),
    "the year 2099": Poison(spoilt(event_time="2099-01-01T00:00:00.000Z"), Reason.FUTURE, "$.event_time"),
    "too late": Poison(spoilt(event_time="2020-01-01T00:00:00.000Z"), Reason.TOO_LATE, "$.event_time"),
    "unknown currency": Poison(spoilt(currency="XXX"), Reason.UNKNOWN_CURRENCY, "$.currency"),
    "conflicting id": Poison(spoilt(event_id="e-good0"), Reason.CONFLICTING_ID, "$.event_id"),
    "unknown type": Poison(spoilt(type="purchased"), Reason.UNKNOWN_TYPE, "$.type"),
    "a control character in an id": Poison(spoilt(order_id="o\u0000"), Reason.BAD_ID, "$.order_id"),
    "an id of 257 characters": Poison(spoilt(event_id="e" * 257), Reason.BAD_ID, "$.event_id"),
    "nested without end": Poison(raw(b"[" * 5000 + b"]" * 5000), Reason.NOT_JSON, "$"),
    "no bytes": Poison(raw(b""), Reason.EMPTY, "$"),
    "a tombstone": Poison(raw(None), Reason.EMPTY, "$"),
}
ELSEWHERE: dict[str, Poison] = {
    "a purchase among clicks": Poison(raw(order("click", USER).value, "clickstream"), Reason.UNKNOWN_TYPE, "$.type"),
    "a cart of infinite value": Poison(
        raw(b'{"type":"add_to_cart","event_id":"c","event_time":"2020","user_id":"v","value":1e400}', "cart"),
        Reason.OUT_OF_RANGE,
        "$.value",
    ),
    "a label without its order": Poison(
        raw(b'{"type":"chargeback","event_id":"l","event_time":"2020"}', "labels"), Reason.MISSING_FIELD, "$.order_id"
    ),
}
GOOD = [order(f"good{n}", USER, 1000 * n) for n in range(len(POISONS) + 1)]
AGAIN = GOOD[3]  # the very same record once more: a duplicate, and no dead letter


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What the topics hold once all was taken."""

    report: Report
    letters: Mapping[tuple[str, int], Read]  # by topic and the offset of what died
    offsets: Mapping[str, int]  # of each poison
    fraud: Mapping[str, list[bytes]]


def poisoned() -> list[Record]:
    """Good and bad in turn."""
    mixed = [GOOD[0]]
    for good, poison in zip(GOOD[1:], POISONS.values(), strict=True):
        mixed += [poison.record, good]
    return [*mixed, AGAIN]


@pytest.fixture(scope="module")
def aftermath(shared_stream: Stream) -> Aftermath:
    return asyncio.run(_aftermath(shared_stream))


async def _aftermath(stream: Stream) -> Aftermath:
    """All of it is there before the worker starts, so that good and bad share their ranges."""
    others = [poison.record for poison in ELSEWHERE.values()]
    good_clicks = [event("clickstream", "page_view", "click-good", USER), event("cart", "view_cart", "cart-good", USER)]
    sent = [*poisoned(), *others, *good_clicks]
    await stream.send(*sent)
    stream.worker()
    report = await stream.settled(len(sent))
    letters = await stream.read("orders.dlq", "clickstream.dlq", "cart.dlq", "labels.dlq")
    return Aftermath(
        report,
        {(letter.topic, int(dict(letter.headers)["dlq-offset"] or b"")): letter for letter in letters},
        {name: 2 * place + 1 for place, name in enumerate(POISONS)} | dict.fromkeys(ELSEWHERE, 0),
        await stream.decisions(),
    )


@pytest.mark.parametrize("name", [*POISONS, *ELSEWHERE])
def test_a_poison_message_is_a_dead_letter_with_all_it_came_with_and_the_reason(
    aftermath: Aftermath, shared_stream: Stream, name: str
) -> None:
    poison = {**POISONS, **ELSEWHERE}[name]
    topic, offset = poison.record.topic, aftermath.offsets[name]
    letter = aftermath.letters[f"{topic}.dlq", offset]
    assert (letter.key, letter.value) == (poison.record.key, poison.record.value)
    assert letter.headers[: len(HEADERS)] == HEADERS
    ours = {header: (value or b"").decode() for header, value in letter.headers[len(HEADERS) :]}
    assert ours.pop("dlq-detail")
    assert ours.pop("dlq-timestamp") == str(poison.record.timestamp_ms)
    assert ours == {
        "dlq-reason": poison.reason.value,
        "dlq-path": poison.path,
        "dlq-topic": topic,
        "dlq-partition": str(partition_for(KEY, shared_stream.partitions)),
        "dlq-offset": str(offset),
        "dlq-attempt": "1",
    }


def test_every_order_around_them_is_decided_once(aftermath: Aftermath) -> None:
    assert {name: len(copies) for name, copies in aftermath.fraud.items()} == {
        f"o-good{n}": 1 for n in range(len(GOOD))
    }
    first = orjson.loads(aftermath.fraud["o-good0"][0])
    assert first["decision_id"] == decision_id("e-good0")


def test_the_audit_counts_each_kind(aftermath: Aftermath) -> None:
    report = aftermath.report
    counted = (report.decided, report.duplicate, report.conflict, report.too_late, report.future, report.other)
    assert counted == (len(GOOD), 1, 1, 1, 1, 2)
    assert report.dead == len(POISONS) - 3 + len(ELSEWHERE)


def test_nothing_else_is_among_the_dead_letters(aftermath: Aftermath) -> None:
    assert len(aftermath.letters) == len(POISONS) + len(ELSEWHERE)


def test_the_metrics_count_them_by_reason(aftermath: Aftermath, shared_stream: Stream) -> None:
    (worker,) = shared_stream.workers
    want: dict[tuple[str, str], float] = {}
    for poison in [*POISONS.values(), *ELSEWHERE.values()]:
        place = (poison.record.topic, poison.reason.value)
        want[place] = want.get(place, 0) + 1
    counted = {
        (s.labels["topic"], s.labels["reason"]): s.value
        for s in worker.samples()
        if s.name == "headrace_dead_letters_total"
    }
    assert counted == want
    assert worker.metric("headrace_duplicates_total", topic="orders") == 1
    assert aftermath.report.holds


def test_a_record_over_the_limit_is_refused_by_us_and_not_by_the_broker() -> None:
    assert len(POISONS["10 MB"].record.value or b"") > 10 * MAX_RECORD_BYTES


async def test_a_dead_letter_sent_back_and_still_bad_is_one_with_a_second_attempt(
    aftermath: Aftermath, shared_stream: Stream
) -> None:
    assert aftermath.report.holds
    code, told, errors = await shared_stream.command("dlq", "redrive", "orders", "--reason", "unknown_currency")
    assert (code, told) == (0, "1 sent back to orders\n"), errors
    await shared_stream.settled(aftermath.report.consumed + 1)
    letters = [
        {name: value for name, value in letter.headers if value}
        for letter in await shared_stream.read("orders.dlq")
        if b"unknown_currency" in dict(letter.headers).values()
    ]
    assert sorted(letter["dlq-attempt"] for letter in letters) == [b"1", b"2"]
    assert all(letter["trace"] == b"t-1" for letter in letters)
