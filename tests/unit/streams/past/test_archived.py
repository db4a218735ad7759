"""An archive tells the same past as the topics that it was made of, as far as all of it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from archive.names import Span
from archive.parquet import encode
from features.replay import Range
from schemas.topics import applied_partition
from storage.places import Place, place_of
from streams.past.archived import ArchivePast
from streams.past.feed import Feed
from streams.past.reading import Partition
from streams.transport.applied import encode_row
from tests.support.past import TOPICS, Event, Live, Record, definitions

DATE = "1970-01-01"


def lived() -> Live:
    live = Live()
    for n in range(8):
        events = [Event("ann", "here", 100_000 + n), Event("bob", "there", 100_000 + n)]
        live.range(("orders", "orders", "clicks")[n % 3], n % 2, events)
    list(live.through())
    return live


def put(place: Place, partition: Partition, records: Sequence[Any]) -> None:
    """Files of three records at most."""
    for start in range(0, len(records), 3):
        part = records[start : start + 3]
        which = Span(*partition, part[0].offset, part[-1].offset, DATE)
        place.commit(which.path, encode(which, part, "t"))


def archived(live: Live, folder: Path, rows_kept: int = 99) -> Place:
    place = place_of(str(folder))
    for partition, records in live.log.kept.items():
        put(place, partition, records)
    for partition, rows in live.log.rows_of.items():
        written = [Record(n, encode_row(row)) for n, row in enumerate(rows)]
        put(place, ("applied", applied_partition(*partition, TOPICS)), written[:rows_kept])
    return place


def read(past: Any) -> tuple[list[Range], Sequence[int]]:
    async def run() -> tuple[list[Range], Sequence[int]]:
        feed = Feed(past, definitions())
        await feed.open()
        await feed.line(0)
        return [range_ async for range_ in feed.ranges()], feed.complete

    return asyncio.run(run())


def told(ranges: Sequence[Range]) -> list[tuple[str, tuple[int, ...], list[Event], list[int]]]:
    return [(r.topic, tuple(r.numbers), list(r.events), r.tag.offset.tolist()) for r in ranges]


def test_the_archive_gives_the_ranges_that_the_topics_give(tmp_path: Path) -> None:
    live = lived()
    ranges, complete = read(ArchivePast(archived(live, tmp_path), TOPICS, settled_s=0))
    assert told(ranges) == told(read(live.log)[0])
    assert min(complete) >= max(max(range_.numbers) for range_ in ranges)


def test_a_row_whose_records_are_not_there_yet_is_left_out_and_its_partition_holds_the_line_back(
    tmp_path: Path,
) -> None:
    live = lived()
    late = live.log.kept["orders", 0][-2:]
    live.log.kept["orders", 0] = live.log.kept["orders", 0][:-2]
    ranges, complete = read(ArchivePast(archived(live, tmp_path), TOPICS, settled_s=0))
    assert all(late[0].offset not in range_.tag.offset for range_ in ranges if range_.tag.applied.partition == 0)
    newest = live.log.rows_of["orders", 0][-2].numbers
    assert list(complete) == list(newest)


def test_records_without_a_row_hold_the_line_back(tmp_path: Path) -> None:
    live = lived()
    _, complete = read(ArchivePast(archived(live, tmp_path, rows_kept=1), TOPICS, settled_s=0))
    first = [rows[0].numbers for rows in live.log.rows_of.values() if len(rows) > 1]
    assert list(complete) == [min(numbers) for numbers in zip(*first, strict=True)]


def test_a_quiet_partition_is_believed_up_to_an_hour_before_the_newest_number(tmp_path: Path) -> None:
    live = lived()
    latest = max(max(row.numbers) for rows in live.log.rows_of.values() for row in rows)
    _, complete = read(ArchivePast(archived(live, tmp_path), TOPICS, settled_s=1e-5))
    assert set(complete) == {latest - 10}


@pytest.mark.parametrize(("at_ms", "since"), [(0, 0), (86_400_000, 99)])
def test_what_is_older_is_told_by_the_dates_of_files(tmp_path: Path, at_ms: int, since: int) -> None:
    live = lived()
    past = ArchivePast(archived(live, tmp_path), TOPICS)
    asyncio.run(past.topics(TOPICS))
    assert asyncio.run(past.since(("orders", 0), at_ms)) == min(since, live.log.kept["orders", 0][-1].offset + 1)
