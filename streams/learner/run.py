"""One learner process, from its settings to its exit code: the parts are made, joined, started and stopped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from features.definitions import Definitions
from models.registry import Registry, RegistryError
from schemas.deployments import TOPIC, Deployment
from schemas.matured import MATURED
from schemas.sessions import SESSIONS
from schemas.settings import Settings
from schemas.topics import DAY_MS
from storage.errors import StorageDown, StorageError
from streams.collectors import process_registry
from streams.foreground import exit_code, member, told_to_end, until_all, until_first
from streams.learner import stops
from streams.learner.checkpoint import About, Checkpoints
from streams.learner.feed import DECISIONS, LABELS, Accepted, Feed, sources_of
from streams.learner.learning import Learning
from streams.learner.loop import Pupil, Rhythm, Shell, patiently
from streams.learner.metrics import LearnerMetrics
from streams.learner.online import Kind, Online, Vectors
from streams.learner.owner import Owner
from streams.learner.queue import Ages
from streams.learner.queueing import Queueing
from streams.learner.sanity import Probe
from streams.learner.snapshots import LabelSnapshots, Snapshots
from streams.learner.visits import Visited, Visiting, Visits
from streams.logs import configure
from streams.models import desk
from streams.models.announce import deployment_output
from streams.protocol.ports import SinkDown
from streams.scrape import serve_metrics
from streams.space import definitions_of
from streams.transport.checks import all_there, check_group, check_permitted
from streams.transport.link import Link
from streams.transport.log import LogReader, Operation, TopicFacts
from streams.transport.profile import Profile, profile_of
from streams.transport.publisher import Publisher

log = logging.getLogger("headrace")

TOPICS: Final = (DECISIONS, LABELS, MATURED)
LOOK_EVERY_S: Final = 5.0
MEMBER_MS: Final = 20  # a fetch of the member, which has nothing to read


class Grown(Exception):  # noqa: N818 - the name says what is so
    """A topic has more partitions than when we began: a start finds them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the process is to do. `revision`: of the code, for manifests."""

    settings: Settings
    kinds: Sequence[Kind]  # of models that learn from labels
    sessions: Kind | None  # learns from sessions; None: nobody does
    revision: str
    once: bool

    @property
    def every(self) -> tuple[Kind, ...]:
        """All models."""
        return (*self.kinds, *([self.sessions] if self.sessions else []))

    @property
    def reads(self) -> tuple[str, ...]:
        """The topics."""
        return TOPICS if self.sessions is None else (*TOPICS, SESSIONS)


def run_learner(asked: Asked) -> int:
    """Runs one learner until it is told to stop, or has caught up where it runs once; returns the exit code."""
    configure("learner", asked.settings.log_format)
    return exit_code(
        "learner",
        lambda: asyncio.run(_run(asked)),
        stops=(StorageError, RegistryError),
        downs=(StorageDown,),
        ends={Grown: "ends, to be started again"},
    )


async def _run(asked: Asked) -> None:
    stopping, settings = told_to_end(), asked.settings
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
        facts = await _checked(reader, profile, asked)
        publisher = Publisher(link, profile)
        stack.push_async_callback(publisher.stop)
        serve_metrics(settings.metrics, metrics.registry, stack)
        group = settings.learner.group
        consumer = member(settings, profile, group, "headrace-learner", fetch_max_wait_ms=MEMBER_MS)
        work: Work
        owner = Owner(consumer, lambda: work.run(), metrics)
        work = Work(asked, definitions_of(settings), reader, publisher, registry, facts, metrics, owner)
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        log.info(
            "the learner starts",
            extra={"profile": profile.name, "models": ",".join(kind.name for kind in asked.every)},
        )
        await until_first(owner.run(stopping), _watch(reader, facts))


@dataclass(frozen=True, slots=True)
class Work:
    """What the owner of the partition does: the queue, and the learning from what it writes."""

    asked: Asked
    definitions: Definitions
    reader: LogReader
    publisher: Publisher
    registry: Registry
    facts: Mapping[str, TopicFacts]
    metrics: LearnerMetrics
    owner: Owner

    async def run(self) -> None:
        """For ever, or once until all that is there is learned."""
        queueing, last, now = self._queueing(), asyncio.Event(), asyncio.Event()
        now.set()
        once = self.asked.once
        loops = [learning.run(last=last if once else None)] if (learning := await self._learning()) else []
        loops += [visiting.run(last=now if once else None)] if (visiting := await self._visiting()) else []

        async def queue() -> None:
            await queueing.run()
            last.set()

        await (until_all if once else until_first)(queue(), *loops)

    @property
    def _rhythm(self) -> Rhythm:
        learner = self.asked.settings.learner
        return Rhythm(learner.snapshot_s, learner.snapshot_rows)

    async def _learning(self) -> Learning | None:
        """From labels."""
        if not self.asked.kinds:
            return None
        vector = self.definitions.vector
        vectors, topic_id = Vectors(vector.names, vector.hash), self.facts[MATURED].id
        snapshots = LabelSnapshots(self.registry, vectors, topic_id, self.asked.revision)
        _, end = await self.reader.bounds(MATURED, 0)

        def pupil(kind: Kind) -> Pupil[Online]:
            found = snapshots.going_on(kind, end)
            model = Online(kind, vectors, *found) if found else Online.new(kind, vectors, topic_id)
            log.info("model", extra={"model": kind.name, "offset": model.place.offset, "rows": model.place.rows})
            sane = snapshots.sane(kind.name)
            scorer = snapshots.scorer(kind.name, sane)
            found_sane = sane if scorer is not None else None
            return Pupil(model, snapshots.newest(kind.name), probe=Probe(scorer), sane=found_sane)

        pupils = [await patiently(self.metrics, partial(pupil, kind)) for kind in self.asked.kinds]
        shell = Shell(self.reader, snapshots, self.metrics, self._announce, self.owner.committed, self._needed)
        return Learning(shell, pupils, self._rhythm)

    async def _visiting(self) -> Visiting | None:
        """From sessions. How far that is, is in the snapshots alone: the group's partition is that of `matured`."""
        kind, session = self.asked.sessions, self.definitions.session
        if kind is None or session is None:
            return None
        vectors, topic_id = Vectors(session.names, session.hash), self.facts[SESSIONS].id
        snapshots = Snapshots(self.registry, vectors, topic_id, self.asked.revision, Visited)
        _, end = await self.reader.bounds(SESSIONS, 0)

        def pupil() -> Pupil[Visits]:
            found = snapshots.going_on(kind, end)
            model = Visits(kind, vectors, *found) if found else Visits.new(kind, vectors, topic_id)
            log.info("model", extra={"model": kind.name, "offset": model.place.offset, "rows": model.place.rows})
            return Pupil(model, snapshots.newest(kind.name), sane=snapshots.sane(kind.name))

        async def done(_: int) -> None: ...

        shell = Shell(self.reader, snapshots, self.metrics, self._announce, done, self._needed)
        return Visiting(shell, [await patiently(self.metrics, pupil)], self._rhythm)

    def _needed(self) -> set[str]:
        days = desk.kept_days(self.asked.settings)
        return desk.needed(self.registry, None if days is None else self.registry.now_ms() - days * DAY_MS)

    def _queueing(self) -> Queueing:
        learner, limits = self.asked.settings.learner, self.asked.settings.limits
        currencies = self.asked.settings.money.currencies
        decode = next((flow.decode for flow in self.definitions.flows if flow.topic == LABELS), None)
        accepted = Accepted(limits.late_ms, limits.future_ms, currencies, decode)
        sources = sources_of({topic: self.facts[topic].partitions for topic in (DECISIONS, LABELS)})
        feed = Feed(self.reader, sources, accepted, idle_s=learner.idle_s, once=self.asked.once)
        ages = Ages(learner.mature_ms, learner.follow_ms)
        vector = self.definitions.vector
        about = About(
            topics={topic: (facts.id, facts.partitions) for topic, facts in self.facts.items() if topic in TOPICS},
            features=vector.hash,
            mature_ms=ages.mature_ms,
            follow_ms=ages.follow_ms,
            late_ms=accepted.late_ms,
            future_ms=accepted.future_ms,
            currencies=sorted(accepted.currencies),
        )
        checkpoints = Checkpoints(self.registry.place, about, learner.checkpoint_s, self.metrics)
        return Queueing(self.reader, self.publisher, feed, ages, self.metrics, checkpoints, once=self.asked.once)

    async def _announce(self, deployment: Deployment) -> None:
        """Rings the bell for workers; those that do not hear it look by themselves."""
        with suppress(SinkDown):
            await self.publisher.send([deployment_output(deployment)])


async def _checked(reader: LogReader, profile: Profile, asked: Asked) -> Mapping[str, TopicFacts]:
    """The topics as they are; raises Stop for what would leave the process alive and idle."""
    facts = await all_there(reader, {*asked.reads, TOPIC})
    check_permitted(facts, asked.reads, Operation.READ)
    check_permitted(facts, (MATURED, TOPIC), Operation.WRITE)
    await check_group(reader, profile, asked.settings.learner.group, "HEADRACE_LEARNER__GROUP")
    return facts


async def _watch(reader: LogReader, found: Mapping[str, TopicFacts]) -> None:
    """Never returns; raises Stop or Grown where a topic is not what it was. An outage is for others to wait for."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        with suppress(SinkDown):
            now = await all_there(reader, found.keys())
            for topic, facts in found.items():
                if now[topic].id != facts.id:
                    raise stops.changed(topic, facts.id, now[topic].id)
                if now[topic].partitions != facts.partitions:
                    raise Grown(f"topic {topic} has {now[topic].partitions} partitions, it had {facts.partitions}")
