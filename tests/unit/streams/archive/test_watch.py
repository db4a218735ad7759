"""Upkeep by the process: of its own partitions, merged and expired; the newest file stays whatever its age."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prometheus_client import CollectorRegistry

from archive.listing import files_of
from storage.places import Folder
from streams.archive.files import Files
from streams.archive.metrics import ArchiveMetrics
from streams.archive.watch import Upkeep
from tests.unit.archive.build import DAY_MS, START_MS, put, span


def kept(tmp_path: Path, keep_days: int | None) -> tuple[Folder, Upkeep]:
    """An archive of two partitions with a file for each of six days, the first of them ours; today is the sixth."""
    place = Folder(tmp_path)
    place.check()
    for partition in (0, 1):
        for day in range(6):
            put(place, span(day, day, f"2024-10-0{4 + day}", partition=partition))
        put(place, span(6, 6, "2024-10-09", partition=partition))
    files = Files(place, ThreadPoolExecutor(1), ArchiveMetrics(CollectorRegistry()), {})
    return place, Upkeep(files, lambda: {("orders", 0)}, 10**9, keep_days, lambda: START_MS + 5 * DAY_MS)


def offsets(place: Folder, partition: int) -> list[int]:
    return sorted(file.first for file in files_of(place) if file.span.partition == partition)


def test_only_what_is_ours_and_too_old_goes(tmp_path: Path) -> None:
    place, upkeep = kept(tmp_path, keep_days=2)
    upkeep.once()
    assert offsets(place, 0) == [3, 4, 5, 6]
    assert offsets(place, 1) == [0, 1, 2, 3, 4, 5, 6]


def test_without_a_number_of_days_nothing_ever_goes(tmp_path: Path) -> None:
    place, upkeep = kept(tmp_path, keep_days=None)
    upkeep.once()
    assert offsets(place, 0) == [0, 1, 2, 3, 4, 5, 6]


def test_small_files_of_a_date_become_one(tmp_path: Path) -> None:
    place, upkeep = kept(tmp_path, keep_days=None)
    for offset in range(7, 12):
        put(place, span(offset, offset, "2024-10-09"))
    upkeep.once()
    assert offsets(place, 0) == [0, 1, 2, 3, 4, 5, 11]
    upkeep.once()
    assert offsets(place, 0) == [0, 1, 2, 3, 4, 5, 11]
