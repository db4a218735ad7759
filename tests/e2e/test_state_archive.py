"""`headrace state rebuild --from-archive`: a lost state comes back whole after Kafka has deleted half of its log."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiokafka import TopicPartition  # type: ignore[import-untyped]  # it ships no types
from aiokafka.admin import RecordsToDelete  # type: ignore[import-untyped]

from tests.conftest import KAFKA_TIMEOUT_S
from tests.support.archive import all_archived, start_archive
from tests.support.events import event, orders
from tests.support.worker import Stream, until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(KAFKA_TIMEOUT_S)]
HOLDS = 0
SENT = 300


async def cut(stream: Stream, before: int) -> None:
    """What retention would do to the orders."""
    async with stream.cluster.admin() as client:
        partitions = [TopicPartition("orders", number) for number in range(stream.partitions)]
        await client.delete_records({each: RecordsToDelete(before_offset=before) for each in partitions})


async def test_what_retention_deleted_comes_from_the_archive(kafka_stream: Stream, tmp_path: Path) -> None:
    stream = kafka_stream
    worker = stream.worker(RANGE_RECORDS="40")
    await stream.working(worker)
    clicks = [event("clickstream", "page_view", f"k{n}", f"u{n % 20}", n * 240) for n in range(100)]
    await stream.send(*orders(SENT), *clicks, event("labels", "chargeback", "cb", "u5", order_id="o-n5"))
    await stream.settled(sent=SENT + 101)
    assert worker.terminate() == 0
    before = await stream.dump()
    archive = start_archive(stream, tmp_path)
    await all_archived(stream, tmp_path, archive)
    assert archive.terminate() == 0

    await cut(stream, 60)
    rebuild = ("state", "rebuild", "--from-scratch")
    code, _, errors = await stream.command(*rebuild, within_s=90.0)
    assert code == HOLDS, errors
    assert await stream.dump() != before, "the log alone has lost some"
    url = str(tmp_path)
    code, told, errors = await stream.command(*rebuild, "--from-archive", within_s=90.0, ARCHIVE__URL=url)
    assert code == HOLDS, errors
    assert "orders/0: rebuilt up to offset" in told
    worker = stream.worker(RANGE_RECORDS="40")  # what may not have been out is decided again

    async def whole() -> bool:
        return await stream.dump() == before

    await until(whole, 40.0, lambda: f"the state is another one:\n{worker.said}")
    assert worker.terminate() == 0

    for file in sorted((tmp_path / "orders").rglob("*.parquet")):
        file.unlink()
    code, _, errors = await stream.command(*rebuild, "--from-archive", within_s=90.0, ARCHIVE__URL=url)
    assert code == HOLDS, f"a topic without an archive is taken from its log: {errors}"
