"""The story of a chaos run: feed, break, drain, audit, and the same log once more through one worker that nothing hits.

    topics -> workers -> feed + faults -> the rest of the feed -> drained -> audit, dump
    output topics made anew, empty store, one worker -> drained -> dump -> the two dumps are the same bytes

The clean pass needs output topics without rows, so those of the run are deleted before it: a run wants a broker of its
own, and refuses one whose topics hold records.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]  # it has no types

from features.definitions import Definitions
from schemas.settings import Settings
from schemas.timestamps import rfc3339
from schemas.topics import TOPICS
from streams.audit import audit
from streams.chaos import check, standstill
from streams.chaos.faults import Faults
from streams.chaos.feed import Feed
from streams.chaos.plan import Plan
from streams.chaos.report import Report
from streams.chaos.site import Site, Worker
from streams.chaos.standstill import FED
from streams.chaos.watch import PATIENCE_S, StuckError, Watch, held_by, until
from streams.data.cluster import Cluster
from streams.data.record import Record
from streams.data.sender import Sender
from streams.data.topics import create_topics
from streams.embedded.processes import StartError, free_port
from streams.embedded.store import start_store
from streams.embedded.supervisor import end_together
from streams.space import definitions_of, open_store
from streams.topology import outputs_of
from streams.transport.link import Link
from streams.transport.log import LogReader
from streams.transport.profile import profile_of
from streams.wiring import MUTATE

GROUP = "headrace-chaos"
END_WITHIN_S = 20.0
LEAST_OPEN = 0.5  # share of the kills that must leave a range open
TWICE_PER_KILL = 1  # decisions published twice, on average, else the kills met nothing

Tell = Callable[[str], None]
Then = Callable[[Settings], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Events:
    """What is fed: records by arrival, and the event time at which they begin."""

    records: Iterable[Record]
    start_ms: int


async def run(plan: Plan, site: Site, events: Events, tell: Tell, then: Then | None = None) -> Report:
    """Runs it and judges it; `then` looks at what is left in place of the clean pass.

    Raises StartError where the site is not fit for it.
    """
    started = time.monotonic()
    site.refuse_what_is_not_ours(plan.faults)
    run_id = f"{GROUP}-{plan.seed}-{int(time.time())}"
    settings = site.settings(group=run_id, delivery=plan.delivery)
    start = rfc3339(events.start_ms)
    report = Report(plan.orders, plan.workers, plan.seed, start, plan.delivery, plan.mutate, *site.what())
    async with AsyncExitStack() as stack:
        reader = LogReader(Link.of(settings.kafka))
        stack.push_async_callback(reader.stop)
        await create_topics(settings)
        story = _Story(plan, site, settings, definitions_of(settings), reader, report, tell)
        await story.refuse_used_topics()
        await story.dirty_pass(iter(events.records))
        if then is not None:
            await then(settings)
        elif not report.problems:
            await story.clean_pass()
    report.seconds = round(time.monotonic() - started, 1)
    return report


@dataclass(slots=True)
class _Story:
    plan: Plan
    site: Site
    settings: Settings
    definitions: Definitions
    reader: LogReader
    report: Report
    tell: Tell
    dump: check.Dump | None = None
    vectors: check.Vectors | None = None

    @property
    def inputs(self) -> list[str]:
        return [flow.topic for flow in self.definitions.flows]

    async def refuse_used_topics(self) -> None:
        facts = await self.reader.topics(TOPICS)
        for topic, fact in facts.items():
            for partition in range(fact.partitions):
                if (await self.reader.bounds(topic, partition))[1]:
                    raise StartError(
                        f"topic {topic!r} at {self.settings.kafka.brokers} holds records, and a chaos run deletes "
                        "topics: name an empty cluster of its own, or none (HEADRACE_KAFKA__BROKERS)"
                    )

    # ---- with faults

    async def dirty_pass(self, records: Iterator[Record]) -> None:
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(open_store(self.settings, self.definitions))
            watch = await self._watch(store)
            workers = [Worker(slot, self.site.children, self._environment()) for slot in range(self.plan.workers)]
            stack.callback(_end, workers)
            for worker in workers:
                worker.start()
            feed = Feed(await self._sender(stack), records)
            faults = Faults(self.plan, self.site, workers, watch, feed, await self._session_s(), self.tell)
            try:
                await self._with_faults(faults, feed, watch)
            except StuckError as stuck:
                self.report.problems += [*await check.not_taken(watch), str(stuck)]
            _end(workers)
            await self._judge(faults, feed, watch, store)

    async def _with_faults(self, faults: Faults, feed: Feed, watch: Watch) -> None:
        """Ends with the first failure of any of the three."""
        flow = asyncio.create_task(feed.flow(self.plan.flow_s))
        supervision = asyncio.create_task(faults.supervise())
        story = asyncio.create_task(self._story(faults, feed, flow, watch))
        try:
            done, _ = await asyncio.wait([story, supervision], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (flow, supervision, story):
                task.cancel()
            await asyncio.gather(flow, supervision, story, return_exceptions=True)

    async def _story(self, faults: Faults, feed: Feed, flow: asyncio.Task[None], watch: Watch) -> None:
        await feed.burst(self.plan.burst)
        await faults.run()
        flow.cancel()
        await feed.rest()
        self.tell(f"all {feed.sent:,} events are sent; draining")
        await watch.drained()

    async def _judge(self, faults: Faults, feed: Feed, watch: Watch, store: Any) -> None:
        report, plan = self.report, self.plan
        report.events, report.kills, report.worker_exits = feed.sent, plan.kills, faults.exits
        report.faults = dict(Counter(one.kind.value for one in faults.happened))
        report.kills_with_open_range = sum(bool(one.open_ranges) for one in faults.happened)
        moved = await standstill.moves(self.reader, watch.partitions, self.inputs)
        report.standstill = standstill.summary(faults.happened, moved)
        self.tell("auditing")
        exactly_once = plan.delivery == "exactly-once"
        found = await audit(self.reader, self.inputs)
        report.audit = {**found.as_dict(), "problems": found.problem_count}
        report.decisions_published_twice = found.repeated + found.recovered
        report.problems += check.of_audit(found, exactly_once=exactly_once, loses_state=plan.loses_state)
        report.void += _void(report, exactly_once=exactly_once)
        if not report.problems:
            self.dump = await check.write_dump(store, self.definitions, self.site.children.folder / "dirty.ndjson")
            self.vectors = await check.user_vectors(self.reader, self.definitions, len(watch.numbers("orders")))

    # ---- without

    async def clean_pass(self) -> None:
        """One worker, an empty store, the same inputs."""
        assert self.dump is not None
        assert self.vectors is not None
        self.tell(f"{self.dump.bags:,} records of state; now one clean pass")
        await self._outputs_anew()
        empty = start_store(self.site.children, free_port(), name="clean-store")
        settings = self.site.settings(
            group=f"{self.settings.kafka.group}-clean", delivery="at-least-once", store_url=empty.url
        )
        environment = {
            **self.site.environment(),
            "HEADRACE_REDIS__URL": empty.url,
            "HEADRACE_KAFKA__GROUP": settings.kafka.group,
            "HEADRACE_DELIVERY": "at-least-once",
        }
        worker = Worker(0, self.site.children, environment, name="clean-worker")
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(open_store(settings, self.definitions))
            stack.callback(_end, [worker])
            worker.start()
            watch = await self._watch(store)
            try:
                await until("the clean worker starts", lambda: _holds_something(worker), PATIENCE_S)
                await watch.drained()
            except StuckError as stuck:
                self.report.problems.append(f"the clean pass: {stuck}; {worker.ended() or ''}")
                return
            _end([worker])
            clean = await check.write_dump(store, self.definitions, self.site.children.folder / "clean.ndjson")
        orders = [partition for partition in watch.partitions if partition[0] == "orders"]
        self.report.problems += await check.unlike(self.reader, self.definitions, len(orders), self.vectors)
        self.report.problems += await check.differences(self.reader, orders, self.dump, clean)
        equal = clean.sha256 == self.dump.sha256
        self.report.state = {"bags": self.dump.bags, "sha256": self.dump.sha256, "clean": clean.sha256, "equal": equal}

    async def _outputs_anew(self) -> None:
        """Deletes every topic but what was fed and makes them again, empty."""
        written = {*outputs_of(self.definitions)}  # some of it is read back
        outputs = [name for name in TOPICS if name in written or name not in self.inputs]
        cluster = Cluster(self.settings.kafka)
        async with cluster.admin() as admin:
            await _delete(admin, outputs)

        async def gone() -> bool:
            return not set(outputs) & set(await cluster.topics())

        await until("the output topics are deleted", gone)
        await create_topics(self.settings)

    # ---- parts

    def _environment(self) -> dict[str, str]:
        told = {
            **self.site.environment(),
            "HEADRACE_KAFKA__GROUP": self.settings.kafka.group,
            "HEADRACE_DELIVERY": self.plan.delivery,
            "HEADRACE_RANGE_RECORDS": str(self.plan.range_records(len(FED) * self.settings.partitions)),
        }
        return told | ({MUTATE: self.plan.mutate} if self.plan.mutate else {})

    async def _watch(self, store: Any) -> Watch:
        facts = await self.reader.topics(self.inputs)
        return Watch(store, self.reader, {topic: facts[topic].partitions for topic in self.inputs})

    async def _sender(self, stack: AsyncExitStack) -> Sender:
        return Sender(await stack.enter_async_context(Cluster(self.settings.kafka).producer()))

    async def _session_s(self) -> float:
        kafka = self.settings.kafka
        profile = await profile_of(kafka.profile, self.reader)
        return profile.with_(session_timeout_ms=kafka.session_timeout_ms).session_timeout_ms / 1000


async def _holds_something(worker: Worker) -> bool:
    return bool(await held_by(worker.metrics_port))


async def _delete(admin: AIOKafkaAdminClient, topics: list[str]) -> None:
    await admin.delete_topics(topics, timeout_ms=30_000)


def _void(report: Report, *, exactly_once: bool) -> list[str]:
    """Why a run proves nothing; a mutated one must prove its point by a problem, so it is never void."""
    why = []
    if report.kills_with_open_range < LEAST_OPEN * report.kills:
        why.append(f"only {report.kills_with_open_range} of {report.kills} kills left a range open: want half")
    if not exactly_once and report.decisions_published_twice < TWICE_PER_KILL * report.kills:
        why.append(f"only {report.decisions_published_twice} decisions were published twice: the kills met too little")
    return why


def _end(workers: list[Worker]) -> None:
    end_together([worker.child for worker in workers if worker.child is not None], END_WITHIN_S)
