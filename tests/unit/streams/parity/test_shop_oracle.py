"""The oracle agrees on the shop's whole vector, and finds what live and replay have wrong alike."""

from __future__ import annotations

import asyncio
import random

import msgspec
import pytest

from features.definitions import Definitions
from features.replay import Replay
from features.shop import shop_definitions
from schemas.ids import decision_id, partition_for
from schemas.outcomes import Outcome, encode_outcome, outcome_id
from streams.cli.chaos import shop_events
from streams.parity.check import Asked, Check, Report
from streams.parity.plants import PLANTS, planted
from streams.past.feed import Feed
from streams.protocol.ports import Exceptions, Tp, Verdict
from tests.oracle.parity import oracle
from tests.support.past import MemoryPast, Record, row_of

FEW, MANY = 150, 600  # orders: with many, entities have more events than stay one by one
PARTITIONS, SHARDS, RANGE, SEED = 2, 4, 40, 5
FRAUDS = 0.2  # of orders


def outcomes_of(order: bytes, dice: random.Random) -> list[bytes]:
    """That the order is known as fraud, and of some that it was none after all."""
    try:
        placed = msgspec.json.decode(order)
    except msgspec.DecodeError:
        return []
    known = ("event_time", "order_id", "user_id", "visitor_id", "card_id", "device_id", "ip", "merchant_id")
    shared = {name: placed[name] for name in known if placed.get(name)}
    shared |= {
        "decision_id": decision_id(placed["event_id"]),
        "products": [item["item_id"] for item in placed["items"]],
    }
    turns = [1] if dice.random() < 0.7 else [1, 2]
    return [
        encode_outcome(
            Outcome(
                event_id=outcome_id(shared["decision_id"], turn),
                turn=turn,
                fraud=turn == 1,
                delta=1 if turn == 1 else -1,
                **shared,
            )
        )
        for turn in turns
    ]


def log_of(definitions: Definitions, orders: int) -> MemoryPast:
    """The shop's events in ranges, whose numbers differ between shards; copies and garbage are refused."""
    dice, past, seen = random.Random(SEED), MemoryPast(), set[str]()
    flows = {flow.topic: flow for flow in definitions.flows if flow.groups}
    held: dict[tuple[str, int], list[Record]] = {}
    now = [1_000_000] * SHARDS

    def taken(partition: tuple[str, int]) -> None:
        batch = held.pop(partition)
        decoded = flows[partition[0]].decode([record.value for record in batch])
        exceptions: Exceptions = {}
        for record, event in zip(batch, decoded.events, strict=True):
            if event is None:
                exceptions[record.offset] = Verdict.DEAD
            elif event.event_id in seen:
                exceptions[record.offset] = Verdict.DUPLICATE
            else:
                seen.add(event.event_id)
        now[:] = [number + dice.randint(1, 50) for number in now]
        row = row_of(Tp(*partition, "t"), batch[0].offset, batch[-1].offset, tuple(now), exceptions=exceptions)
        past.add(batch, row)

    def told(topic: str, key: bytes, value: bytes) -> None:
        partition = topic, partition_for(key, PARTITIONS)
        waiting = held.setdefault(partition, [])
        waiting.append(Record(len(past.kept.get(partition, ())) + len(waiting), value))
        if len(waiting) == RANGE:
            taken(partition)

    for record in shop_events(orders, SEED).records:
        if record.topic in flows:
            told(record.topic, record.key or b"", record.value or b"")
        if record.topic == "orders" and dice.random() < FRAUDS:
            for value in outcomes_of(record.value or b"", dice):
                told("outcomes", record.key or b"", value)
    for partition in list(held):
        taken(partition)
    return past


async def checked(live: Definitions, today: Definitions, orders: int = FEW) -> Report:
    """What a check by today's definitions says of vectors that were logged by the live ones."""
    past = log_of(live, orders)
    feed, replay = Feed(past, live), Replay(live, SHARDS)
    await feed.open()
    await feed.line(0)
    async for range_ in feed.ranges():
        replay.take(range_)
    for one in replay.finish():
        for offset, event, at_ms, vector in zip(
            one.range.tag.offset.tolist(), one.range.events, one.range.at_ms.tolist(), one.rows.tolist(), strict=True
        ):
            place = {"topic": "orders", "partition": one.range.tag.applied.partition, "offset": offset}
            names = {"decision_id": decision_id(event.event_id), "order_id": event.order_id, "recovered": False}
            more = {"at_ms": at_ms, "vector": vector, "feature_hash": live.vector.hash}
            log = past.kept.setdefault(("decisions", place["partition"]), [])
            log.append(Record(len(log), msgspec.json.encode({**place, **names, **more})))
    check = Check(past, today, Asked(sample=orders), lifetimes_ms={}, oracle=oracle())
    await check.open()
    await check.look(0)
    return check.end()


def test_the_replay_and_the_oracle_agree_on_every_feature_of_the_shop() -> None:
    report = asyncio.run(checked(shop_definitions(), shop_definitions(), MANY))
    assert report.oracle is not None
    assert report.oracle.compared == report.replay.compared >= MANY
    assert report.wrong == []


@pytest.mark.parametrize("plant", PLANTS)
def test_what_live_alone_has_wrong_both_find(plant: str) -> None:
    report = asyncio.run(checked(planted(shop_definitions(), plant), shop_definitions()))
    assert report.oracle is not None
    assert report.replay.wrong
    assert set(report.oracle.wrong) <= set(report.replay.wrong)
    assert report.oracle.wrong


@pytest.mark.parametrize("plant", PLANTS)
def test_what_live_and_replay_have_wrong_alike_only_the_oracle_finds(
    plant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 2e9)  # live and replay would look at the clock at different moments
    wrong = planted(shop_definitions(), plant)
    report = asyncio.run(checked(wrong, wrong))
    assert report.oracle is not None
    assert report.replay.wrong == []
    assert report.oracle.wrong
