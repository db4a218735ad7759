"""The loop of every learner: reads a topic, teaches models, and now and then keeps and deploys what they are.

Which record a snapshot is taken at may depend on the clock; what it then is, never does. Where a number of records is
set too, every process takes those snapshots that fall on it. Learning and the registry's place are in a thread, so the
group hears of us meanwhile; while the place is away learning waits, and nothing is lost.
"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, ClassVar, Final, Generic, TypeVar

from schemas.deployments import Deployment, Ref
from schemas.records import Record
from storage.errors import StorageDown
from streams.learner.metrics import LearnerMetrics
from streams.learner.online import Snapshot, Taught
from streams.learner.sanity import Health, Probe
from streams.learner.snapshots import Snapshots
from streams.learner.window import Window
from streams.protocol.ports import SinkDown
from streams.transport.aio import OffsetOutOfRangeError
from streams.transport.log import LogReader

log = logging.getLogger("headrace")

AT_ONCE: Final = 500  # records between two looks at anything else
FETCH_BYTES: Final = 1_000_000
POLL_S: Final = 0.2
WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 15.0
THIN_S: Final = 86_400.0

T = TypeVar("T")
M = TypeVar("M", bound=Taught)
S = TypeVar("S", bound=Snapshots[Any])


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When snapshots are taken."""

    every_s: float
    every_rows: int | None


@dataclass(slots=True)
class Pupil(Generic[M]):
    """A model, and what is known of how it does."""

    model: M
    kept: int  # offset of the newest snapshot that is in the registry
    window: Window = field(default_factory=Window)  # where labels tell how good it is
    probe: Probe = field(default_factory=Probe)
    sane: Ref | None = None  # the newest snapshot that may score
    kept_s: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Shell(Generic[S]):
    """What is around the learning. `announce` tells workers of a deployment, `done` the group how far we are."""

    log: LogReader
    snapshots: S
    metrics: LearnerMetrics
    announce: Callable[[Deployment], Awaitable[None]]
    done: Callable[[int], Awaitable[None]]
    needed: Callable[[], Collection[str]]  # name/version of what decisions may name


class Loop(ABC, Generic[M, S]):
    """Some models, taught by one reader."""

    topic: ClassVar[str]  # of one partition

    def __init__(self, shell: Shell[S], pupils: Sequence[Pupil[M]], rhythm: Rhythm) -> None:
        self._shell, self._pupils, self._rhythm = shell, pupils, rhythm
        first = min((pupil.model.place for pupil in pupils), key=lambda place: place.offset)
        self._position, self._rows = first.offset, first.rows
        self._kept_s = time.monotonic()
        self._thinned_s: float | None = None

    async def run(self, *, last: asyncio.Event | None = None) -> None:
        """For ever; with `last`, until all is learned that is there once that is set. Raises Stop."""
        while True:
            ending = last is not None and last.is_set()
            came = await self._read()
            if time.monotonic() - self._kept_s >= self._rhythm.every_s:
                await self._keep()
            self._tell()
            if ending and not came:
                await self._keep()
                return
            if not came:
                await asyncio.sleep(POLL_S)

    @abstractmethod
    def _new(self, records: Sequence[Record]) -> list[Any]:
        """What the records say, without those that count for nothing."""

    @abstractmethod
    def _teach(self, rows: Sequence[Any]) -> None:
        """In a thread."""

    def _fit(self, snapshot: Snapshot) -> bool:
        """Whether a snapshot knows enough to be kept."""
        del snapshot
        return True

    def _figures(self) -> None:
        """Tells how good the models are, where that is known; asked at every turn."""

    async def _read(self) -> bool:
        """Learns what one fetch gives; whether there was anything."""
        try:
            chunk = await self._shell.log.fetch(self.topic, 0, self._position, max_bytes=FETCH_BYTES)
        except OffsetOutOfRangeError:
            if not await self._behind():
                raise  # the log is shorter than what was read: a start says so
            return True
        except SinkDown as down:
            log.warning("waiting for the brokers", extra={"why": str(down)})
            await asyncio.sleep(WAIT_S)
            return True
        rows = self._new(chunk.records)
        self._shell.metrics.lag.labels(self.topic, "0").set(max(0, chunk.end - chunk.position))
        while rows:
            some, rows = rows[: self._room()], rows[self._room() :]
            await asyncio.to_thread(self._teach, some)
            self._rows += len(some)
            if self._rhythm.every_rows and self._rows % self._rhythm.every_rows == 0:
                await self._keep()
        moved, self._position = chunk.position > self._position, chunk.position
        return moved

    def _room(self) -> int:
        """How many records may be taught at once: none beyond the next snapshot."""
        every = self._rhythm.every_rows
        return min(AT_ONCE, every - self._rows % every) if every else AT_ONCE

    async def _behind(self) -> bool:
        """Whether retention has deleted what is next: then on from what there is."""
        start, _ = await self._shell.log.bounds(self.topic, 0)
        if self._position >= start:
            return False
        log.warning("what is next was deleted", extra={"topic": self.topic, "next": self._position, "there": start})
        self._position = start
        return True

    # ---- snapshots

    async def _keep(self) -> None:
        """Puts what the models are now into the registry, and in force what is healthy of it and asked for."""
        self._kept_s = time.monotonic()
        for pupil in self._pupils:
            if pupil.model.place.offset > pupil.kept:
                await self._put(pupil)
        refs = {pupil.model.name: pupil.sane for pupil in self._pupils if pupil.sane is not None}
        if refs:
            deployment = await self._patiently(lambda: self._shell.snapshots.deploy(refs))
            if deployment is not None:
                await self._shell.announce(deployment)
                self._deployed(deployment)
        await self._shell.done(min(pupil.model.place.offset for pupil in self._pupils))
        await self._thin()

    def _deployed(self, deployment: Deployment) -> None:
        for pupil in self._pupils:
            if pupil.sane is not None and deployment.online.get(pupil.model.name) == pupil.sane:
                self._shell.metrics.snapshots.labels(pupil.model.name, "deployed").inc()

    async def _thin(self) -> None:
        """Once a day, of snapshots that nobody needs."""
        if self._thinned_s is not None and time.monotonic() - self._thinned_s < THIN_S:
            return
        self._thinned_s = time.monotonic()
        needed = await self._patiently(self._shell.needed)
        for pupil in self._pupils:
            name = pupil.model.name
            gone = await self._patiently(partial(self._shell.snapshots.thin, name, needed))
            log.info("old snapshots that nobody needs", extra={"model": name, "removed": len(gone)})

    async def _patiently(self, work: Callable[[], T]) -> T:
        return await patiently(self._shell.metrics, work)

    async def _put(self, pupil: Pupil[M]) -> None:
        """Keeps the snapshot, and remembers it where it may score."""
        name, metrics, snapshots = pupil.model.name, self._shell.metrics, self._shell.snapshots
        snapshot, health = await asyncio.to_thread(_look, pupil)
        metrics.frozen.labels(name).set(health.frozen)
        metrics.exploding.labels(name).set(health.exploding)
        if snapshot is not None and not self._fit(snapshot):
            return
        ref = None
        if snapshot is not None:
            ref = await self._patiently(partial(snapshots.put, snapshot))
            pupil.kept, pupil.kept_s = snapshot.place.offset, time.monotonic()
        if ref is None or not health.well:
            log.warning("a snapshot is kept back", extra={"model": name, **asdict(health)})
            metrics.snapshots.labels(name, "kept back").inc()
            return
        await self._patiently(partial(snapshots.keep_sane, ref))
        pupil.sane = ref
        log.info("snapshot", extra={"model": ref.label, "rows": pupil.model.place.rows})
        metrics.snapshots.labels(name, "kept").inc()

    def _tell(self) -> None:
        now_s = time.monotonic()
        for pupil in self._pupils:
            self._shell.metrics.age.labels(pupil.model.name).set(now_s - pupil.kept_s)
        self._figures()


async def patiently(metrics: LearnerMetrics, work: Callable[[], T]) -> T:
    """Tries, in a thread, until the registry's place has done it."""
    wait_s = WAIT_S
    while True:
        try:
            return await asyncio.to_thread(work)
        except StorageDown as down:
            metrics.errors.inc()
            log.warning("waiting for the registry", extra={"why": str(down)})
            await asyncio.sleep(wait_s)
            wait_s = min(LONGEST_WAIT_S, 2 * wait_s)


def _look(pupil: Pupil[Any]) -> tuple[Snapshot | None, Health]:
    """What the model is now, and whether it may score."""
    try:
        snapshot = pupil.model.snapshot()
        return snapshot, pupil.probe.judge(snapshot.scorer)
    except ValueError as error:
        log.warning("a model can be saved no more", extra={"model": pupil.model.name, "why": str(error)})
        return None, Health(exploding=True)
