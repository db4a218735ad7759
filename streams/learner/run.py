"""One learner process, from its settings to its exit code: the parts are made, joined, started and stopped.

Exit codes as a worker's: 0 a clean stop, 1 it broke (start it again), 2 it must stop and says why.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from models.registry import Registry, RegistryError
from schemas.deployments import TOPIC, Deployment
from schemas.matured import MATURED
from schemas.settings import Settings
from storage.errors import StorageDown, StorageError
from streams.collectors import process_registry
from streams.learner import stops
from streams.learner.feed import DECISIONS, LABELS, Accepted, Feed, sources_of
from streams.learner.learning import Learning, Pupil, Rhythm, Shell, patiently
from streams.learner.metrics import LearnerMetrics
from streams.learner.online import Kind, Vectors
from streams.learner.owner import Owner
from streams.learner.queue import Ages
from streams.learner.queueing import Queueing
from streams.learner.sanity import Probe
from streams.learner.snapshots import Snapshots
from streams.logs import configure
from streams.models.announce import deployment_output
from streams.protocol.ports import SinkDown, Stop
from streams.scrape import serve_metrics
from streams.space import definitions_of
from streams.transport.admission import forbidden, not_permitted
from streams.transport.aio import AIOKafkaConsumer
from streams.transport.checks import missing, topics_there
from streams.transport.link import Link
from streams.transport.log import LogReader, Operation, TopicFacts
from streams.transport.profile import Profile, profile_of
from streams.transport.publisher import Publisher

log = logging.getLogger("headrace")

CLEAN, BROKE, MUST_STOP = 0, 1, 2
TOPICS: Final = (DECISIONS, LABELS, MATURED)
LOOK_EVERY_S: Final = 5.0
MEMBER_MS: Final = 20  # a fetch of the member, which has nothing to read


class Grown(Exception):  # noqa: N818 - the name says what is so
    """A topic has more partitions than when we began: a start finds them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the process is to do. `revision`: of the code, for manifests."""

    settings: Settings
    kinds: Sequence[Kind]
    revision: str
    once: bool


def run_learner(asked: Asked) -> int:
    """Runs one learner until it is told to stop, or has caught up where it runs once; returns the exit code."""
    configure(name="learner")
    try:
        asyncio.run(_run(asked))
    except (Stop, StorageError, RegistryError) as stop:
        log.critical("the learner must stop: %s", stop)
        return MUST_STOP
    except (SinkDown, StorageDown) as down:
        log.critical("the learner could not start: %s", down)
        return BROKE
    except Grown as grown:
        log.critical("the learner ends, to be started again: %s", grown)
        return BROKE
    except Exception as error:
        if why := not_permitted(error):
            log.critical("the learner must stop: %s", why)
            return MUST_STOP
        log.critical("the learner broke", exc_info=True)
        return BROKE
    return CLEAN


async def _run(asked: Asked) -> None:
    stopping = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    settings = asked.settings
    registry = Registry.at(settings.registry.url)
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(registry.place.check)
        metrics = LearnerMetrics(process_registry())
        link = Link.of(settings.kafka)
        reader = LogReader(link, client_id="headrace-learner-reader")
        stack.push_async_callback(reader.stop)
        profile = (await profile_of(settings.kafka.profile, reader)).with_(
            session_timeout_ms=settings.kafka.session_timeout_ms
        )
        facts = await _checked(reader, profile, settings)
        publisher = Publisher(link, profile)
        stack.push_async_callback(publisher.stop)
        serve_metrics(settings.metrics, metrics.registry, stack)
        consumer = _consumer(settings, profile)
        work: Work
        owner = Owner(consumer, lambda: work.run(), metrics)
        work = Work(asked, reader, publisher, registry, facts, metrics, owner)
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        log.info(
            "the learner starts",
            extra={"profile": profile.name, "models": ",".join(kind.name for kind in asked.kinds)},
        )
        await _until_first(owner.run(stopping), _watch(reader, facts))


@dataclass(frozen=True, slots=True)
class Work:
    """What the owner of the partition does: the queue, and the learning from what it writes."""

    asked: Asked
    reader: LogReader
    publisher: Publisher
    registry: Registry
    facts: Mapping[str, TopicFacts]
    metrics: LearnerMetrics
    owner: Owner

    async def run(self) -> None:
        """For ever, or once until all that is there is learned."""
        learning = Learning(self._shell(snapshots := self._snapshots()), await self._pupils(snapshots), self._rhythm)
        queueing = self._queueing()
        if not self.asked.once:
            await _until_first(queueing.run(), learning.run())
            return
        last = asyncio.Event()

        async def queue() -> None:
            await queueing.run()
            last.set()

        await _all(queue(), learning.run(last=last))

    @property
    def _rhythm(self) -> Rhythm:
        learner = self.asked.settings.learner
        return Rhythm(learner.snapshot_s, learner.snapshot_rows)

    def _snapshots(self) -> Snapshots:
        vector = definitions_of(self.asked.settings).vector
        return Snapshots(self.registry, Vectors(vector.names, vector.hash), self.facts[MATURED].id, self.asked.revision)

    def _shell(self, snapshots: Snapshots) -> Shell:
        return Shell(self.reader, snapshots, self.metrics, self._announce, self.owner.committed)

    async def _pupils(self, snapshots: Snapshots) -> list[Pupil]:
        _, end = await self.reader.bounds(MATURED, 0)
        return [await patiently(self.metrics, partial(self._pupil, snapshots, kind, end)) for kind in self.asked.kinds]

    def _pupil(self, snapshots: Snapshots, kind: Kind, end: int) -> Pupil:
        model, newest = snapshots.model(kind, end), snapshots.newest(kind.name)
        log.info("model", extra={"model": kind.name, "offset": model.place.offset, "rows": model.place.rows})
        probe = Probe(snapshots.in_force(kind.name))
        return Pupil(model, newest.offset if newest is not None else -1, probe=probe)

    def _queueing(self) -> Queueing:
        learner, limits = self.asked.settings.learner, self.asked.settings.limits
        accepted = Accepted(limits.late_ms, limits.future_ms, self.asked.settings.money.currencies)
        sources = sources_of({topic: self.facts[topic].partitions for topic in (DECISIONS, LABELS)})
        feed = Feed(self.reader, sources, accepted, idle_s=learner.idle_s, once=self.asked.once)
        ages = Ages(learner.mature_ms, learner.follow_ms)
        return Queueing(self.reader, self.publisher, feed, ages, self.metrics, once=self.asked.once)

    async def _announce(self, deployment: Deployment) -> None:
        """Rings the bell for workers; those that do not hear it look by themselves."""
        with suppress(SinkDown):
            await self.publisher.send([deployment_output(deployment)])


async def _checked(reader: LogReader, profile: Profile, settings: Settings) -> Mapping[str, TopicFacts]:
    """The topics as they are; raises Stop for what would leave the process alive and idle."""
    facts = await topics_there(reader, {*TOPICS, TOPIC})
    if lacking := sorted({*TOPICS, TOPIC} - facts.keys()):
        raise missing(lacking)
    for operation, names in ((Operation.READ, TOPICS), (Operation.WRITE, (MATURED, TOPIC))):
        if refused := sorted(name for name in names if not facts[name].permits(operation)):
            raise Stop(forbidden(f"{operation.name.lower()} topic {', '.join(refused)}"))
    if profile.checks_session and not await reader.joinable(settings.learner.group):
        raise Stop(forbidden(f"read group {settings.learner.group}, HEADRACE_LEARNER__GROUP"))
    return facts


async def _watch(reader: LogReader, found: Mapping[str, TopicFacts]) -> None:
    """Never returns; raises Stop or Grown where a topic is not what it was. An outage is for others to wait for."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        with suppress(SinkDown):
            now = await topics_there(reader, found.keys())
            if lost := sorted(found.keys() - now.keys()):
                raise missing(lost)
            for topic, facts in found.items():
                if now[topic].id != facts.id:
                    raise stops.changed(topic, facts.id, now[topic].id)
                if now[topic].partitions != facts.partitions:
                    raise Grown(f"topic {topic} has {now[topic].partitions} partitions, it had {facts.partitions}")


async def _until_first(*works: Coroutine[Any, Any, None]) -> None:
    """Until one of them ends; raises what it ended by."""
    await _ended(works, asyncio.FIRST_COMPLETED)


async def _all(*works: Coroutine[Any, Any, None]) -> None:
    """Until each has ended, or one has broken: raises what it broke by."""
    await _ended(works, asyncio.FIRST_EXCEPTION)


async def _ended(works: Sequence[Coroutine[Any, Any, None]], when: str) -> None:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=when)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _consumer(settings: Settings, profile: Profile) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **Link.of(settings.kafka).client(),
        client_id="headrace-learner",
        group_id=settings.learner.group,
        enable_auto_commit=False,
        auto_offset_reset="none",
        session_timeout_ms=profile.session_timeout_ms,
        heartbeat_interval_ms=profile.heartbeat_ms,
        rebalance_timeout_ms=profile.rebalance_timeout_ms,
        request_timeout_ms=settings.kafka.request_timeout_ms,
        fetch_max_wait_ms=MEMBER_MS,
    )
