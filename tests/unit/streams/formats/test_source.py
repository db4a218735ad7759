"""A partition's input beside a schema registry: looked up before it is handed on, and asked again after an outage."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from archive.columns import Row
from schemas.records import Record
from streams.formats.plain import Plain
from streams.formats.schema import SchemasDown
from streams.formats.source import ReadableSource
from streams.protocol.ports import Batch
from tests.support.schemas import Kept, framed


@dataclass
class Log:
    """One batch, whoever asks."""

    value: bytes
    told: list[int] = field(default_factory=list)

    async def next(self, place: int) -> Batch[Record] | None:
        return Batch(place, [Row(place, 0, None, self.value, ())])

    async def read(self, first: int, last: int) -> Batch[Record] | None:
        return await self.next(first) if last >= first else None

    def hold(self, last: int) -> None:
        self.told.append(last)

    def done(self, last: int) -> None:
        self.told.append(last)

    async def bounds(self) -> tuple[int, int]:
        return (0, 1)


async def test_its_schemas_are_known_before_a_batch_is_handed_on() -> None:
    kept = Kept()
    plain = Plain(kept)
    source = ReadableSource(Log(framed(kept.keep("string"), b"")), plain)
    batch = await source.next(5)
    assert batch is not None
    assert (batch.first, kept.asked) == (5, [1])
    assert await source.read(5, 5) is not None
    assert await source.read(5, 4) is None
    assert kept.asked == [1]


async def test_while_the_registry_is_away_nothing_is_handed_on() -> None:
    kept = Kept(away=True)
    source = ReadableSource(Log(framed(kept.keep("string"), b"")), Plain(kept))
    for asked in (source.next(0), source.read(0, 0)):
        with pytest.raises(SchemasDown):
            await asked
    kept.away = False
    assert await source.next(0) is not None


async def test_plain_records_ask_nobody() -> None:
    log, kept = Log(b"{}"), Kept(away=True)
    source = ReadableSource(log, Plain(kept))
    assert await source.next(0) is not None
    source.hold(1)
    source.done(2)
    assert (log.told, await source.bounds(), kept.asked) == ([1, 2], (0, 1), [])
