"""One run per partition: started, kept over a rebalance, finished before a revocation, restarted or fatal."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from faust.types import TP

from streams.protocol.ports import Fenced, Tp
from streams.transport import partitions
from streams.transport.fetching import Buffers
from streams.transport.log import TopicFacts
from streams.transport.partitions import PartitionTasks
from streams.transport.source import KafkaSource

ONE, TWO = TP("orders", 0), TP("orders", 1)


@dataclass
class Consumer:
    async def rewind(self, tp: TP, place: int) -> int:
        assert tp.topic == "orders"
        return place


@dataclass
class App:
    consumer: Consumer = field(default_factory=Consumer)
    buffers: Buffers = field(default_factory=Buffers)
    listener: Any = None


@dataclass
class Log:
    ids: dict[str, str] = field(default_factory=lambda: {"orders": "id-1"})

    async def topics(self, names: Iterable[str]) -> dict[str, TopicFacts]:
        return {name: TopicFacts(self.ids[name], 4) for name in names if name in self.ids}


@dataclass
class Rig:
    """Tasks whose runs are `body`; what began, ended and was closed is written down."""

    app: App = field(default_factory=App)
    log: Log = field(default_factory=Log)
    began: list[Tp] = field(default_factory=list)
    ended: list[Tp] = field(default_factory=list)
    closed: list[Tp] = field(default_factory=list)
    finish_within_s: float = 0.1

    def __post_init__(self) -> None:
        app: Any = self.app
        log: Any = self.log
        self.tasks = PartitionTasks(
            app, self.run, log, closed=self.close, finish_within_s=self.finish_within_s, idle_s=0.01
        ).attach()

    async def run(self, tp: Tp, source: KafkaSource) -> None:
        self.began.append(tp)
        try:
            await self.body(tp, source)
        finally:
            self.ended.append(tp)

    async def body(self, tp: Tp, source: KafkaSource) -> None:  # noqa: ARG002 - others need it
        while True:
            await source.next(0)

    async def close(self, tp: Tp) -> None:
        self.closed.append(tp)

    async def ready(self, *tps: TP) -> None:
        await self.tasks.keep_only(set(tps))
        await self.tasks.ready(set(tps))
        await asyncio.sleep(0.02)


def numbers(tps: list[Tp]) -> list[int]:
    return sorted(tp.partition for tp in tps)


async def test_each_assigned_partition_gets_one_run_with_its_topics_id() -> None:
    rig = Rig()
    await rig.ready(ONE, TWO)
    assert rig.began == [Tp("orders", 0, "id-1"), Tp("orders", 1, "id-1")]
    await rig.tasks.stop()
    assert (numbers(rig.ended), numbers(rig.closed)) == ([0, 1], [0, 1])


async def test_a_partition_that_stays_goes_on_and_one_that_leaves_ends() -> None:
    rig = Rig()
    await rig.ready(ONE, TWO)
    await rig.tasks.drain()
    await rig.ready(TWO)
    assert (numbers(rig.began), numbers(rig.ended), numbers(rig.closed)) == ([0, 1], [0], [0])
    await rig.tasks.stop()


async def test_an_empty_assignment_is_an_answer_and_ends_all() -> None:
    rig = Rig()
    assert not rig.tasks.assigned
    await rig.ready(ONE)
    await rig.tasks.keep_only(set())
    assert rig.tasks.assigned
    assert numbers(rig.ended) == [0]
    await rig.tasks.stop()


async def test_a_run_that_cannot_finish_is_cancelled_and_started_anew_afterwards() -> None:
    class Stuck(Rig):
        async def body(self, tp: Tp, source: KafkaSource) -> None:  # noqa: ARG002
            await asyncio.sleep(60)

    rig = Stuck()
    await rig.ready(ONE)
    await asyncio.wait_for(rig.tasks.drain(), 1)
    assert (numbers(rig.ended), numbers(rig.closed)) == ([0], [0])
    await rig.ready(ONE)
    assert numbers(rig.began) == [0, 0]
    await rig.tasks.stop()


async def test_a_topic_made_anew_gets_a_run_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "LOOK_AT_TOPICS_EVERY_S", 0.01)
    rig = Rig()
    await rig.ready(ONE)
    rig.log.ids["orders"] = "id-2"
    while len(rig.began) < 2:  # noqa: ASYNC110  a test may poll
        await asyncio.sleep(0.01)
    assert [tp.topic_id for tp in rig.began] == ["id-1", "id-2"]
    assert [tp.topic_id for tp in rig.ended] == ["id-1"]
    await rig.tasks.stop()


async def test_a_fenced_run_starts_again_with_its_producer_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "AGAIN_S", 0.01)

    class Contested(Rig):
        async def body(self, tp: Tp, source: KafkaSource) -> None:
            if len(self.began) < 3:
                raise Fenced("somebody else")
            await super().body(tp, source)

    rig = Contested()
    await rig.ready(ONE)
    while len(rig.began) < 3:  # noqa: ASYNC110  a test may poll
        await asyncio.sleep(0.01)
    assert (len(rig.began), len(rig.closed), rig.tasks.failed.is_set()) == (3, 2, False)
    await rig.tasks.stop()


async def test_a_bug_stops_the_process_and_is_told() -> None:
    class Broken(Rig):
        async def body(self, tp: Tp, source: KafkaSource) -> None:  # noqa: ARG002
            raise ZeroDivisionError("a bug")

    rig = Broken()
    await rig.ready(ONE)
    assert isinstance(rig.tasks.failure, ZeroDivisionError)
    assert rig.tasks.failed.is_set()
    await rig.tasks.stop()


async def test_nothing_starts_after_the_stop() -> None:
    rig = Rig()
    await rig.tasks.stop()
    await rig.ready(ONE)
    assert rig.began == []
