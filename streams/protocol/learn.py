"""LEARN: where a partition stands, asked of the store, of `applied` and of the log, and checked against each other.

A place is believed only if the three agree. What cannot be true (an empty store under committed offsets, a place that
the log does not hold) stops the worker with the remedy named, because going on would lose or repeat events in
silence.
"""

from __future__ import annotations

from dataclasses import dataclass

from streams.protocol import stops
from streams.protocol.ports import (
    Begin,
    IdLog,
    O_contra,
    Open,
    Position,
    R,
    Rebind,
    Row,
    Sink,
    Source,
    Store,
    Tp,
    Unknown,
)


@dataclass(frozen=True, slots=True)
class Learned:
    """Where a partition stands."""

    genesis: int
    place: int  # of the next range; the open one's first where one is open
    open: Open | None
    tail: int  # the largest offset known to have a row; -1 where there is none
    ids: IdLog | None  # what the judge's window is loaded from

    @property
    def judged(self) -> int:
        """The position that the ids are right for: after the open range."""
        return self.place if self.open is None else self.open.last + 1


async def learn(
    tp: Tp, store: Store, source: Source[R], sink: Sink[O_contra], published: int, since: int
) -> Learned | None:
    """Asks; None where store or log moved in between: ask again. `since` is exactly-once's committed offset, else 0.

    The newest row is asked for twice. In between another owner may have published ranges and the store have lost them
    again: it would look as if nothing had happened, and what is decided anew would not say `recovered`.
    """
    reply = await store.begin(tp, Begin(published))
    if isinstance(reply, Rebind):
        raise stops.rebind(tp, reply.known)
    newest = await sink.newest(tp)
    tail = -1 if newest is None else max(newest.last, newest.horizon)
    ids = await store.ids(tp)
    start, end = await source.bounds()
    if isinstance(reply, Unknown):
        if ids is not None:
            return None
        genesis = await _genesis(tp, store, sink, newest, start)
        learned = Learned(genesis, genesis, None, tail, None)
    else:
        place, range_ = (reply.at, None) if isinstance(reply, Position) else (reply.first, reply)
        if ids is None:
            return None
        learned = Learned(ids.genesis, place, range_, tail, ids)
        if learned.judged != ids.position:
            return None
    if await sink.newest(tp) != newest:
        return None
    if learned.place < start:
        raise stops.log_cut(tp, learned.place, start)
    if max(learned.judged, since) > end:
        raise stops.log_short(tp, max(learned.judged, since), end)
    return learned


async def _genesis(tp: Tp, store: Store, sink: Sink[O_contra], newest: Row | None, start: int) -> int:
    """Where a partition begins that home has never heard of. Refused if more than its first range was published."""
    standings = [standing for standing in await store.where(tp) if standing is not None]
    for standing in standings:
        if standing.topic_id != tp.topic_id:
            raise stops.rebind(tp, standing.topic_id)
    genesis = standings[0].genesis if standings else start
    if newest is not None:
        if newest.first != genesis:
            raise stops.empty_store(tp, f"`applied` holds a row of {newest.first}..{newest.last}")
        return genesis
    committed = await sink.committed(tp)
    if committed is not None and committed > start:
        raise stops.empty_store(tp, f"offset {committed} is committed")
    return genesis
