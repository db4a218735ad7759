"""When a worker must not start, or not go on: it ends with exit code 2 and says what to do."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.support.events import order, orders
from tests.support.worker import Stream, delete_topics, make_topic, until

WIDE = """
from dataclasses import replace
from features.shop import shop_definitions

def wide(groups):
    return tuple(replace(group, exact=1024) if group.name == "card" else group for group in groups)

shop = shop_definitions()
flows = tuple(replace(flow, groups=wide(flow.groups)) for flow in shop.flows)
definitions = replace(shop, flows=flows, vector=replace(shop.vector, groups=wide(shop.vector.groups)))
"""
"""The shop, with a card's counterparties counted exactly up to a thousand."""


async def test_what_makes_a_start_useless_is_told_with_its_remedy(embedded_stream: Stream, tmp_path: Path) -> None:
    """All at once: each ends by itself before it joins the group."""
    stream = embedded_stream
    broken = tmp_path / "broken.toml"
    broken.write_text('[[rule]]\nname = "x"\ncode = "X"\ntext = "x"\nwhen = "card_cuont_10m > 1"\naction = "review"\n')
    await delete_topics(stream, ["cart.dlq"])
    wide = tmp_path / "wide.py"
    wide.write_text(WIDE)
    worker = stream.worker(LOG_FORMAT="json")
    assert await worker.ended() == 2
    last = [orjson.loads(line) for line in worker.said.splitlines()][-1]  # each line is an object
    assert (last["level"], last["process"]) == ("critical", "worker")
    assert "topics cart.dlq are not there: run `headrace topics create`" in last["message"]
    await make_topic(stream, "cart.dlq", stream.partitions)
    refused = {
        "exactly-once on the embedded broker": stream.worker(DELIVERY="exactly-once"),
        "near: card_count_10m": stream.worker(RULES=str(broken)),
        "HEADRACE_SHARDS": stream.worker(SHARDS="0"),
        "group 'card': a bag may come to": stream.worker(FEATURES=str(wide)),
    }
    for message, one in refused.items():
        assert await one.ended() == 2, one.said
        assert message in one.said
    assert await stream.read("applied") == []


async def test_a_session_that_the_broker_does_not_allow_is_told(kafka_stream: Stream) -> None:
    worker = kafka_stream.worker(KAFKA__SESSION_TIMEOUT_MS="2000")
    assert await worker.ended() == 2
    assert "session timeout 2000 ms: the broker allows 6000 to" in worker.said
    assert "HEADRACE_KAFKA__SESSION_TIMEOUT_MS" in worker.said


async def test_a_topic_made_anew_stops_the_worker_until_it_is_rebased_and_then_the_state_goes_on(
    stream: Stream,
) -> None:
    worker = stream.worker()
    await stream.send(*orders(60, users=20, name="old"))
    await stream.settled(60)

    async def closed() -> bool:
        return not await stream.open_ranges()

    await until(closed, 20.0, lambda: "the last ranges are not closed")
    await delete_topics(stream, ["orders"])
    await make_topic(stream, "orders", stream.partitions)
    again, new = orders(1, users=20, name="old"), order("new", "u0", 3_600_000 // 2)
    await stream.send(*again, new)
    assert await worker.ended() == 2, worker.said
    assert "headrace state rebase orders" in worker.said
    assert "o-new" not in await stream.decisions()
    second = stream.worker()
    assert await second.ended() == 2, "a worker started anew must not go on either"

    before = await stream.dump()
    code, told, errors = await stream.command("state", "rebase", "orders")
    assert code == 0, errors
    assert told.count("begins at offset 0") == stream.partitions
    code, told, errors = await stream.command("state", "rebase", "orders")
    assert code == 0, errors
    assert told.count("is on this topic already") == stream.partitions
    assert await stream.dump() == before

    third = stream.worker()

    async def decided() -> bool:
        return "o-new" in await stream.decisions()

    await until(decided, 40.0, lambda: third.said)
    decisions = await stream.decisions()
    assert len(decisions["o-old0"]) == 1, "known ids are carried over: a repeat is a duplicate"
    await until(lambda: third.metric("headrace_duplicates_total", topic="orders") == 1, 20.0, lambda: third.said)
    log = {
        orjson.loads(r.value or b"")["order_id"]: orjson.loads(r.value or b"") for r in await stream.read("decisions")
    }
    counts = {name: one["vector"][USER_COUNT_1H] for name, one in log.items()}
    assert counts["o-new"] == counts["o-old40"] + 1 == 4, "the state went on: it is the user's fourth order"


def _place_of(name: str) -> int:
    from features.shop import shop_definitions

    return shop_definitions().vector.names.index(name)


USER_COUNT_1H = _place_of("user_count_1h")


@pytest.mark.kafka
async def test_an_empty_store_under_a_published_log_stops_the_worker_and_a_rebuild_helps(
    kafka_stream: Stream,
) -> None:
    """Of a partition that published its first range only there is nothing to lose: so there must be several."""
    stream = kafka_stream
    await stream.send(*orders(200, users=7))
    worker = stream.worker(RANGE_RECORDS="10")
    await stream.settled(200)
    before = await stream.dump()
    assert worker.terminate() == 0
    stream.store.child.kill()
    for file in (stream.store.folder / "appendonlydir").iterdir():
        file.unlink()
    stream.store.start_again()
    second = stream.worker()
    assert await second.ended() == 2
    assert "headrace state rebuild" in second.said
    code, _, errors = await stream.command("state", "rebuild")
    assert code == 0, errors
    stream.worker()
    await stream.send(*orders(50, users=7, name="after"))
    report = await stream.settled(250)
    assert report.decided == 250
    assert len((await stream.dump()).splitlines()) == len(before.splitlines()) + 50, "a bag that waits for each label"
