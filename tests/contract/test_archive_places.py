"""The archive in every place where its files may lie: one suite, on a folder and on a real S3 server."""

from __future__ import annotations

import io
from pathlib import Path

import duckdb
import pytest

from archive import upkeep
from archive.arrow import pa
from archive.columns import records_of, schema_of
from archive.cover import Gap, by_partition
from archive.coverage import held, select
from archive.errors import ArchiveError
from archive.listing import files_of
from archive.reader import footer, scan
from storage.places import Folder, Place
from tests.unit.archive.build import put, row, span


def test_a_topic_is_not_taken_for_one_whose_name_it_begins(place: Place) -> None:
    place.check()
    put(place, span(0, 1, topic="orders"))
    put(place, span(0, 1, topic="orders-old"))
    assert [file.span.topic for file in files_of(place, "orders")] == ["orders"]


def test_a_record_comes_out_as_it_went_in(place: Place) -> None:
    place.check()
    odd = [row(0, value=b""), row(2, value=b"\xff not json"), row(3, -5)._replace(key=None, value=None, headers=())]
    put(place, span(0, 4), odd)
    assert [one for batch in scan(place, "orders") for one in records_of(batch)] == odd


def test_the_footer_says_what_the_file_is(place: Place) -> None:
    place.check()
    facts = footer(place, put(place, span(0, 4), [row(0, 10), row(4, 5)], topic_id="id-7"))
    assert facts is not None
    assert (facts.first, facts.last, facts.topic_id, facts.least_ms, facts.most_ms) == (0, 4, "id-7", 5, 10)


def test_compaction_keeps_every_record_and_leaves_large_files(place: Place) -> None:
    place.check()
    for n in range(12):
        put(place, span(n * 5, n * 5 + 4))
    before = [one for batch in scan(place, "orders") for one in records_of(batch)]
    (group,) = by_partition(files_of(place)).values()
    done = upkeep.compact(place, group, 10**9)
    assert (done.merged, done.made, done.removed) == (11, 1, 11)
    assert [one for batch in scan(place, "orders") for one in records_of(batch)] == before
    assert len(files_of(place)) == 2


def overlapping(place: Place) -> None:
    place.check()
    for first, last in ((0, 9), (5, 14), (5, 7)):
        put(place, span(first, last))


def test_duckdb_reads_each_record_once_while_files_overlap(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    overlapping(place)
    offsets = duckdb.connect().execute(f"SELECT kafka_offset FROM ({select(place, 'orders')}) ORDER BY 1").fetchall()
    assert [offset for (offset,) in offsets] == list(range(15))


def test_duckdb_reads_a_scan_of_any_place(place: Place) -> None:
    overlapping(place)
    orders = pa.RecordBatchReader.from_batches(schema_of("orders"), scan(place, "orders"))
    con = duckdb.connect()
    con.register("orders", orders)
    found = con.execute("SELECT count(*), count(DISTINCT event_id), min(kafka_offset) FROM orders").fetchone()
    assert found == (15, 15, 0)


def test_what_is_held_is_told_by_partition(place: Place) -> None:
    overlapping(place)
    put(place, span(20, 29))
    (one,) = held(place)
    assert (one.first, one.last, one.rows, one.files, one.gaps) == (0, 29, 25, 3, (Gap(15, 19),))


def test_a_file_that_was_cut_off_is_named(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    place.check()
    file = put(place, span(0, 9))
    content = (tmp_path / file.span.path).read_bytes()
    place.commit(file.span.path, content[: len(content) // 2])
    with pytest.raises(ArchiveError, match="cannot be read as Parquet"):
        list(scan(place, "orders"))
    assert io.BytesIO(content).read(4) == b"PAR1"
