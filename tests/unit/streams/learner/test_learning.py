"""The loop: snapshots fall on the same records whatever was fetched together, and scores are those of then."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from archive.columns import Row as Kept
from models import kinds
from models.registry import Registry
from schemas.decisions import encode
from schemas.deployments import Deployment
from storage.errors import StorageDown
from streams.learner.learning import Learning
from streams.learner.loop import Pupil, Rhythm, Shell, patiently
from streams.learner.metrics import LearnerMetrics
from streams.learner.online import Online, Row
from streams.learner.snapshots import LabelSnapshots
from streams.transport.log import Chunk
from tests.unit.streams.learner.rows import COUNTS, VECTORS, Share, rows
from tests.unit.streams.learner.test_snapshots import KNOWN, has_member


@pytest.fixture(autouse=True)
def shares_can_be_loaded() -> Iterator[None]:
    with patch.object(kinds, "KINDS", KNOWN):
        yield


@dataclass
class Log:
    """`matured`, a few records at a fetch."""

    rows: Sequence[Row]
    at_once: int

    async def fetch(self, topic: str, partition: int, offset: int, *, max_bytes: int) -> Chunk:
        assert (topic, partition, max_bytes > 0) == ("matured", 0, True)
        some = [row for row in self.rows if row.offset >= offset][: self.at_once]
        records = [Kept(row.offset, 0, b"k", encode(row.record), ()) for row in some]
        end = self.rows[-1].offset + 1
        return Chunk(records, some[-1].offset + 1 if some else end, end)  # type: ignore[arg-type]  # they are records


@dataclass
class Around:
    """What a learning has around it."""

    place: Path
    metrics: LearnerMetrics = field(default_factory=lambda: LearnerMetrics(CollectorRegistry()))
    announced: list[Deployment] = field(default_factory=list)
    done: list[int] = field(default_factory=list)

    @property
    def snapshots(self) -> LabelSnapshots:
        return LabelSnapshots(Registry.at(str(self.place)), VECTORS, "topic", "test")

    def kept(self) -> dict[str, str]:
        registry = Registry.at(str(self.place))
        return {one: registry.manifest("counts", one).data["state"] for one in registry.versions("counts")}

    async def learns(self, some: Sequence[Row], at_once: int, every_rows: int | None = 10) -> Pupil[Online]:
        """All of it, from the newest snapshot on; the last is kept too."""

        async def announce(deployment: Deployment) -> None:
            self.announced.append(deployment)

        async def done(offset: int) -> None:
            self.done.append(offset)

        snapshots: Any = self.snapshots
        log: Any = Log(some, at_once)  # a fetch is all that is asked of it
        shell = Shell(log, snapshots, self.metrics, announce, done, set)
        found = snapshots.going_on(COUNTS, some[-1].offset + 1)
        model = Online(COUNTS, VECTORS, *found) if found else Online.new(COUNTS, VECTORS, "topic")
        pupil = Pupil(model, snapshots.newest("counts"), sane=snapshots.sane("counts"))
        last = asyncio.Event()
        last.set()
        await Learning(shell, [pupil], Rhythm(3_600.0, every_rows)).run(last=last)
        return pupil

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, {"model": "counts", **labels}) or 0.0


async def test_snapshots_fall_on_the_same_records_whatever_is_fetched_together(tmp_path: Path) -> None:
    one, other = Around(tmp_path / "one"), Around(tmp_path / "other")
    for around in (one, other):
        around.place.mkdir()
    await one.learns(rows(35), at_once=100)
    await other.learns(rows(13), at_once=3)  # and then it is killed
    await other.learns(rows(35), at_once=7)
    assert list(one.kept()) == [f"{n:020d}" for n in (10, 20, 30, 35)]
    assert {version: other.kept()[version] for version in one.kept()} == one.kept()


async def test_what_was_written_twice_moves_no_snapshot(tmp_path: Path) -> None:
    every = rows(25)
    twice = [Row(n, row.record) for n, row in enumerate([*every[:8], *every[5:]])]
    around = Around(tmp_path)
    pupil = await around.learns(twice, at_once=4)
    assert (pupil.model.place.rows, pupil.model.learner.state()) == (25, b"[5, 25]")
    assert list(around.kept()) == [f"{n:020d}" for n in (13, 23, 28)], (
        "behind the 10th and 20th that count, and the last"
    )


async def test_a_snapshot_is_put_in_force_and_told_to_workers_and_group(tmp_path: Path) -> None:
    around = Around(tmp_path)
    has_member(Registry.at(str(tmp_path)), "counts")
    await around.learns(rows(12), at_once=5)
    assert [one.online["counts"].version for one in around.announced] == [f"{10:020d}", f"{12:020d}"]
    assert around.done == [10, 12]
    assert around.value("headrace_learner_snapshots_total", fate="deployed") == 2
    assert around.value("headrace_learner_learned_total", label="fraud") == 3


async def test_where_no_champion_has_such_a_member_snapshots_are_kept_and_nothing_is_deployed(tmp_path: Path) -> None:
    around = Around(tmp_path)
    has_member(Registry.at(str(tmp_path)), "others")
    await around.learns(rows(12), at_once=5)
    assert (around.announced, list(around.kept())) == ([], [f"{10:020d}", f"{12:020d}"])
    assert Registry.at(str(tmp_path)).deployed().number == 1
    assert around.value("headrace_learner_snapshots_total", fate="kept") == 2


async def test_a_champion_that_comes_later_has_the_newest_snapshot_though_no_label_came_since(tmp_path: Path) -> None:
    around = Around(tmp_path)
    await around.learns(rows(12), at_once=5)
    has_member(Registry.at(str(tmp_path)), "counts")
    await around.learns(rows(12), at_once=5)
    assert [one.online["counts"].version for one in around.announced] == [f"{12:020d}"]


async def test_one_that_stays_what_it_was_is_kept_back_and_tells_the_alarm(tmp_path: Path) -> None:
    """From the 20th label on vectors are made with other features, and none can be learned from."""
    around = Around(tmp_path)
    has_member(Registry.at(str(tmp_path)), "counts")
    others = [Row(row.offset, replace(row.record, feature_hash="0" * 16)) for row in rows(20, 20)]
    with patch("streams.learner.sanity.FROZEN_ROWS", 10):
        await around.learns([*rows(20), *others], at_once=7)
    assert [one.online["counts"].version for one in around.announced] == [f"{n:020d}" for n in (10, 20)]
    assert around.value("headrace_learner_frozen") == 1
    assert around.value("headrace_learner_exploding") == 0
    assert around.value("headrace_learner_snapshots_total", fate="kept back") == 2
    assert around.value("headrace_learner_skipped_total") == 20


async def test_one_that_explodes_is_kept_back_and_tells_the_alarm_until_it_is_well(tmp_path: Path) -> None:
    around = Around(tmp_path)
    has_member(Registry.at(str(tmp_path)), "counts")
    usual = Share.score

    def explodes(share: Share, x: Any) -> Any:
        return 1.0 - usual(share, x) * 0.01 if share.all in (20, 30) else usual(share, x)

    with patch.object(Share, "score", explodes):
        await around.learns(rows(30), at_once=7)
    assert [one.online["counts"].version for one in around.announced] == [f"{10:020d}"]
    assert around.value("headrace_learner_exploding") == 1
    assert around.value("headrace_learner_snapshots_total", fate="kept back") == 2
    await around.learns(rows(40), at_once=7)
    assert around.announced[-1].online["counts"].version == f"{40:020d}"
    assert around.value("headrace_learner_exploding") == 0


async def test_a_row_is_judged_by_the_score_that_its_order_had(tmp_path: Path) -> None:
    """The member's score where it was logged, else what the newest snapshot of then says, else nothing."""
    around = Around(tmp_path)
    first = rows(10)  # due until 109; then a snapshot: 2 frauds of 10
    logged = Row(10, replace(rows(1, 10)[0].record, members={"counts": 0.875}))
    of_then = Row(11, replace(rows(1, 11)[0].record, at_ms=110))
    too_old = Row(12, replace(rows(1, 12)[0].record, at_ms=109))  # the snapshot knew what was due at its very time
    pupil = await around.learns([*first, logged, of_then, too_old], at_once=1)
    assert list(pupil.window._rows) == [(0.875, True), (2 / 12, False)]


async def test_a_registry_that_is_away_is_waited_for() -> None:
    metrics = LearnerMetrics(CollectorRegistry())
    away = [StorageDown("no such folder")]

    def work() -> str:
        if away:
            raise away.pop()
        return "there"

    with patch("streams.learner.loop.WAIT_S", 0.01):
        assert await patiently(metrics, work) == "there"
    assert metrics.registry.get_sample_value("headrace_learner_registry_errors_total") == 1
