"""The batch ahead: what follows is fetched and decoded while a range waits for the store and for acknowledgements.

No more than one batch, and it is not begun: only one range of a partition is ever open. Where the next range begins
elsewhere after all, it is let go and asked for again. The price: one more batch in memory per partition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

from streams.protocol.beside import Handle, Start
from streams.protocol.ports import Batch, Facts, O, P, R, Source, Work


@dataclass(frozen=True, slots=True)
class Ready(Generic[R, P]):
    """A batch, decoded."""

    batch: Batch[R]
    prepared: P
    facts: Facts


def decoded(work: Work[R, P, O], batch: Batch[R]) -> Ready[R, P]:
    prepared = work.prepare(batch)
    return Ready(batch, prepared, work.facts(prepared))


@dataclass(frozen=True, slots=True)
class _Asked(Generic[R, P]):
    place: int
    handle: Handle[Ready[R, P] | Exception | None]


class Ahead(Generic[R, P, O]):
    """One partition's."""

    def __init__(self, source: Source[R], work: Work[R, P, O], start: Start) -> None:
        self._source, self._work, self._start = source, work, start
        self._asked: _Asked[R, P] | None = None

    def ask(self, place: int) -> None:
        """Fetches from `place` on, if that is not under way already."""
        if self._asked is None or self._asked.place != place:
            self.drop()
            self._asked = _Asked(place, self._start(self._fetch(place)))

    async def take(self, place: int) -> Ready[R, P] | None:
        """The batch from `place` on; None where the source is idle. Raises what the fetching raised."""
        self.ask(place)
        assert self._asked is not None
        handle, self._asked = self._asked.handle, None
        try:
            ready: Ready[R, P] | Exception | None = await handle
        except BaseException:
            handle.cancel()
            raise
        if isinstance(ready, Exception):
            raise ready
        return ready

    def drop(self) -> None:
        """Lets go of it."""
        if self._asked is not None:
            self._asked.handle.cancel()
            self._asked = None

    async def _fetch(self, place: int) -> Ready[R, P] | Exception | None:
        """A failure is handed over, not raised: nobody may be waiting yet."""
        try:
            batch = await self._source.next(place)
            return None if batch is None else decoded(self._work, batch)
        except Exception as error:
            return error
