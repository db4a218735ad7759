"""A second look: what a range would have published where flows meet, had it not been taken in silence.

A shard that lost its tail takes what it lacks without publishing, since what decisions there were are out. But bags in
which flows meet may be filled in another order than before: then what one side published rests on what the shard has
forgotten, and the other side, caught up later, is the one that sees both. So each shard notes what it was caught up
with, in the same step, and whoever finds the note looks at those bags as they are, publishes what is due, and takes
the note away if it is still the same. What is due is named after what it says, so to publish it twice is to publish it
once. A range that may be closed by who published it in an earlier life is noted likewise.

The price: the offsets that were noted are read and decoded once more, a chunk before each range, so that a worker goes
on meanwhile; after a rebuild that is the whole log.
"""

from __future__ import annotations

from collections.abc import Sequence

from streams.protocol.ports import O, P, R, ShardBags, Sink, Verdict, Work
from streams.protocol.shards import Shards


async def look_again(shards: Shards[R, P, O], sink: Sink[O], since: int) -> bool:
    """Looks at the oldest of what is noted, a chunk of it; whether there is more. `since`: exactly-once's offset.

    Verdicts do not matter: what a bag holds decides, and one that is named by a duplicate is only read once more.
    """
    tp, store = shards.tp, shards.store
    notes = {
        shard: standing.again
        for shard, standing in enumerate(await store.where(tp))
        if standing is not None and standing.topic_id == tp.topic_id and standing.again is not None
    }
    if not notes:
        return False
    start, _ = await shards.source.bounds()
    at = max(start, min(first for first, _ in notes.values()))
    upto = at + shards.chunk - 1
    among = {shard: note for shard, note in notes.items() if note[0] <= upto}
    await _look(shards, sink, since, list(among), at, min(upto, max(last for _, last in among.values())))
    await store.looked(tp, among, upto)
    return True


async def _look(
    shards: Shards[R, P, O], sink: Sink[O], since: int, among: Sequence[int], first: int, last: int
) -> None:
    """Publishes what is due in the bags that the records of first..last name on these shards."""
    batch = await shards.source.read(first, last) if first <= last else None
    if batch is None:
        return
    work, prepared = shards.work, shards.work.prepare(batch)
    dead = _dead(work, prepared)
    calls = work.calls(prepared, dead, first)
    found = dict(zip(among, await shards.store.read([calls[shard] for shard in among]), strict=True))
    bags = [ShardBags(0, found.get(call.shard, [None] * len(call.keys)), whole=True) for call in calls]
    outputs = work.again(prepared, dead, first, bags)
    if outputs is not None:
        await sink.again(shards.tp, outputs, since)


def _dead(work: Work[R, P, O], prepared: P) -> dict[int, Verdict]:
    facts = work.facts(prepared)
    return dict.fromkeys(facts.offset[facts.dead].tolist(), Verdict.DEAD)
