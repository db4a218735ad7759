"""Real `headrace archive` processes, and the question that every test of them asks: is each record there once?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from archive.columns import Row, records_of
from archive.reader import scan
from schemas.topics import TOPICS as REGISTRY
from streams.data.consume import Read
from streams.embedded.processes import free_port
from tests.support.worker import ROOT, Stream, Worker, until

TOPICS = tuple(name for name, topic in REGISTRY.items() if topic.archived)
QUICK = {"ARCHIVE__FILE_S": "0.5"}

Key = tuple[int, int]  # partition, offset


def start_archive(stream: Stream, url: str | Path, *words: str, **more: str) -> Worker:
    """Starts the process; does not wait for it."""
    port = free_port()
    argv = [sys.executable, "-P", "-m", "streams.cli", "archive", "--metrics-port", str(port), *words]
    told = {"ARCHIVE__URL": str(url), "ARCHIVE__GROUP": f"{stream.group}-archive", **QUICK, **more}
    name = f"archive-{len(stream.children.children)}-{port}"
    return Worker(stream.children.start(name, argv, stream.env(**told), cwd=ROOT), port)


def archived(url: str | Path, topic: str) -> list[tuple[Key, Row]]:
    """All records that readers see of a topic, by partition and offset."""
    found = []
    for batch in scan(str(url), topic):
        partitions = batch.column("kafka_partition").to_pylist()
        found += [((partition, row.offset), row) for partition, row in zip(partitions, records_of(batch), strict=True)]
    return found


def in_log(records: Sequence[Read], topic: str) -> list[tuple[Key, Row]]:
    """The same of what was read from the broker."""
    rows = [
        ((r.partition, r.offset), Row(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)))
        for r in records
        if r.topic == topic
    ]
    return sorted(rows, key=lambda one: one[0])


async def decided(stream: Stream, count: int, within_s: float = 60.0) -> None:
    """Returns when so many decisions are out."""

    async def out() -> bool:
        return len(await stream.read("decisions")) >= count

    await until(out, within_s, lambda: f"not {count} decisions")


async def all_archived(stream: Stream, url: str | Path, process: Worker, within_s: float = 60.0) -> None:
    """Returns when the process says that nothing is left to write; fails with what it said."""
    log = await stream.read(*TOPICS)

    def done() -> bool:
        assert process.child.running, process.said
        lags = [sample.value for sample in process.samples() if sample.name == "headrace_archive_lag_records"]
        return sum(process_rows(url).values()) >= len(log) and not any(lags)

    await until(done, within_s, lambda: f"{process_rows(url)} of {len(log)} archived:\n{process.said}")


def process_rows(url: str | Path) -> dict[str, int]:
    """Records by topic, as readers see them; none where the process has not made its folder yet."""
    if not str(url).startswith("s3:") and not Path(url).is_dir():
        return {}
    return {topic: len(archived(url, topic)) for topic in TOPICS}
