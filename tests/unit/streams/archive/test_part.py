"""Where a partition goes on: behind the archive's own end, or not at all where the log does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from archive.listing import files_of
from archive.names import File
from storage.places import Folder
from streams.archive import part
from streams.archive.buffer import Limits
from streams.archive.files import Files
from streams.archive.metrics import ArchiveMetrics
from streams.archive.part import Means, Part
from streams.protocol.ports import Stop, Tp
from tests.unit.archive.build import put, row, span


class Bounds:
    """A log of which only its bounds are asked: one pair after the other, the last one again and again."""

    def __init__(self, *bounds: tuple[int, int]) -> None:
        self.bounds_told = list(bounds)

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:  # noqa: ARG002 - the reader's signature
        return self.bounds_told.pop(0) if len(self.bounds_told) > 1 else self.bounds_told[0]


@pytest.fixture
def place(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    folder.check()
    return folder


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


async def learnt(place: Folder, pool: ThreadPoolExecutor, *bounds: tuple[int, int], skip_lost: bool = False) -> int:
    one = made(place, pool, *bounds, skip_lost=skip_lost)
    return await one.learn(listed(place))


async def listed(place: Folder) -> list[File]:
    return files_of(place, "orders")


def made(place: Folder, pool: ThreadPoolExecutor, *bounds: tuple[int, int], skip_lost: bool = False) -> Part:
    log: Any = Bounds(*bounds)
    told: list[int] = []

    async def committed(_: Tp, offset: int) -> None:
        told.append(offset)

    files = Files(place, pool, ArchiveMetrics(CollectorRegistry()), {})
    return Part(Tp("orders", 0, "id-1"), Means(files, log, Limits(10**6, 60.0), skip_lost, committed))


async def test_an_empty_archive_begins_where_the_log_does(place: Folder, pool: ThreadPoolExecutor) -> None:
    assert await learnt(place, pool, (40, 100)) == 40


async def test_it_goes_on_behind_the_file_that_reaches_furthest(place: Folder, pool: ThreadPoolExecutor) -> None:
    for first, last in ((0, 9), (5, 19), (10, 14)):
        put(place, span(first, last))
    assert await learnt(place, pool, (0, 100)) == 20


async def test_a_topic_made_anew_is_refused(place: Folder, pool: ThreadPoolExecutor) -> None:
    put(place, span(0, 9), topic_id="id-of-old")
    with pytest.raises(Stop, match="the archive has it as id-of-old: the topic was made anew"):
        await learnt(place, pool, (0, 100))


async def test_what_retention_deleted_too_early_is_told_and_skipped_only_if_asked_for(
    place: Folder, pool: ThreadPoolExecutor
) -> None:
    put(place, span(0, 9))
    with pytest.raises(Stop, match="the archive ends at offset 10 and the log begins at 50"):
        await learnt(place, pool, (50, 100))
    assert await learnt(place, pool, (50, 100), skip_lost=True) == 50


async def test_a_log_that_lost_its_end_is_refused_and_one_whose_end_comes_back_is_not(
    place: Folder, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "SHORT_WAIT_S", 0.0)
    put(place, span(0, 9))
    with pytest.raises(Stop, match="the archive ends at offset 10 and the log at 7"):
        await learnt(place, pool, (0, 7))
    assert await learnt(place, pool, (0, 7), (0, 8), (0, 12)) == 10


async def test_a_partition_is_busy_until_its_place_is_known_and_while_it_writes(
    place: Folder, pool: ThreadPoolExecutor
) -> None:
    one = made(place, pool, (0, 100))
    assert one.busy
    assert one.position is None
    await one.learn(listed(place))
    assert not one.busy
    one.take([row(n) for n in range(5)], 0.0)
    assert (one.position, one.busy, one.writable) == (0, False, False)
    one.cut()
    assert (one.busy, one.writable, one.held > 0) == (True, True, True)
    await one.write()
    assert (one.busy, one.position, one.held) == (False, 5, 0)
    assert [file.span for file in files_of(place)] == [span(0, 4)]
