"""`headrace parity` over a stream that real workers have decided: all equal, and every plant is found."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from streams.embedded.processes import free_port
from streams.transport.link import Link
from streams.transport.log import LogReader
from tests.support.archive import all_archived, start_archive
from tests.support.events import START_MS, event, order
from tests.support.worker import ROOT, Stream, Worker, until

HOLDS, DOES_NOT, COULD_NOT_RUN = 0, 1, 2
ORACLE = ("--oracle", "tests.oracle.parity", "--sample", "40")
PLANT_S = 120.0


async def parity(stream: Stream, *options: str) -> tuple[int, dict[str, Any], str]:
    code, output, errors = await stream.command("parity", "--json", *options, within_s=90.0)
    return code, json.loads(output) if output else {}, errors


async def decided(stream: Stream) -> int:
    """Orders of two partitions that share cards and merchants, beside clicks and carts of their sessions."""
    worker = stream.worker(RANGE_RECORDS="25")
    await stream.working(worker)
    records = [
        order(f"n{n}", f"u{n % 7}", n * 250, card_id=f"c-{n % 3}", merchant_id="m", value=5 + n % 11)
        for n in range(120)
    ]
    clicks = [event("clickstream", "page_view", f"k{n}", f"u{n % 7}", n * 240) for n in range(80)]
    carts = [
        event("cart", "add_to_cart", f"a{n}", f"u{n % 7}", n * 500, value=9.5, currency="EUR", items=[{"item_id": "p"}])
        for n in range(60)
    ]
    for start in range(0, 120, 30):
        await stream.send(
            *records[start : start + 30], *clicks[start : start + 30], *carts[start // 2 : start // 2 + 15]
        )
    await stream.settled(sent=120 + 80 + 60)
    return 120


async def test_what_a_worker_logged_is_what_the_replay_and_the_oracle_say(stream: Stream) -> None:
    count = await decided(stream)
    code, report, errors = await parity(stream, *ORACLE)
    assert code == HOLDS, errors + str(report)[:3000]
    assert report["compared"] == count + report["copies"]
    assert (report["mismatches"], report["undecided"]) == (0, 0)
    assert report["oracle"]["compared"] == 40
    assert report["features"]["card_count_1h"] == {"compared": report["compared"], "mismatches": 0, "first": None}


async def test_the_archive_says_the_same_as_the_topics(embedded_stream: Stream, tmp_path: Path) -> None:
    stream = embedded_stream
    count = await decided(stream)
    archive = start_archive(stream, tmp_path)
    await all_archived(stream, tmp_path, archive)
    assert archive.terminate() == HOLDS, archive.said
    options = ("--archive", "--settled", "0", *ORACLE)
    code, output, errors = await stream.command("parity", "--json", *options, ARCHIVE__URL=str(tmp_path))
    assert code == HOLDS, errors
    report = json.loads(output)
    assert (report["compared"], report["mismatches"], report["oracle"]["mismatches"]) == (count, 0, 0)
    assert not any(report["not_compared"].values())


async def test_what_was_decided_since_a_partition_stands_still_is_pending(embedded_stream: Stream) -> None:
    """An order that nobody has taken yet may have been taken, for all the log tells: its row would come last."""
    stream = embedded_stream
    count = await decided(stream)
    await asyncio.to_thread(stream.workers[0].terminate)
    await stream.send(*[order(f"late{n}", f"u{n}", 60_000) for n in range(7)])
    code, output, errors = await stream.command("parity", within_s=90.0)
    assert code == HOLDS, errors
    _, report, _ = await parity(stream)
    assert report["compared"] + report["not_compared"]["pending"] == count
    assert 0 < report["compared"] < count
    assert "pending: what was decided since orders/0, orders/1 stands still" in output


@pytest.mark.kafka
async def test_where_in_a_log_a_time_is_kafka_can_tell(kafka_stream: Stream) -> None:
    acks = await kafka_stream.send(*[order(f"n{n}", "u", 1_000 * n) for n in range(4)])
    reader = LogReader(Link.of(kafka_stream.settings().kafka))
    try:
        partition = acks[0].partition
        found = [await reader.since("orders", partition, START_MS + after) for after in (-1, 1_000, 1_001, 9_000)]
    finally:
        await reader.stop()
    assert found == [0, 1, 2, 4]


async def test_a_stream_without_decisions_has_nothing_to_compare(embedded_stream: Stream) -> None:
    code, report, errors = await parity(embedded_stream)
    assert code == COULD_NOT_RUN
    assert report["compared"] == 0
    assert "nothing to compare" in errors


async def test_a_module_that_is_no_oracle_could_not_run(embedded_stream: Stream) -> None:
    code, _, errors = await parity(embedded_stream, "--oracle", "json")
    assert code == COULD_NOT_RUN
    assert "want a module with a function oracle()" in errors


async def test_a_watch_follows_the_stream_and_ends_when_it_is_told_to(embedded_stream: Stream) -> None:
    stream = embedded_stream
    port = free_port()
    argv = [sys.executable, "-P", "-m", "streams.cli", "parity", "--watch", "--metrics-port", str(port)]
    watch = Worker(stream.children.start("watch", argv, stream.env(), cwd=ROOT), port)
    count = await decided(stream)

    def compared() -> bool:
        return watch.metric("headrace_parity_compared_total") >= count

    await until(compared, 60.0, lambda: watch.said[-2000:])
    assert watch.metric("headrace_parity_mismatches_total") == 0
    assert await asyncio.to_thread(watch.terminate) == HOLDS


@pytest.mark.timeout(2 * PLANT_S)
@pytest.mark.parametrize(
    ("plant", "feature"), [("window", "user_count_24h"), ("label", "card_risk_7d"), ("clock", "order_hour")]
)
def test_a_plant_is_found_and_the_feature_named(plant: str, feature: str) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    argv = [sys.executable, "-P", "-m", "streams.cli", "parity", "--plant", plant, "--json"]
    done = subprocess.run(argv, env=bare, capture_output=True, text=True, timeout=PLANT_S, check=False)
    assert done.returncode == DOES_NOT, done.stderr
    assert "it does not hold: " in done.stderr
    report = json.loads(done.stdout)
    assert report["features"][feature]["mismatches"] > 0
    assert report["features"][feature]["first"]["order_id"].startswith("o-")
