"""A second look: what a range would have published where flows meet, had it not been taken in silence.

A shard that lost its tail takes what it lacks without publishing, since what decisions there were are out. But bags in
which flows meet may be filled in another order than before: then what one side published rests on what the shard has
forgotten, and the other side, caught up later, is the one that sees both. So each shard notes what it was caught up
with, in the same step, and whoever finds the note looks at those bags as they are, publishes what is due, and takes
the note away if it is still the same. What is due is named after what it says, so to publish it twice is to publish it
once. A range that may be closed by who published it in an earlier life is noted likewise.

The price: the offsets that were noted are read and decoded once more.
"""

from __future__ import annotations

from collections.abc import Sequence

from streams.protocol.ports import O, P, R, ShardBags, ShardCall, Sink, Verdict, Work
from streams.protocol.shards import Shards


async def look_again(shards: Shards[R, P, O], sink: Sink[O], since: int) -> None:
    """For each shard with a note. `since`: exactly-once's committed offset."""
    tp, store = shards.tp, shards.store
    for shard, standing in enumerate(await store.where(tp)):
        if standing is not None and standing.topic_id == tp.topic_id and standing.again is not None:
            await _look(shards, sink, since, shard, *standing.again)
            await store.looked(tp, shard, standing.again)


async def _look(shards: Shards[R, P, O], sink: Sink[O], since: int, shard: int, first: int, last: int) -> None:
    """Publishes what is due in the bags that the records of first..last name on this shard.

    Verdicts do not matter: what a bag holds decides, and one that is named by a duplicate is only read once more.
    """
    start, _ = await shards.source.bounds()
    for at in range(max(first, start), last + 1, shards.chunk):
        batch = await shards.source.read(at, min(last, at + shards.chunk - 1))
        if batch is None:
            continue
        work, prepared = shards.work, shards.work.prepare(batch)
        dead = _dead(work, prepared)
        calls = work.calls(prepared, dead, at)
        (found,) = await shards.store.read([calls[shard]])
        outputs = work.again(prepared, dead, at, _of_one(calls, shard, found))
        if outputs is not None:
            await sink.again(shards.tp, outputs, since)


def _dead(work: Work[R, P, O], prepared: P) -> dict[int, Verdict]:
    facts = work.facts(prepared)
    return dict.fromkeys(facts.offset[facts.dead].tolist(), Verdict.DEAD)


def _of_one(calls: Sequence[ShardCall], shard: int, found: Sequence[bytes | None]) -> list[ShardBags]:
    """The bags of one shard among those of the others, which were not asked."""
    return [ShardBags(0, found if call.shard == shard else [None] * len(call.keys), whole=True) for call in calls]
