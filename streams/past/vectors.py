"""Vectors of the past: every order's, rebuilt in the order in which ranges were applied, as far as somebody wants them.

What cannot be equal to live is said to be so: decided around a loss of state, or with windows that reach into what is
not there any more. The price: features/replay.py's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from features.definitions import Definitions
from features.replay import AT_ONCE, Rebuilt, Replay
from streams.past.feed import Feed, Told
from streams.past.reach import reach_ms
from streams.past.reading import Past

Exact = npt.NDArray[np.bool_]
PATIENCE_S = 10.0


async def rebuilt(
    past: Past,
    definitions: Definitions,
    topic: str,
    upto: Mapping[int, int],
    *,
    from_ms: int,
    lifetimes_ms: Mapping[str, int],
    future_ms: int,
) -> AsyncIterator[tuple[Rebuilt, Exact]]:
    """Vectors of orders from `from_ms` on, until of each partition offset `upto` is there, or nothing is to come.

    Each comes with (n,) whether it is exactly what a worker had.
    """
    back_ms = reach_ms(definitions, future_ms)
    feed = Feed(past, definitions, 0 if back_ms is None else max(0, from_ms - back_ms))
    await feed.open()
    line = await feed.line(PATIENCE_S)
    if not line.complete:
        return
    replay, wanted = Replay(definitions, len(line.complete), lifetimes_ms=lifetimes_ms), dict(upto)
    async for range_ in feed.ranges():
        replay.take(range_)
        if replay.waiting >= AT_ONCE:
            for one in _of(topic, replay.advance(feed.complete), wanted):
                yield one, _exact(one, feed.lost_ms, back_ms)
            if not wanted:
                return
    for one in _of(topic, replay.advance(feed.complete), wanted):
        yield one, _exact(one, feed.lost_ms, back_ms)


def _of(topic: str, found: Sequence[Rebuilt], wanted: dict[int, int]) -> list[Rebuilt]:
    """Those of the topic; a partition that is through is not wanted any more."""
    ours = [one for one in found if one.range.topic == topic]
    for one in ours:
        applied = one.range.tag.applied
        if applied.last >= wanted.get(applied.partition, applied.last + 1):
            del wanted[applied.partition]
    return ours


def _exact(one: Rebuilt, lost_ms: int, back_ms: int | None) -> Exact:
    told: Told = one.range.tag
    at_ms: npt.NDArray[Any] = one.columns.at_ms
    if told.doubtful:
        return np.zeros(len(at_ms), np.bool_)
    if lost_ms < 0:
        return np.ones(len(at_ms), np.bool_)
    return np.zeros(len(at_ms), np.bool_) if back_ms is None else at_ms - back_ms > lost_ms
