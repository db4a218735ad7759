"""Labels find their orders on a real broker and store: before or after them, reversed, repeated, and killed over."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson

from schemas.ids import decision_id
from schemas.timestamps import rfc3339
from streams.data.record import Record
from tests.support.events import START_MS, order
from tests.support.worker import Stream, until

ORDERS = [order(f"n{number}", f"u{number % 7}", 1_000 * number) for number in range(40)]


def charged(number: int, name: str = "") -> Record:
    """A chargeback of which the bank knows the order's id alone."""
    return _label({"type": "chargeback"}, name or f"charged{number}", number, 0)


def reviewed(number: int, after_ms: int, *, fraud: bool) -> Record:
    body = {"type": "review_outcome", "fraud": fraud, "user_id": f"u{number % 7}"}
    return _label(body, f"reviewed{number}-{after_ms}", number, after_ms)


def _label(body: dict[str, Any], name: str, number: int, after_ms: int) -> Record:
    at_ms, order_id = START_MS + 1_000_000 + after_ms, f"o-n{number}"
    made = {"event_id": f"e-{name}", "event_time": rfc3339(at_ms), "order_id": order_id, **body}
    return Record("labels", order_id.encode(), orjson.dumps(made), (), at_ms)


async def outcomes(stream: Stream) -> dict[str, dict[str, Any]]:
    """By id: a repeat is dropped."""
    found = [orjson.loads(read.value or b"") for read in await stream.read("outcomes")]
    return {one["event_id"]: one for one in found}


async def known(stream: Stream) -> set[str]:
    """The orders that are known for fraud, by the sum of the deltas."""
    sums: Counter[str] = Counter()
    for one in (await outcomes(stream)).values():
        sums[one["order_id"]] += one["delta"]
    assert set(sums.values()) <= {0, 1}
    return {order_id for order_id, total in sums.items() if total}


async def settled(stream: Stream) -> None:
    """All is taken, also what is read back."""
    before = -1

    async def rests() -> bool:
        nonlocal before
        report = await stream.settled()
        same, before = report.consumed == before, report.consumed
        return same

    await until(rests, 60.0, lambda: "outcomes keep coming")


async def _tells_what_the_newest_labels_say(stream: Stream) -> None:
    worker = stream.worker(0)
    early = [charged(1), reviewed(2, 5, fraud=False)]
    await stream.send(*early)
    await stream.settled(len(early))
    await stream.send(*ORDERS)
    await stream.settled(len(ORDERS) + len(early))
    assert await _told_soon(stream, {"o-n1"}) == {"o-n1"}
    await stream.send(charged(2), charged(3), charged(3, "again"), reviewed(4, 1, fraud=True), charged(99))
    assert await _told_soon(stream, {"o-n1", "o-n3", "o-n4"}) == {"o-n1", "o-n3", "o-n4"}
    worker.child.kill()
    stream.worker(0)
    await stream.send(reviewed(4, 2, fraud=False), reviewed(3, 9, fraud=False), reviewed(3, 10, fraud=True))
    assert await _told_soon(stream, {"o-n1", "o-n3"}) == {"o-n1", "o-n3"}
    await settled(stream)
    assert await known(stream) == {"o-n1", "o-n3"}
    lines = [orjson.loads(line) for line in (await stream.dump()).splitlines()]
    bags = {line["entity"]: line for line in lines if line["group"] == "order"}
    assert {name for name, bag in bags.items() if bag["told"]} == {"o-n1", "o-n3"}
    assert bags["o-n99"]["orders"] == [], "no order of this id has come: the label waits"
    assert bags["o-n7"]["orders"][0]["decision_id"] == decision_id("e-n7")


async def _told_soon(stream: Stream, want: set[str]) -> set[str]:
    """What is known, once it is this or half a minute is over."""
    found: set[str] = set()

    async def there() -> bool:
        nonlocal found
        found = await known(stream)
        return found == want

    await until(there, 30.0, lambda: f"{found} are known, want {want}")
    return found


async def test_what_is_known_of_each_order_is_what_its_newest_label_says(stream: Stream) -> None:
    await _tells_what_the_newest_labels_say(stream)
    (first,) = [one for one in (await outcomes(stream)).values() if one["order_id"] == "o-n1"]
    assert (first["card_id"], first["device_id"], first["user_id"]) == ("c-u1", "d-u1", "u1")
    assert first["label"]["type"] == "chargeback"


async def test_exactly_once_tells_the_same_and_each_outcome_once_and_no_marker_counts_as_lag(
    kafka_stream: Stream,
) -> None:
    kafka_stream.environment["DELIVERY"] = "exactly-once"
    await _tells_what_the_newest_labels_say(kafka_stream)
    told = Counter(orjson.loads(read.value or b"")["event_id"] for read in await kafka_stream.read("outcomes"))
    assert set(told.values()) == {1}
    worker = kafka_stream.workers[-1]
    await until(lambda: worker.lags() == {0.0}, 20.0, lambda: f"the lag stays at {worker.lags()}")
