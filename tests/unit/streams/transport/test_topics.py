"""The watch over a running worker's topics: what no waiting mends is told, an outage is not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from streams.protocol.ports import SinkDown, Stop
from streams.transport import checks, topics
from streams.transport.log import TopicFacts
from streams.transport.topics import TopicWatch

INPUTS = ["orders", "cart"]
FOUND = {name: TopicFacts("id", count) for name, count in {"orders": 4, "cart": 4, "applied": 8, "fraud": 4}.items()}


class Log:
    def __init__(self, there: dict[str, TopicFacts]) -> None:
        self.there, self.away, self.asked = dict(there), False, 0

    async def topics(self, names: Iterable[str]) -> dict[str, TopicFacts]:
        self.asked += 1
        if self.away:
            raise SinkDown("the brokers have not answered")
        return {name: self.there[name] for name in names if name in self.there}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "APPEAR_S", 0.0)
    monkeypatch.setattr(topics, "LOOK_EVERY_S", 0.0)


def watch_of(log: Log, *written: str) -> TopicWatch:
    untyped: Any = log
    return TopicWatch(untyped, INPUTS, FOUND, set(written))


async def test_topics_that_are_as_they_were_are_no_news() -> None:
    await watch_of(Log(FOUND | {"risk": TopicFacts("id", 1)}), "risk", "fraud").look()


async def test_an_output_that_vanished_is_named_with_the_remedy() -> None:
    del (log := Log(FOUND)).there["fraud"]
    with pytest.raises(Stop, match=r"topics fraud are not there: run `headrace topics create`"):
        await watch_of(log).look()


async def test_an_output_that_no_flow_names_is_told_with_what_to_write_into_the_definitions() -> None:
    with pytest.raises(Stop, match=r"topics risk are not there, which an adapter.*writes=\(\"risk\",\)"):
        await watch_of(Log(FOUND), "risk").look()


async def test_an_input_that_vanished_may_be_made_anew_with_any_number_of_partitions() -> None:
    del (log := Log(FOUND)).there["orders"]
    await watch_of(log).look()
    log.there["orders"] = TopicFacts("another id", 1)
    await watch_of(log).look()


@pytest.mark.parametrize(("topic", "now", "had"), [("cart", 6, 4), ("applied", 4, 8), ("fraud", 1, 4)])
async def test_a_number_of_partitions_that_a_worker_cannot_go_on_with_is_told_with_the_old_one(
    topic: str, now: int, had: int
) -> None:
    log = Log(FOUND | {topic: TopicFacts("id", now)})
    with pytest.raises(Stop, match=rf"topic {topic} has {now} partitions and had {had}.*headrace topics create"):
        await watch_of(log).look()


async def test_an_output_may_grow() -> None:
    await watch_of(Log(FOUND | {"applied": TopicFacts("id", 12), "fraud": TopicFacts("id", 8)})).look()


async def test_an_outage_is_waited_for_and_what_is_wrong_after_it_is_told() -> None:
    log = Log(FOUND)
    log.away = True
    watching = asyncio.create_task(watch_of(log).watch())
    while log.asked < 3:  # noqa: ASYNC110 - looks are all there is to wait for
        await asyncio.sleep(0)
    assert not watching.done()
    log.away, log.there = False, {}
    with pytest.raises(Stop, match="applied, fraud are not there"):
        await watching
