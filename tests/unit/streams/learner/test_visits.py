"""Learning of sessions: a function of the log, whatever was written twice, fetched together or killed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random

from prometheus_client import CollectorRegistry

from archive.columns import Row as Kept
from models.registry import Registry
from models.sessions import SESSIONS, Sessions
from schemas.decisions import encode
from schemas.deployments import Deployment
from schemas.sessions import SessionVector
from streams.learner.loop import Pupil, Rhythm, Shell
from streams.learner.metrics import LearnerMetrics
from streams.learner.online import Kind, Vectors
from streams.learner.snapshots import Snapshots
from streams.learner.visits import Row, Visited, Visiting, Visits
from streams.transport.aio import OffsetOutOfRangeError
from streams.transport.log import Chunk
from training.online.sessions import SessionLearner, SessionSettings

NAMES = ("events", "pace", "products")
VECTORS = Vectors(NAMES, "00ff00ff00ff00ff")
TOLD = SessionSettings(trees=8, height=4, window=50, late=500)
KIND = Kind(
    SESSIONS,
    lambda names: SessionLearner(names, seed=7, settings=TOLD),
    lambda written, _names: SessionLearner.of_state(written),
)


def visit(offset: int, at: int, partition: int = 0, vector: Sequence[float] | None = None, hash_: str = "") -> Row:
    """The record at `at` of `sessions`, of the event at `offset`."""
    dice = Random(1000 * partition + offset)
    told = vector or (4.0, dice.lognormvariate(2, 0.5), float(dice.randint(1, 4)))
    name, of = f"k{partition}-{offset}", hash_ or VECTORS.hash
    record = SessionVector(name, name, 4, 1000 + offset, "clickstream", partition, offset, told, of, None, "c", False)
    return Row(at, record)


@cache
def visits(count: int) -> list[Row]:
    """Of two partitions in turn."""
    return [visit(10 * at, at, at % 2) for at in range(count)]


def taught(rows: Sequence[Row]) -> Visits:
    model = Visits.new(KIND, VECTORS, "topic")
    model.take(rows)
    return model


def test_however_the_log_is_cut_and_whenever_it_is_killed_it_is_the_same_model() -> None:
    dice, every = Random(3), visits(230)
    model, at = Visits.new(KIND, VECTORS, "topic"), 0
    while at < len(every):
        step = dice.randint(1, 40)
        model.take(every[max(0, at - dice.randint(0, 9)) : at + step])
        model = Visits(KIND, VECTORS, KIND.of_state(model.snapshot().state, NAMES), model.place)
        at += step
    assert model.snapshot().about() == taught(every).snapshot().about()
    assert model.snapshot().scorer.files() == taught(every).snapshot().scorer.files()


def test_what_a_partition_has_said_before_is_learned_once() -> None:
    """A worker died behind offset 120 and another did the range from 100 on again, while partition 1 went on."""
    once = visits(130)
    again = [row for row in once[100:120] if row.record.partition == 0]
    twice = [Row(at, row.record) for at, row in enumerate([*once[:120], *again, *once[120:]])]
    one, other = taught(once), taught(twice)
    assert other.learner.state() == one.learner.state()
    assert (other.place.offset, other.place.rows) == (140, 140)
    assert other.place.said == one.place.said == {"clickstream/0": 1280, "clickstream/1": 1290}


def test_vectors_of_other_features_are_passed_over_and_counted() -> None:
    model = taught([visit(1, 0, hash_="11ff00ff00ff00ff"), visit(2, 1, vector=(1.0,)), visit(3, 2)])
    assert (model.skipped, model.place.rows) == (2, 3)


@dataclass
class Log:
    """`sessions`, a few records at a fetch."""

    rows: Sequence[Row]
    at_once: int

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        assert (topic, partition) == ("sessions", 0)
        return self.rows[0].offset, self.rows[-1].offset + 1

    async def fetch(self, topic: str, partition: int, offset: int, *, max_bytes: int) -> Chunk:
        assert (topic, partition, max_bytes > 0) == ("sessions", 0, True)
        if offset < self.rows[0].offset:
            raise OffsetOutOfRangeError({})
        some = [row for row in self.rows if row.offset >= offset][: self.at_once]
        records = [Kept(row.offset, 0, b"k", encode(row.record), ()) for row in some]
        end = self.rows[-1].offset + 1
        return Chunk(records, some[-1].offset + 1 if some else end, end)  # type: ignore[arg-type]  # they are records


@dataclass
class Site:
    """What a learner has around it."""

    place: Path
    metrics: LearnerMetrics = field(default_factory=lambda: LearnerMetrics(CollectorRegistry()))
    announced: list[Deployment] = field(default_factory=list)

    async def learns(self, rows: Sequence[Row], at_once: int, every_rows: int = 40) -> None:
        """All of it, from the newest snapshot on."""
        self.place.mkdir(exist_ok=True)
        snapshots = Snapshots(Registry.at(str(self.place)), VECTORS, "topic", "test", Visited)
        found = snapshots.going_on(KIND, rows[-1].offset + 1)
        model = Visits(KIND, VECTORS, *found) if found else Visits.new(KIND, VECTORS, "topic")

        async def announce(deployment: Deployment) -> None:
            self.announced.append(deployment)

        async def done(_: int) -> None: ...

        shell = Shell(Log(rows, at_once), snapshots, self.metrics, announce, done, set)  # type: ignore[arg-type]  # fetch is all
        last = asyncio.Event()
        last.set()
        await Visiting(
            shell, [Pupil(model, snapshots.newest(SESSIONS), sane=snapshots.sane(SESSIONS))], Rhythm(3600.0, every_rows)
        ).run(last=last)

    def kept(self) -> dict[str, str]:
        registry = Registry.at(str(self.place))
        return {one: registry.manifest(SESSIONS, one).model_hash for one in registry.versions(SESSIONS)}


async def test_snapshots_are_those_of_one_clean_pass_however_often_it_was_killed(tmp_path: Path) -> None:
    clean, killed = Site(tmp_path / "clean"), Site(tmp_path / "killed")
    await clean.learns(visits(200), at_once=1000)
    for upto in (30, 85, 120, 200):
        await killed.learns(visits(upto), at_once=7)
    assert list(clean.kept()) == [f"{n:020d}" for n in (80, 120, 160, 200)], (
        "not before it can say how rare a session is"
    )
    assert {version: killed.kept()[version] for version in clean.kept()} == clean.kept()


async def test_a_snapshot_is_put_in_force_under_the_name_of_sessions(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.learns(visits(130), at_once=500)
    ref = site.announced[-1].online[SESSIONS]
    assert (ref.name, ref.version) == (SESSIONS, f"{130:020d}")
    scorer = Registry.at(str(tmp_path)).of(ref, NAMES, VECTORS.hash).model
    assert isinstance(scorer, Sessions)
    assert len(scorer.late) == 80
    value = site.metrics.registry.get_sample_value
    assert value("headrace_learner_learned_total", {"model": SESSIONS, "label": "none"}) == 130


async def test_what_retention_has_deleted_is_gone_and_learning_goes_on_from_what_there_is(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.learns(visits(200)[70:], at_once=500)
    newest = Registry.at(str(tmp_path)).manifest(SESSIONS, f"{200:020d}")
    assert (newest.data["offset"], newest.data["rows"]) == (200, 130)
