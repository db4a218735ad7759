"""Learning: reads `matured`, teaches the models, judges them, and now and then keeps and deploys what they are.

Which record a snapshot is taken at may depend on the clock; what it then is, never does. Where a number of records is
set too, every process takes those snapshots that fall on it. Learning and the registry's place are in a thread, so the
group hears of us meanwhile; while the place is away learning waits, and nothing is lost.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, TypeVar

import numpy as np

from models.scorer import Scorer
from schemas.deployments import Deployment, Ref
from schemas.matured import MATURED, Matured, decode_matured
from storage.errors import StorageDown
from streams.learner.metrics import KIND, LearnerMetrics
from streams.learner.online import Online, Row, Snapshot
from streams.learner.sanity import Health, Probe
from streams.learner.snapshots import Snapshots
from streams.learner.window import Window
from streams.protocol.ports import SinkDown
from streams.transport.log import LogReader

log = logging.getLogger("headrace")

AT_ONCE: Final = 500  # records between two looks at anything else
FETCH_BYTES: Final = 1_000_000
POLL_S: Final = 0.2
WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 15.0
FIGURES_S: Final = 10.0  # the figures of the window are worth no more

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When snapshots are taken."""

    every_s: float
    every_rows: int | None


@dataclass(slots=True)
class Pupil:
    """A model, and what is known of how it does."""

    model: Online
    kept: int  # offset of the newest snapshot that is in the registry
    window: Window = field(default_factory=Window)
    probe: Probe = field(default_factory=Probe)
    kept_s: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Shell:
    """What is around the learning. `announce` tells workers of a deployment, `done` the group how far we are."""

    log: LogReader
    snapshots: Snapshots
    metrics: LearnerMetrics
    announce: Callable[[Deployment], Awaitable[None]]
    done: Callable[[int], Awaitable[None]]


class Learning:
    """Some models, taught by one reader."""

    def __init__(self, shell: Shell, pupils: Sequence[Pupil], rhythm: Rhythm) -> None:
        self._shell, self._pupils, self._rhythm = shell, pupils, rhythm
        first = min((pupil.model.place for pupil in pupils), key=lambda place: place.offset)
        self._position, self._key, self._rows = first.offset, first.key, first.rows
        self._kept_s = self._figured_s = time.monotonic()

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

    async def _read(self) -> bool:
        """Learns what one fetch gives; whether there was anything."""
        try:
            chunk = await self._shell.log.fetch(MATURED, 0, self._position, max_bytes=FETCH_BYTES)
        except SinkDown as down:
            log.warning("waiting for the brokers", extra={"why": str(down)})
            await asyncio.sleep(WAIT_S)
            return True
        rows = self._new(Row(one.offset, decode_matured(one.value or b"")) for one in chunk.records)
        self._shell.metrics.lag.labels(MATURED, "0").set(max(0, chunk.end - chunk.position))
        while rows:
            some, rows = rows[: self._room()], rows[self._room() :]
            await asyncio.to_thread(self._teach, some)
            self._rows += len(some)
            if self._rhythm.every_rows and self._rows % self._rhythm.every_rows == 0:
                await self._keep()
        moved, self._position = chunk.position > self._position, chunk.position
        return moved

    def _new(self, rows: Iterable[Row]) -> list[Row]:
        """Those whose keys rise: what was written twice is there once."""
        found = []
        for row in rows:
            if row.key > self._key:
                self._key = row.key
                found.append(row)
        return found

    def _room(self) -> int:
        """How many records may be taught at once: none beyond the next snapshot."""
        every = self._rhythm.every_rows
        return min(AT_ONCE, every - self._rows % every) if every else AT_ONCE

    # ---- in a thread

    def _teach(self, rows: Sequence[Row]) -> None:
        metrics = self._shell.metrics
        for pupil in self._pupils:
            model, before = pupil.model, pupil.model.skipped
            used = model.take(rows)
            self._judge(pupil, used)
            pupil.probe.take(len(rows), used)
            for label, name in KIND.items():
                metrics.learned.labels(model.name, name).inc(sum(one.label == label for one in used))
            metrics.skipped.labels(model.name).inc(model.skipped - before)

    def _judge(self, pupil: Pupil, rows: Sequence[Matured]) -> None:
        """By the scores that orders had when they came: the model has learned of them meanwhile, the score has not."""
        name, others = pupil.model.name, defaultdict[str, list[Matured]](list)
        scorers = {}
        for row in rows:
            if (score := row.members.get(name)) is not None:
                pupil.window.add(score, row.label == 1)
            elif (found := self._of_then(name, row.at_ms)) is not None:
                others[found[0]].append(row)
                scorers[found[0]] = found[1]
        for version, some in others.items():
            scores = scorers[version].score(np.array([row.vector for row in some], dtype=np.float64))
            for row, score in zip(some, scores.tolist(), strict=True):
                pupil.window.add(score, row.label == 1)

    def _of_then(self, name: str, at_ms: int) -> tuple[str, Scorer] | None:
        """None also where the registry does not answer: the figures do without."""
        try:
            return self._shell.snapshots.of_then(name, at_ms)
        except StorageDown:
            self._shell.metrics.errors.inc()
            return None

    # ---- snapshots

    async def _keep(self) -> None:
        """Puts what the models are now into the registry, and in force what is healthy of it."""
        self._kept_s = time.monotonic()
        refs: dict[str, Ref] = {}
        for pupil in self._pupils:
            if pupil.model.place.offset > pupil.kept and (ref := await self._put(pupil)) is not None:
                refs[pupil.model.name] = ref
        if refs:
            deployment = await patiently(self._shell.metrics, lambda: self._shell.snapshots.deploy(refs))
            if deployment is not None:
                await self._shell.announce(deployment)
        await self._shell.done(min(pupil.model.place.offset for pupil in self._pupils))

    async def _put(self, pupil: Pupil) -> Ref | None:
        """The snapshot where it may score."""
        name = pupil.model.name
        snapshot, health = await asyncio.to_thread(_look, pupil)
        self._shell.metrics.frozen.labels(name).set(health.frozen)
        self._shell.metrics.exploding.labels(name).set(health.exploding)
        ref = (
            await patiently(self._shell.metrics, lambda: self._shell.snapshots.put(snapshot))
            if snapshot is not None
            else None
        )
        if snapshot is not None:
            pupil.kept, pupil.kept_s = snapshot.place.offset, time.monotonic()
        if ref is None or not health.well:
            log.warning("a snapshot is kept back", extra={"model": name, **asdict(health)})
            self._shell.metrics.snapshots.labels(name, "kept back").inc()
            return None
        log.info("snapshot", extra={"model": f"{ref.name}/{ref.version}", "rows": pupil.model.place.rows})
        self._shell.metrics.snapshots.labels(name, "deployed").inc()
        return ref

    def _tell(self) -> None:
        now_s = time.monotonic()
        for pupil in self._pupils:
            self._shell.metrics.age.labels(pupil.model.name).set(now_s - pupil.kept_s)
        if now_s - self._figured_s < FIGURES_S:
            return
        self._figured_s = now_s
        for pupil in self._pupils:
            if (figures := pupil.window.figures()) is not None:
                self._shell.metrics.precision.labels(pupil.model.name).set(figures[0])
                self._shell.metrics.loss.labels(pupil.model.name).set(figures[1])


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


def _look(pupil: Pupil) -> tuple[Snapshot | None, Health]:
    """What the model is now, and whether it may score."""
    try:
        snapshot = pupil.model.snapshot()
        return snapshot, pupil.probe.judge(snapshot.scorer)
    except ValueError as error:
        log.warning("a model can be saved no more", extra={"model": pupil.model.name, "why": str(error)})
        return None, Health(exploding=True)
