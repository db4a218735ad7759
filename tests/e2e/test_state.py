"""`headrace state` on real services: dumped, made again from the log, put on a topic made anew."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator
from itertools import islice

import orjson
import pytest

from schemas.settings import Settings
from schemas.topics import INPUTS
from streams import state
from streams.chaos.site import Site, Worker, build_site
from streams.chaos.watch import StuckError, Watch, held_by, until
from streams.cli import run
from streams.cli.chaos import shop_events
from streams.data.cluster import Cluster
from streams.data.record import Record
from streams.data.sender import Sender
from streams.data.topics import create_topics
from streams.embedded.processes import Children, free_port
from streams.embedded.store import Store, start_store
from streams.space import definitions_of, open_store
from streams.transport.link import Link
from streams.transport.log import LogReader

GROUP = "state-test"
HOLDS, COULD_NOT_RUN = 0, 2


class Stage:
    """A broker with events in it, stores, and a worker that can be let run to the end of the log."""

    def __init__(self, children: Children, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.site: Site = build_site(children)
        self.events: Iterator[Record] = iter(shop_events(400, seed=5).records)
        asyncio.run(create_topics(self.settings(self.store)))

    @property
    def store(self) -> Store:
        return self.site.stores[0]

    def settings(self, store: Store) -> Settings:
        return self.site.settings(group=GROUP, delivery="at-least-once", store_url=store.url)

    def environment(self, store: Store) -> dict[str, str]:
        told = {"HEADRACE_REDIS__URL": store.url, "HEADRACE_KAFKA__GROUP": GROUP, "HEADRACE_RANGE_RECORDS": "50"}
        return self.site.environment() | told

    def feed(self, events: int) -> None:
        async def send() -> None:
            async with Cluster(self.settings(self.store).kafka).producer() as producer:
                sender = Sender(producer)
                await sender.send(list(islice(self.events, events)))
                await sender.flush()

        asyncio.run(send())

    def worker(self, store: Store) -> Worker:
        worker = Worker(0, self.site.children, self.environment(store))
        worker.start()
        return worker

    def work_to_the_end(self, store: Store) -> None:
        """A worker takes all there is and ends in good order."""
        worker = self.worker(store)
        assert worker.child is not None

        async def drained() -> None:
            settings = self.settings(store)
            reader = LogReader(Link.of(settings.kafka))
            try:
                async with open_store(settings, definitions_of(settings)) as opened:
                    facts = await reader.topics(INPUTS)
                    watch = Watch(opened, reader, {topic: facts[topic].partitions for topic in INPUTS})
                    await watch.drained(30.0)
            finally:
                await reader.stop()

        try:
            asyncio.run(drained())
        except StuckError as stuck:
            pytest.fail(f"{stuck}; the worker said:\n{worker.child.last_words(60)}")
        assert worker.child.terminate(20.0) == 0

    def headrace(self, store: Store, *words: str) -> tuple[int, str, str]:
        """(exit code, standard output, standard error) of a command, run in this process."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment(store).items():
                patch.setenv(name, value)
            self.capsys.readouterr()
            code = run(words)
        told = self.capsys.readouterr()
        return code, told.out, told.err

    def dump(self, store: Store) -> list[str]:
        code, told, errors = self.headrace(store, "state", "dump")
        assert code == HOLDS, errors
        return told.splitlines()


@pytest.fixture
def stage(children: Children, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Stage:
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    return Stage(children, capsys)


def in_order(lines: Iterable[str]) -> bool:
    names = [(one["group"], one["entity"]) for one in map(orjson.loads, lines)]
    return names == sorted(names)


def test_a_state_is_dumped_in_order_and_made_again_from_the_log(stage: Stage) -> None:
    stage.feed(900)
    stage.work_to_the_end(stage.store)
    before = stage.dump(stage.store)
    assert before
    assert in_order(before)
    assert not any("ttl" in line or "number" in line for line in before)

    empty = start_store(stage.site.children, free_port(), name="empty")
    code, told, errors = stage.headrace(empty, "state", "rebuild")
    assert code == HOLDS, errors
    assert "orders/0: rebuilt up to offset" in told
    rebuilt = stage.dump(empty)
    assert stage.headrace(empty, "state", "rebuild")[0] == HOLDS
    assert stage.dump(empty) == rebuilt
    assert stage.headrace(empty, "state", "rebuild", "--from-scratch")[0] == HOLDS
    assert stage.dump(empty) == rebuilt

    stage.work_to_the_end(empty)  # what may not have been out is decided again
    assert stage.dump(empty) == before
    assert stage.headrace(empty, "audit")[0] == HOLDS


def test_a_state_is_not_made_again_under_a_worker_that_is_alive(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "LEAVES_WITHIN_S", 0.0)
    stage.feed(100)
    worker = stage.worker(stage.store)
    assert worker.child is not None

    async def at_work() -> bool:
        return bool(await held_by(worker.metrics_port))

    asyncio.run(until("the worker works", at_work))
    code, _, errors = stage.headrace(stage.store, "state", "rebuild")
    assert code == COULD_NOT_RUN
    assert f"group {GROUP} has workers alive" in errors
    assert worker.child.terminate(20.0) == 0


def test_a_topic_made_anew_is_taken_up_where_it_begins_and_the_state_stays(stage: Stage) -> None:
    stage.feed(600)
    stage.work_to_the_end(stage.store)
    before = stage.dump(stage.store)
    _make_anew(stage.settings(stage.store), "orders")

    code, told, errors = stage.headrace(stage.store, "state", "rebase", "orders")
    assert code == HOLDS, errors
    assert [line.split(":")[0] for line in told.splitlines()] == [f"orders/{number}" for number in range(4)]
    assert "begins at offset 0" in told
    assert "is on this topic already" in stage.headrace(stage.store, "state", "rebase", "orders")[1]
    assert stage.dump(stage.store) == before

    stage.feed(300)
    stage.work_to_the_end(stage.store)
    assert len(stage.dump(stage.store)) > len(before)


def test_a_topic_that_is_no_input_is_refused_with_the_inputs_named(stage: Stage) -> None:
    code, _, errors = stage.headrace(stage.store, "state", "rebase", "fraud")
    assert code == COULD_NOT_RUN
    assert "topic 'fraud' is no input: want one of orders, clickstream, cart, labels" in errors


def _make_anew(settings: Settings, topic: str) -> None:
    async def anew() -> None:
        cluster = Cluster(settings.kafka)
        async with cluster.admin() as admin:
            await admin.delete_topics([topic], timeout_ms=10_000)

        async def gone() -> bool:
            return topic not in await cluster.topics()

        await until(f"{topic} is deleted", gone)
        await create_topics(settings)

    asyncio.run(anew())
