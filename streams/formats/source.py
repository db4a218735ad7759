"""A partition's input whose batches can be read: the schemas that they ask for are looked up before they are handed on.

A registry that is away is an outage like the store's: the driver waits, lag grows, and nothing is a dead letter for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from schemas.records import Record
from streams.formats.plain import Plain
from streams.models.aside import aside
from streams.protocol.ports import Batch, Source


@dataclass(frozen=True, slots=True)
class ReadableSource:
    """ports.Source around another."""

    source: Source[Record]
    plain: Plain

    async def next(self, place: int) -> Batch[Record] | None:
        return await self._looked_up(await self.source.next(place))

    async def read(self, first: int, last: int) -> Batch[Record] | None:
        return await self._looked_up(await self.source.read(first, last))

    def hold(self, last: int) -> None:
        self.source.hold(last)

    def done(self, last: int) -> None:
        self.source.done(last)

    async def bounds(self) -> tuple[int, int]:
        return await self.source.bounds()

    async def _looked_up(self, batch: Batch[Record] | None) -> Batch[Record] | None:
        if batch is not None:
            await self._learn(batch.records)
        return batch

    async def _learn(self, records: Sequence[Record]) -> None:
        if ids := self.plain.wanted(record.value for record in records):
            await aside(partial(self.plain.learn, ids))
