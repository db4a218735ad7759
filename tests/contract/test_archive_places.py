"""What every place of the archive's files promises: one suite, on a folder and on a real S3 server."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pytest

from archive import upkeep
from archive.arrow import pa
from archive.columns import records_of, schema_of
from archive.cover import Gap, by_partition
from archive.coverage import held, select
from archive.errors import ArchiveDown, ArchiveError
from archive.places import Folder, Place, place_of
from archive.reader import footer, scan
from tests.support.s3 import KEY, S3
from tests.unit.archive.build import put, row, span


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "folder":
        return place_of(f"file://{tmp_path}/archive")
    server: S3 = request.getfixturevalue("s3")
    for name, value in server.credentials.items():
        monkeypatch.setenv(name, value)
    return place_of(server.url.replace("/history", f"/{uuid4().hex}"))


def test_what_is_committed_is_listed_and_read_whole(place: Place) -> None:
    place.check()
    assert place.files() == place.files("orders") == []
    content = os.urandom(300_000)
    place.commit(span(0, 9).path, content)
    (file,) = place.files()
    assert (file.span, file.size) == (span(0, 9), len(content))
    with place.open(span(0, 9).path) as raw:
        assert raw.read() == content


def test_a_file_is_committed_from_a_path_too(place: Place, tmp_path: Path) -> None:
    (tmp_path / "merged").write_bytes(b"x" * 2_000_000)
    place.check()
    place.commit(span(0, 9).path, tmp_path / "merged")
    assert place.files("orders")[0].size == 2_000_000


def test_a_topic_is_not_taken_for_one_whose_name_it_begins(place: Place) -> None:
    place.check()
    put(place, span(0, 1, topic="orders"))
    put(place, span(0, 1, topic="orders-old"))
    assert [file.span.topic for file in place.files("orders")] == ["orders"]


def test_what_is_removed_is_gone_and_removing_it_again_is_nothing(place: Place) -> None:
    place.check()
    file = put(place, span(0, 1))
    place.remove(file.span.path)
    place.remove(file.span.path)
    assert place.files() == []
    for asked in (False, True):
        with pytest.raises(FileNotFoundError):
            place.open(file.span.path, footer=asked)


def test_no_reader_ever_sees_a_part_of_a_file(place: Place) -> None:
    place.check()
    done, seen = threading.Event(), list[int]()

    def look() -> None:
        while not done.is_set():
            for file in place.files():
                with place.open(file.span.path) as raw:
                    seen.append(len(raw.read()))

    looking = threading.Thread(target=look)
    looking.start()
    for n in range(10):
        place.commit(span(n, n).path, b"x" * 3_000_000)
    done.set()
    looking.join()
    assert set(seen) <= {3_000_000}


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
    (group,) = by_partition(place.files()).values()
    done = upkeep.compact(place, group, 10**9)
    assert (done.merged, done.made, done.removed) == (11, 1, 11)
    assert [one for batch in scan(place, "orders") for one in records_of(batch)] == before
    assert len(place.files()) == 2


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


@pytest.mark.parametrize(
    "url",
    [
        "ftp://somewhere/x",
        "s3://",
        "s3://key:secret@bucket/x",
        "s3://bucket/x?access_key=k&secret_key=s",
        "file://host/x",
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ArchiveError, match="want /a/folder") as refused:
        place_of(url)
    assert "secret" not in str(refused.value)


def test_a_server_that_is_away_and_a_wrong_login_say_so(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wr0ng-secret")
    with pytest.raises(ArchiveDown) as refused:
        place_of(s3.url).check()
    assert "wr0ng-secret" not in str(refused.value)
    with pytest.raises(ArchiveDown, match=r"127\.0\.0\.1:9"):
        place_of("s3://shop/x?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1").check()


def test_what_a_killed_writer_left_is_swept_when_it_is_old(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    left = tmp_path / "orders" / f".{Path(span(0, 1).path).name}.77.tmp"
    left.parent.mkdir()
    left.write_bytes(b"half")
    assert place.files() == []
    assert place.sweep(3600.0, left.stat().st_mtime + 60) == 0
    assert place.sweep(3600.0, left.stat().st_mtime + 7200) == 1
    assert not left.exists()


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_folder_that_fails_midway_commits_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    place: Place = Folder(tmp_path)
    place.check()
    whole: Callable[..., Any] = os.fsync

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full) if step == "fsync" else monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ArchiveDown, match="No space left"):
        place.commit(span(0, 1).path, b"content")
    monkeypatch.setattr(os, "fsync", whole)
    assert place.files() == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    put(place, span(0, 9))
    (tmp_path / "orders").chmod(0)
    with pytest.raises(ArchiveDown, match="Permission denied"):
        place.files()


def test_a_file_where_a_folder_should_be_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "orders").write_text("in the way")
    with pytest.raises(ArchiveDown, match="Not a directory"):
        Folder(tmp_path).files("orders")


def test_a_file_that_was_cut_off_is_named(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    place.check()
    file = put(place, span(0, 9))
    content = (tmp_path / file.span.path).read_bytes()
    place.commit(file.span.path, content[: len(content) // 2])
    with pytest.raises(ArchiveError, match="cannot be read as Parquet"):
        list(scan(place, "orders"))
    assert io.BytesIO(content).read(4) == b"PAR1"
