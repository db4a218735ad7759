"""`headrace archive` on real brokers: what the log has, the archive has once, byte for byte, whatever is killed."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from uuid import uuid4

import pytest

from archive.reader import files
from tests.support.archive import TOPICS, all_archived, archived, decided, in_log, start_archive
from tests.support.events import event, order, orders
from tests.support.s3 import S3
from tests.support.worker import Stream, delete_topics, make_topics, until


async def assert_archived(stream: Stream, url: str | Path) -> None:
    log = await stream.read(*TOPICS)
    for topic in TOPICS:
        assert archived(url, topic) == in_log(log, topic), topic


async def test_everything_is_archived_byte_for_byte(stream: Stream, tmp_path: Path) -> None:
    stream.worker()
    await stream.send(*orders(300), event("cart", "add_to_cart", "c1"), event("labels", "chargeback", "l1"))
    await stream.send(order("bad", value=-1), order("utf", user="ü"))
    await decided(stream, 301)
    archive = start_archive(stream, tmp_path)
    await all_archived(stream, tmp_path, archive)
    assert archive.terminate() == 0, archive.said
    await assert_archived(stream, tmp_path)


async def test_killed_again_and_again_it_writes_nothing_twice_and_loses_nothing(stream: Stream, tmp_path: Path) -> None:
    dice, sent = random.Random(5), asyncio.Event()

    async def feed() -> None:
        for n in range(40):
            await stream.send(*orders(100, name=f"n{n}-"))
        sent.set()

    feeding = asyncio.create_task(feed())
    archive = start_archive(stream, tmp_path, ARCHIVE__FILE_S="0.1")
    for _ in range(5):
        await asyncio.sleep(dice.uniform(1.5, 3.5))
        archive.kill()
        archive = start_archive(stream, tmp_path, ARCHIVE__FILE_S="0.1")
    await feeding
    await all_archived(stream, tmp_path, archive)
    await assert_archived(stream, tmp_path)
    code, output, _ = await stream.command("archive", "ls", "--json", ARCHIVE__URL=str(tmp_path))
    assert code == 0
    assert sum(json.loads(line)["rows"] for line in output.splitlines()) == 4_000
    assert not [piece for topic in TOPICS for piece in files(str(tmp_path), topic) if piece.first != piece.file.first]


async def test_sigterm_writes_what_is_in_memory(embedded_stream: Stream, tmp_path: Path) -> None:
    stream = embedded_stream
    await stream.send(*orders(50))
    archive = start_archive(stream, tmp_path, ARCHIVE__FILE_S="3600")
    await until(lambda: archive.metric("headrace_archive_held_bytes") > 0, 40.0, lambda: archive.said)
    assert archive.terminate() == 0
    await assert_archived(stream, tmp_path)


async def test_two_share_the_partitions_and_readers_see_every_record_once(
    embedded_stream: Stream, tmp_path: Path
) -> None:
    stream = embedded_stream
    await stream.send(*orders(200))
    one = start_archive(stream, tmp_path)
    await asyncio.sleep(3)
    two = start_archive(stream, tmp_path)
    for n in range(20):
        await stream.send(*orders(50, name=f"m{n}-"))
        await asyncio.sleep(0.3)
    one.child.stop()
    await asyncio.sleep(4)
    await stream.send(*orders(50, name="late-"))
    one.child.cont()
    await all_archived(stream, tmp_path, two)
    await assert_archived(stream, tmp_path)


async def test_a_topic_made_anew_is_named_and_nothing_is_written_over(stream: Stream, tmp_path: Path) -> None:
    await stream.send(*orders(20))
    first = start_archive(stream, tmp_path)
    await all_archived(stream, tmp_path, first)
    assert first.terminate() == 0
    before = archived(tmp_path, "orders")
    await delete_topics(stream, ["orders"])
    await make_topics(stream)
    await stream.send(*orders(5, name="anew"))
    second = start_archive(stream, tmp_path)
    assert await second.ended() == 2
    assert "the topic was made anew or this is another cluster" in second.said
    assert archived(tmp_path, "orders") == before


async def test_a_place_that_is_away_stops_the_reading_and_nothing_is_lost(
    embedded_stream: Stream, tmp_path: Path
) -> None:
    stream, place = embedded_stream, tmp_path / "place"
    await stream.send(*orders(20))
    archive = start_archive(stream, place)
    await all_archived(stream, place, archive)
    (place / "orders").rename(tmp_path / "away")
    (place / "orders").write_text("in the way")
    await stream.send(*orders(20, name="meanwhile"))
    await until(lambda: archive.metric("headrace_archive_errors_total") > 0, 30.0, lambda: archive.said)
    assert archive.child.running
    (place / "orders").unlink()
    (tmp_path / "away").rename(place / "orders")
    await all_archived(stream, place, archive)
    await assert_archived(stream, place)


async def test_memory_is_bounded_while_the_place_is_away(embedded_stream: Stream, tmp_path: Path) -> None:
    stream, place = embedded_stream, tmp_path / "place"
    archive = start_archive(stream, place, ARCHIVE__HELD_MB="1", KAFKA__FETCH_PARTITION_BYTES="1048576")
    await stream.send(*orders(20))
    await all_archived(stream, place, archive)
    (place / "orders").rename(tmp_path / "away")
    (place / "orders").write_text("in the way")
    large = [order(f"n{n}", f"u{n}", note="x" * 20_000) for n in range(400)]
    await stream.send(*large)
    await until(lambda: archive.metric("headrace_archive_errors_total") > 0, 30.0, lambda: archive.said)
    await asyncio.sleep(3)
    assert archive.metric("headrace_archive_held_bytes") < 8e6, "all that was sent is in memory"
    assert archive.metric("headrace_archive_lag_records") > 0
    (place / "orders").unlink()
    (tmp_path / "away").rename(place / "orders")
    await all_archived(stream, place, archive)
    await assert_archived(stream, place)


async def test_files_are_merged_while_it_writes_and_readers_see_every_record_once(
    embedded_stream: Stream, tmp_path: Path
) -> None:
    stream = embedded_stream
    archive = start_archive(stream, tmp_path, ARCHIVE__FILE_S="0.1", ARCHIVE__UPKEEP_S="0.3")
    for n in range(25):
        await stream.send(*orders(20, name=f"k{n}-"))
        await asyncio.sleep(0.2)
        seen = [key for key, _ in archived(tmp_path, "orders")] if n else []
        assert len(seen) == len(set(seen))
    await until(lambda: archive.metric("headrace_archive_merged_files_total") > 3, 30.0, lambda: archive.said)
    await all_archived(stream, tmp_path, archive)
    await assert_archived(stream, tmp_path)


async def test_on_s3_killed_and_without_its_server_it_writes_each_record_once(
    embedded_stream: Stream, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, url = embedded_stream, s3.url.replace("/history", f"/{uuid4().hex}")
    for name, value in s3.credentials.items():
        monkeypatch.setenv(name, value)
    archive = start_archive(stream, url, ARCHIVE__FILE_S="0.1")
    for n in range(3):
        await stream.send(*orders(100, name=f"n{n}-"))
        await asyncio.sleep(2.0)
        archive.kill()
        archive = start_archive(stream, url, ARCHIVE__FILE_S="0.1")
    await all_archived(stream, url, archive)
    s3.child.kill()
    await stream.send(*orders(100, name="meanwhile-"))
    await until(lambda: archive.metric("headrace_archive_errors_total") > 0, 30.0, lambda: archive.said)
    await asyncio.to_thread(s3.restart)
    await all_archived(stream, url, archive)
    await assert_archived(stream, url)
    code, output, errors = await stream.command("archive", "compact", ARCHIVE__URL=url)
    assert (code, "files merged into" in output) == (0, True), errors
    await assert_archived(stream, url)
    assert not [secret for secret in s3.credentials.values() if secret in archive.said]


async def test_without_a_place_it_says_which_variable(embedded_stream: Stream) -> None:
    code, _, errors = await embedded_stream.command("archive")
    assert code == 2
    assert "HEADRACE_ARCHIVE__URL" in errors


@pytest.mark.parametrize("delivery", ["exactly-once"])
async def test_markers_of_transactions_leave_no_gap(kafka_stream: Stream, tmp_path: Path, delivery: str) -> None:
    stream = kafka_stream
    stream.worker(DELIVERY=delivery)
    archive = start_archive(stream, tmp_path)
    for n in range(10):
        await stream.send(*orders(30, name=f"t{n}-"))
        await decided(stream, 30 * (n + 1))  # so each time is a transaction of its own, however slow the worker's start
    await all_archived(stream, tmp_path, archive)
    await assert_archived(stream, tmp_path)
    code, output, errors = await stream.command("archive", "ls", "decisions", "--json", ARCHIVE__URL=str(tmp_path))
    assert code == 0, errors
    rows = [json.loads(line) for line in output.splitlines()]
    assert any(row["last"] - row["first"] + 1 > row["rows"] for row in rows), "no marker was met"
