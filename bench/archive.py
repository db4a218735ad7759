"""A million events archived while the archive is killed: each offset exactly once.

    python -m bench.archive [--events 1000000] [--kills 5] [--embedded] [--no-figure]

A feed sends orders, and a cart event for four of them, to Apache Kafka as fast as it takes them; `headrace archive`
writes them to a folder, is killed by SIGKILL and started again, at moments drawn anew each time. A merge runs in the
middle of it and another one at the end. Then everything is read back by partition and offset: each offset of the log
must be there once, with the bytes that the log has (one hash over all of them, in order), and no file may overlap
another.

Exit 0: it holds; 1: it does not; 2: it could not run. The price: two minutes, and 1 GB below the folder of temporary
files.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from archive.columns import records_of
from archive.reader import files, scan
from bench import figure
from schemas.settings import Settings, load
from schemas.timestamps import rfc3339
from streams.chaos.kafka import start_kafka
from streams.data.cluster import Cluster
from streams.data.record import Record
from streams.data.sender import Sender
from streams.data.topics import create_topics
from streams.embedded.broker import start_broker
from streams.embedded.ending import ended_by_signals
from streams.embedded.processes import LOCALHOST, Child, Children, StartError, free_port
from streams.transport.link import Link
from streams.transport.log import LogReader
from streams.transport.quiet import quieten

CACHE = figure.ROOT / ".cache" / "kafka"
HOLDS, DOES_NOT, COULD_NOT = 0, 1, 2
SEED = 7
TOPICS = ("orders", "cart")
PARTITIONS = 4
SEND = 2_000  # records between looks at the clock
DAY_MS = 86_400_000
START_MS = (time.time_ns() // 1_000_000 // DAY_MS - 3) * DAY_MS  # two days of record timestamps; topics keep 90
EVERY_MS = 120
DRAINED_WITHIN_S = 300.0


@dataclass(slots=True)
class Run:
    """What was done and found."""

    events: int
    kills: int = 0
    rows: int = 0
    offsets: int = 0  # of the log
    missing: int = 0
    twice: int = 0
    bytes_equal: bool = False
    overlaps: int = 0
    files: int = 0
    files_merged: int = 0
    archived_mb: float = 0.0
    sent_mb: float = 0.0
    seconds: float = 0.0
    written_before_kills: list[int] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        once = self.rows == self.offsets == self.events and not self.missing and not self.twice
        return once and self.bytes_equal and not self.overlaps


def events(count: int) -> Iterator[Record]:
    """Orders of 280 bytes and what carts do: bytes that no two records share."""
    dice = random.Random(SEED)
    for n in range(count):
        at_ms, user = START_MS + n * EVERY_MS, f"u{dice.randrange(50_000)}"
        body: dict[str, Any] = {
            "event_id": f"e{n:08x}",
            "event_time": rfc3339(at_ms),
            "user_id": user,
            "session_id": f"s-{user}",
        }
        if n % 5 == 4:
            body |= {"type": "add_to_cart", "items": [{"item_id": f"p{dice.randrange(5_000)}", "quantity": 1}]}
        else:
            price = dice.randrange(100, 50_000) / 100
            body |= {"type": "purchase", "order_id": f"o{n:08x}", "value": price, "currency": "EUR"}
            body |= {"items": [{"item_id": f"p{dice.randrange(5_000)}", "price": price, "quantity": 1}]}
            body |= {"card_id": f"c-{dice.getrandbits(48):x}", "ip": f"10.0.{n % 256}.{n % 199}"}
        yield Record("cart" if n % 5 == 4 else "orders", user.encode(), orjson.dumps(body), (), at_ms)


async def feed(settings: Settings, count: int) -> float:
    """Sends all of them; MB of keys and values."""
    size, part = 0, list[Record]()
    async with Cluster(settings.kafka).producer() as producer:
        sender = Sender(producer, lambda _: None)
        for record in events(count):
            part.append(record)
            size += len(record.key or b"") + len(record.value or b"")
            if len(part) == SEND:
                await sender.send(part)
                part = []
        await sender.send(part)
        await sender.flush()
    return size / 1e6


@dataclass(slots=True)
class Archive:
    """The process, and how to start it again."""

    children: Children
    environment: Mapping[str, str]
    port: int = field(default_factory=free_port)
    child: Child | None = None

    def start(self) -> None:
        argv = [sys.executable, "-P", "-m", "streams.cli", "archive", "--metrics-port", str(self.port)]
        self.child = self.children.start("archive", argv, self.environment, cwd=figure.ROOT)

    def kill(self) -> None:
        assert self.child is not None
        self.child.kill()

    def command(self, *words: str) -> str:
        argv = [sys.executable, "-P", "-m", "streams.cli", "archive", *words]
        env = {**os.environ, **self.environment}
        done = subprocess.run(argv, cwd=figure.ROOT, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StartError(f"headrace archive {' '.join(words)} failed: {done.stderr}")
        return done.stdout

    def rows(self) -> int:
        """Rows that this process has written, by its metrics; 0 where it does not answer yet."""
        try:
            with urllib.request.urlopen(f"http://{LOCALHOST}:{self.port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return 0
        lines = [line for line in text.splitlines() if line.startswith("headrace_archive_rows_total")]
        return int(sum(float(line.rsplit(" ", 1)[1]) for line in lines))


async def run(settings: Settings, archive: Archive, place: Path, count: int, kills: int) -> Run:
    """Feeds and kills, then waits until all is written, merges, and reads everything back."""
    done, dice, begun = Run(count), random.Random(), time.monotonic()
    feeding = asyncio.create_task(feed(settings, count))
    archive.start()
    for n in range(kills):
        await _written(archive, count // (2 * (kills + 1)))
        await asyncio.sleep(dice.uniform(0.0, 0.4))
        done.written_before_kills.append(await asyncio.to_thread(archive.rows))
        archive.kill()
        done.kills += 1
        archive.start()
        if n == kills // 2:
            await asyncio.to_thread(archive.command, "compact")
    done.sent_mb = round(await feeding, 1)
    await _drained(place, count)
    done.seconds = round(time.monotonic() - begun, 1)
    done.files = sum(len(files(str(place), topic)) for topic in TOPICS)
    assert archive.child is not None
    archive.child.terminate()
    await asyncio.to_thread(archive.command, "compact")
    found = [piece for topic in TOPICS for piece in files(str(place), topic)]
    done.files_merged = len(found)
    done.overlaps = sum(piece.first != piece.file.first for piece in found)
    done.archived_mb = round(sum(piece.file.size for piece in found) / 1e6, 1)
    await _compared(done, settings, place)
    return done


async def _written(archive: Archive, rows: int) -> None:
    """Until this process has written so many."""
    deadline = time.monotonic() + DRAINED_WITHIN_S
    while await asyncio.to_thread(archive.rows) < rows:
        if archive.child is None or not archive.child.running or time.monotonic() > deadline:
            raise StartError(f"the archive does not write:\n{archive.child.last_words() if archive.child else ''}")
        await asyncio.sleep(0.05)


async def _drained(place: Path, count: int) -> None:
    """Until the archive covers the log, by its names alone."""
    deadline = time.monotonic() + DRAINED_WITHIN_S
    while sum(p.last - p.first + 1 for topic in TOPICS for p in files(str(place), topic)) < count:
        if time.monotonic() > deadline:
            raise StartError("the archive did not reach the end of the log")
        await asyncio.sleep(0.2)


async def _compared(done: Run, settings: Settings, place: Path) -> None:
    reader = LogReader(Link.of(settings.kafka))
    try:
        equal = True
        for topic in TOPICS:
            for partition in range(PARTITIONS):
                log = hashlib.sha256()
                expected = []
                async for record in reader.whole(topic, partition):
                    expected.append(record.offset)
                    _hash(log, record)
                kept, seen = hashlib.sha256(), list[int]()
                for batch in scan(str(place), topic, partitions=[partition]):
                    for row in records_of(batch):
                        seen.append(row.offset)
                        _hash(kept, row)
                done.offsets += len(expected)
                done.rows += len(seen)
                done.missing += len({*expected} - {*seen})
                done.twice += len(seen) - len({*seen})
                equal &= log.digest() == kept.digest()
        done.bytes_equal = equal
    finally:
        await reader.stop()


def _hash(into: Any, record: Any) -> None:
    into.update(b"%d %d " % (record.offset, record.timestamp) + (record.key or b"") + (record.value or b""))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--embedded", action="store_true", help="on the embedded broker: no Java needed")
    parser.add_argument("--no-figure", action="store_true")
    a = parser.parse_args()
    quieten()
    with ended_by_signals(), Children() as children:
        try:
            broker = start_broker(children, free_port()) if a.embedded else start_kafka(children, CACHE)
            settings = load(kafka={"brokers": broker.address}, partitions=PARTITIONS)
            place = children.folder / "archive"
            told = {
                "HEADRACE_KAFKA__BROKERS": broker.address,
                "HEADRACE_ARCHIVE__URL": str(place),
                "HEADRACE_ARCHIVE__FILE_S": "1",
                "HEADRACE_ARCHIVE__FILE_MB": "8",
            }
            asyncio.run(_topics(settings))
            done = asyncio.run(run(settings, Archive(children, told), place, a.events, a.kills))
        except StartError as error:
            print(f"the archive's bench could not run: {error}", file=sys.stderr)
            return COULD_NOT
        value = {"holds": done.holds, **asdict(done)}
        print(json.dumps(value, indent=2))
        if not a.no_figure:
            print(_write(value, a.events, a.kills))
        return HOLDS if done.holds else DOES_NOT
    return 130


async def _topics(settings: Settings) -> None:
    await create_topics(settings)


def _write(value: Mapping[str, Any], count: int, kills: int) -> Path:
    return figure.write(
        "archive",
        value=value,
        target={"missing": 0, "twice": 0, "overlaps": 0, "bytes_equal": True, "rows": count},
        command=f"python -m bench.archive --events {count} --kills {kills}",
        data_hash=figure.sha256(Path(__file__)),
    )


if __name__ == "__main__":
    sys.exit(main())
