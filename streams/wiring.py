"""Wiring: one worker process, from its settings to its exit code. The one place that knows every part.

    settings -> definitions, configuration, store, sink, app -> a driver for each partition that the group gives us

Nothing is decided here; the parts are made, joined, started and stopped. A worker that must stop says why in one line
and exits with 2; one that broke exits with 1, so that its supervisor starts it again; a clean stop is 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from faust.types import TP

from features.bag import BadBagError
from features.definitions import Definitions
from models.registry import RegistryError
from models.rules import RulesError
from schemas.decisions import NewerVersionError
from schemas.records import Record
from schemas.settings import Settings, unknown_variables
from storage.errors import StorageDown, StorageError
from streams.budget import check_bounds
from streams.collectors import process_registry
from streams.configuration import BadConfigurationError, Configuration
from streams.configurations import Configurations, RegistryDown
from streams.foreground import exit_code, told_to_end
from streams.formats.plain import Plain
from streams.formats.schema import SchemasDown
from streams.formats.source import ReadableSource
from streams.growth import Appetite, Growth, Stamps
from streams.logs import configure
from streams.loops import new_event_loop
from streams.metering import ExitCount, Meter, MeteredSink, watch_bags, watch_lag, watch_servers
from streams.metrics import Metrics
from streams.models.announce import configuration_output
from streams.models.aside import aside
from streams.models.choose import Choice, Chooser
from streams.models.watch import Bell, ModelWatch, tell
from streams.outputs import RangeOutputs, Writer
from streams.parity.plants import PLANT, planted
from streams.protocol.driver import Driver, Pace
from streams.protocol.ports import Stop, StoreDown, Tp
from streams.protocol.safety import MUTATIONS, SAFE, Safety
from streams.scrape import serve_metrics
from streams.space import definitions_of, limits_of, open_store, plain_of
from streams.stores import exits
from streams.stores.admin import fullness
from streams.stores.sampling import draw
from streams.stores.valkey import ValkeyStore
from streams.topology import attach, outputs_of, topics_of
from streams.transport.app import App, make_app
from streams.transport.checks import check
from streams.transport.consumer import Standing
from streams.transport.fetching import Buffers
from streams.transport.link import Link
from streams.transport.log import LogReader
from streams.transport.partitions import PartitionTasks
from streams.transport.profile import Profile, profile_of
from streams.transport.serve import Watch, serve
from streams.transport.sink import KafkaSink
from streams.transport.source import KafkaSource
from streams.transport.topics import TopicWatch
from streams.transport.watchdog import StalledError, Watchdog, kept_in_mind
from streams.work import Prepared, RangeWork

log = logging.getLogger("headrace")

RENEW_CONFIG_S = 86_400.0
LEAVE_WITHIN_S = 1.0  # the last range is closed if the store answers so soon; else the next owner repeats it
AT_START_S = 30.0  # a store or broker that is not there when the worker starts is waited for so long
OF_ITS_OWN = ("applied", "models")  # topics whose partitions are not those of the inputs
MUTATE = "HEADRACE_CHAOS_MUTATE"  # set by `headrace chaos` alone: one safety off, to prove that it is missed

T = TypeVar("T")


def run_worker(settings: Settings, slot: int | None) -> int:
    """Runs one worker until it is told to stop; returns the exit code of the process."""
    configure(name_of(slot), settings.log_format)
    for name, near in unknown_variables().items():
        log.warning("no such setting: %s", name, extra={"did_you_mean": near})
    return exit_code(
        "worker",
        lambda: _run_in_loop(settings, slot),
        stops=(BadBagError,),  # a bag of a newer worker, or of another layout, is not guessed at
        downs=(StoreDown,),
        ends={StalledError: "stood still"},
    )


def name_of(slot: int | None) -> str:
    """What a worker is called in logs."""
    return "worker" if slot is None else f"worker-{slot}"


def _run_in_loop(settings: Settings, slot: int | None) -> None:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_run(settings, slot))


@dataclass(frozen=True, slots=True)
class Parts:
    """What every partition's driver is made of."""

    settings: Settings
    definitions: Definitions
    configurations: Configurations
    store: ValkeyStore
    sink: MeteredSink
    meter: Meter
    profile: Profile
    partitions: dict[str, int]  # of each topic
    safety: Safety
    stamps: Stamps
    appetites: dict[str, Appetite]  # by topic
    written: set[str]  # every topic that an adapter has named so far
    plain: Plain | None  # where a schema registry is named

    async def work_on(self, tp: Tp, source: KafkaSource) -> None:
        """Works on one partition until it is cancelled, fenced or must stop."""
        flow = next(flow for flow in self.definitions.flows if flow.topic == tp.topic)
        writer = Writer(
            tp,
            same_partitions=self._level(),
            feature_hash=self.definitions.vector.hash,
            declared=flow.writes,
            written=self.written,
            cloudevents=self.settings.cloudevents,
        )
        appetite = self.appetites[tp.topic]
        growth = Growth(tp, appetite, self.stamps)
        work = RangeWork(tp, flow, self.definitions, self.store.shards, self.configurations, writer, growth)
        source.limit = lambda: appetite.records
        driver: Driver[Record, Prepared, RangeOutputs] = Driver(
            tp,
            self.store,
            source if self.plain is None else ReadableSource(source, self.plain),
            self.sink,
            work,
            lambda: self.configurations.own.id,
            limits=limits_of(self.settings),
            pace=Pace(stall_s=self.profile.session_timeout_ms / 1000),
            observer=self.meter,
            safety=self.safety,
        )
        try:
            await driver.run()
        finally:
            with contextlib.suppress(StoreDown, TimeoutError):
                async with asyncio.timeout(LEAVE_WITHIN_S):
                    await driver.leave()
            self.meter.left(tp)
            self.stamps.left(tp)

    def _level(self) -> bool:
        """Whether outputs have as many partitions as inputs, so that a key lands on the same number everywhere."""
        counts = {n for topic, n in self.partitions.items() if topic not in OF_ITS_OWN and not topic.endswith(".dlq")}
        return len(counts) == 1


async def _run(settings: Settings, slot: int | None) -> None:
    stopping = told_to_end()
    async with AsyncExitStack() as stack:
        made = await _unless(stopping, _make(settings, slot, stack))
        if made is not None:
            app, tasks, watches = made
            await serve(app, tasks, stopping, watches=watches)


async def _unless(stopping: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What the work comes to; None where the process is told to stop before: it may be waiting for broker or store."""
    task, told = asyncio.ensure_future(work), asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((task, told), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for each in (task, told):
            each.cancel()
        await asyncio.wait((task, told))


async def _make(settings: Settings, slot: int | None, stack: AsyncExitStack) -> tuple[App, PartitionTasks, list[Watch]]:
    """Everything a worker is made of, checked; what must be closed again is on the stack."""
    plain = plain_of(settings)
    definitions = planted(definitions_of(settings, plain), os.environ.get(PLANT, ""))
    check_bounds(definitions)
    metrics = Metrics(process_registry())
    chooser = _chooser(settings, definitions)
    choice = await _patiently(lambda: aside(partial(_chosen, chooser)))
    tell(choice, metrics)
    if plain is not None:
        await _look(plain)
    link = Link.of(settings.kafka)
    reader = LogReader(link)
    stack.push_async_callback(reader.stop)
    profile = await _profile(settings, reader)
    inputs = [flow.topic for flow in definitions.flows]
    read_back = {*inputs} & {*outputs_of(definitions)}
    await check(reader, profile, inputs, topics_of(definitions), settings.kafka.group, read_back)
    facts = await reader.topics(topics_of(definitions))
    store = await _store(settings, definitions, metrics, stack)
    exits_trip = partial(store.trip, "exits")
    exit_count = ExitCount(partial(exits.newest, exits_trip), metrics)
    with contextlib.suppress(StoreDown, Stop):
        await exit_count.look()
    serve_metrics(settings.metrics, metrics.registry, stack)
    sink = KafkaSink(
        link,
        profile,
        reader,
        group=settings.kafka.group,
        inputs=inputs,
        exactly_once=settings.delivery == "exactly-once",
    )
    stack.push_async_callback(sink.stop)
    configurations = await _configurations(choice, chooser, definitions, _Keeper(store, sink), stack)
    stamps = Stamps()
    parts = Parts(
        settings,
        definitions,
        configurations,
        store,
        MeteredSink(sink, metrics, groups=_fed(definitions)),
        Meter(metrics, stamps.left),
        profile,
        {topic: fact.partitions for topic, fact in facts.items()},
        MUTATIONS.get(os.environ.get(MUTATE, ""), SAFE),
        stamps,
        {topic: Appetite(settings.range_records) for topic in inputs},
        set(),
        plain,
    )
    app = _app(settings, slot, link, profile)
    tasks = PartitionTasks(app, parts.work_on, reader, closed=sink.close).attach()
    attach(app, definitions, tasks)
    log.info("the worker starts", extra={"config": configurations.own.id, "profile": profile.name})
    watches: list[Watch] = [
        partial(watch_lag, _standings(app), metrics),
        partial(watch_bags, partial(draw, store), _kinds_of_bag(definitions), metrics),
        partial(watch_servers, partial(fullness, store), metrics),
        exit_count.watch,
        TopicWatch(reader, inputs, facts, parts.written).watch,
    ]
    if chooser.registry is not None:
        watch = ModelWatch(chooser, chooser.registry, configurations, Bell(reader), metrics, choice)
        watches.append(watch.watch)
    if settings.watchdog.enabled:
        watchdog = _watchdog(settings, app, tasks, reader, parts.meter, profile, metrics)
        watches.append(partial(kept_in_mind, watchdog, partial(exits.add, exits_trip), name_of(slot)))
    return app, tasks, watches


async def _look(plain: Plain) -> None:
    """Raises Stop where the schema registry cannot be used. One that is away is waited for once a record asks it."""
    try:
        await aside(plain.check)
    except SchemasDown as down:
        log.warning("the schema registry is away", extra={"why": str(down)})


def _fed(definitions: Definitions) -> dict[str, list[str]]:
    """The groups that the events of each topic are added to, but for topics that workers write: theirs are old."""
    return {flow.topic: [group.name for group in flow.groups] for flow in definitions.flows if not flow.ours}


def _kinds_of_bag(definitions: Definitions) -> set[str]:
    return {group.name for group in definitions.groups} | {meeting.name for meeting in definitions.meetings}


async def _profile(settings: Settings, reader: LogReader) -> Profile:
    kafka = settings.kafka
    found = await profile_of(kafka.profile, reader)
    return found.with_(session_timeout_ms=kafka.session_timeout_ms, fetch_wait_ms=kafka.fetch_wait_ms)


async def _store(settings: Settings, definitions: Definitions, metrics: Metrics, stack: AsyncExitStack) -> ValkeyStore:
    store = open_store(
        settings,
        definitions,
        lambda call: metrics.store_calls.labels(call).inc(),
        metrics.store_trips.inc,
        lambda kind: metrics.store_errors.labels(kind).inc(),
    )
    stack.push_async_callback(store.close)
    await _patiently(store.prepare)
    return store


def _chooser(settings: Settings, definitions: Definitions) -> Chooser:
    """Whose models decide; raises Stop where a file or the registry's URL cannot be used."""
    try:
        return Chooser.of(settings, definitions)
    except (BadConfigurationError, StorageError) as error:
        raise Stop(str(error)) from error


def _chosen(chooser: Chooser) -> Choice:
    """What is in force at the start; raises RegistryDown, or Stop where it cannot be read."""
    try:
        return chooser.now()
    except StorageDown as down:
        raise RegistryDown(f"the registry does not answer (HEADRACE_REGISTRY__URL): {down}") from down
    except (RulesError, RegistryError, NewerVersionError) as error:
        raise Stop(str(error)) from error


@dataclass(frozen=True, slots=True)
class _Keeper:
    """Keeps configurations: in the store for whoever finds an open range of one, in topic `models` for ever."""

    store: ValkeyStore
    sink: KafkaSink

    async def keep(self, configuration: Configuration) -> None:
        await self.store.put_config(configuration.id, configuration.content)
        await self.sink.tell([configuration_output(configuration)])


async def _configurations(
    choice: Choice, chooser: Chooser, definitions: Definitions, keeper: _Keeper, stack: AsyncExitStack
) -> Configurations:
    """What this worker decides by, kept before any range is begun with it."""
    own, store = choice.configuration, keeper.store
    await _patiently(lambda: keeper.keep(own))
    configurations = Configurations(
        definitions, own, store.get_config, chooser.load, keeper.keep, chooser.load_sessions
    )
    renewal = asyncio.create_task(_renew(store, configurations), name="configuration")
    stack.callback(renewal.cancel)
    return configurations


async def _renew(store: ValkeyStore, configurations: Configurations) -> None:
    """Keeps the configuration from expiring while a worker uses it."""
    while True:
        await asyncio.sleep(RENEW_CONFIG_S)
        own = configurations.own
        with contextlib.suppress(StoreDown):
            await store.put_config(own.id, own.content)


def _app(settings: Settings, slot: int | None, link: Link, profile: Profile) -> App:
    buffers = Buffers(
        batch=settings.range_records,
        in_hand=3 * settings.range_records,
        max_partition_bytes=settings.kafka.fetch_partition_bytes,
    )
    commits = settings.delivery == "at-least-once"
    return make_app(settings.kafka.group, link, profile, slot=slot, buffers=buffers, commits=commits)


def _standings(app: App) -> Callable[[], Awaitable[dict[TP, Standing]]]:
    """Where the app's consumer stands; asked anew each time, since Faust may make another one."""

    async def ask() -> dict[TP, Standing]:
        consumer: Any = app.consumer
        return dict(await consumer.standings())

    return ask


def _watchdog(
    settings: Settings,
    app: App,
    tasks: PartitionTasks,
    reader: LogReader,
    meter: Meter,
    profile: Profile,
    metrics: Metrics,
) -> Watchdog:
    return Watchdog(
        tasks,
        _standings(app),
        reader.cluster,
        stall_s=profile.session_timeout_ms / 1000 + settings.watchdog.grace_s,
        assignment_s=settings.watchdog.assignment_s,
        excused=lambda: meter.store_is_away,
        tell=metrics.still.set,
    )


async def _patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Asks a store or a registry that may still be starting, for half a minute."""
    deadline, told = time.monotonic() + AT_START_S, False
    while True:
        try:
            return await call()
        except StoreDown as down:
            if time.monotonic() > deadline:
                raise
            if not told:
                log.warning("waiting, before it can start", extra={"why": str(down)})
            told = True
            await asyncio.sleep(0.2)
