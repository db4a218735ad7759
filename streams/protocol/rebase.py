"""Rebase: a topic was made anew, or this is another cluster; the state stays, the positions begin again.

Each shard is put on the new topic id alone, home last: until home is done every worker is told 'rebind', and a rebase
that died half way is run again. Refused unless the old topic is applied everywhere, because what a shard lacks of it
is gone. Known ids count as fresh just before every offset of the new topic, so a producer that sends its last hour
again does no harm.
"""

from __future__ import annotations

from dataclasses import replace

from streams.protocol import stops
from streams.protocol.judge import before_every_offset
from streams.protocol.places import home_shard
from streams.protocol.ports import Begin, IdLog, Limits, Standing, Store, Tp

EVERY_OFFSET = 2**62


async def rebase(tp: Tp, store: Store, start: int, limits: Limits, *, abandon: bool = False) -> bool:
    """Puts a partition on `tp.topic_id`, beginning at `start` (the new log's). True if anything had to be done.

    Idempotent. Raises `Stop` where the old topic is not applied everywhere, or has a range open; `abandon` closes that
    range, and with it goes whatever of its decisions is not out yet.
    """
    standings = await store.where(tp)
    home = home_shard(tp.topic, tp.partition, store.shards)
    old = {i: s for i, s in enumerate(standings) if s is not None and s.topic_id != tp.topic_id}
    if not old:
        return False
    genesis = next((s.genesis for s in standings if s is not None and s.topic_id == tp.topic_id), start)
    end, log = await _end(tp, store, standings[home], abandon=abandon)
    for shard, standing in enumerate(standings):
        if standing is None:
            raise stops.not_applied(tp, shard, "no position", end)
        if shard in old and standing.position != end:
            raise stops.not_applied(tp, shard, f"offset {standing.position}", end)
    for shard in sorted(old, key=lambda shard: shard == home):
        moved = before_every_offset(log, genesis, limits) if log is not None and shard == home else None
        if not await store.rebase(tp, shard, old[shard], genesis, moved):
            raise stops.still_open(tp)
    return True


async def _end(tp: Tp, store: Store, home: Standing | None, *, abandon: bool) -> tuple[int, IdLog | None]:
    """Where the old topic ended, and home's id log if home is still on it."""
    if home is None:
        raise stops.empty_store(tp, "other shards know it")
    if home.topic_id == tp.topic_id:
        return (home.before[1] if home.before else home.genesis), None
    old = replace(tp, topic_id=home.topic_id)
    if abandon:
        await store.begin(old, Begin(EVERY_OFFSET))
    ids = await store.ids(old)
    if ids is None:
        raise stops.empty_store(tp, "its home shard has taken ranges")
    return ids.position, ids
