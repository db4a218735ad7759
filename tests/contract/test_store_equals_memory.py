"""The Lua library and memory.py are one machine: whatever is asked of them in whatever order, they answer alike.

Random calls over two partitions, their topics made anew, and few enough offsets, shards and bags that ranges repeat,
overlap and miss each other. Memory is told the numbers that the real store gave, so that bags compare byte by byte.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import dataclass, field, replace

import pytest

from streams.protocol.memory import MemoryStore
from streams.protocol.ports import Applied, Begin, Limits, Proposal, ShardCall, Standing, Store, Swap, Tp, Verdict
from streams.stores.nodes import Access
from streams.stores.valkey import ValkeyStore
from tests.contract.stores import ENTRY, SHARDS

TINY = Limits(dedup_offsets=7, dedup_s=5, verdict_offsets=9)
STEPS = 400
OUTCOMES = {
    ("At", None), ("Applied", False), ("Applied", True), ("Rebind", None), ("Open", True), ("Open", False),
    ("Position", None), "looked", "swapped", "not swapped", ("rebased", True), ("rebased", False),
}  # fmt: skip
TOPICS = [Tp(topic, 0, topic_id) for topic in ("orders", "cart") for topic_id in ("old", "new")]
BAGS = [b"{%d}user:%d" % (shard, name) for shard in (0, 1) for name in (0, 1, 2)]


@dataclass
class Pair:
    """Both stores, and the numbers that memory is still to be given."""

    real: Store
    numbers: deque[int] = field(default_factory=deque)
    seen: Counter[object] = field(default_factory=Counter)
    applied: dict[Tp, tuple[int, int]] = field(default_factory=dict)
    memory: MemoryStore = field(init=False)

    def __post_init__(self) -> None:
        self.memory = MemoryStore(SHARDS, self.numbers.popleft, TINY)


def ranges(rng: random.Random, place: int) -> tuple[int, int]:
    first = max(0, place + rng.choice([0, 0, 0, 0, -1, -3, 2]))
    return first, first + rng.randrange(4)


def proposals(rng: random.Random, first: int, last: int) -> Proposal:
    exceptions = {offset: rng.choice(list(Verdict)[1:]) for offset in range(first, last + 1) if rng.random() < 0.3}
    return Proposal(last, exceptions, rng.choice([b"", rng.randbytes(5)]), rng.randrange(20))


def shard_calls(rng: random.Random) -> list[ShardCall]:
    calls = []
    for shard in rng.sample([0, 1], rng.randrange(1, 3)):
        keys = rng.sample([key for key in BAGS if key.startswith(b"{%d}" % shard)], rng.randrange(4))
        payloads = [rng.randbytes(ENTRY * rng.choice([0, 1, 1, 2])) for _ in keys]
        calls.append(ShardCall(shard, keys, payloads, [ENTRY] * len(keys)))
    return calls


async def same_apply(pair: Pair, rng: random.Random, tp: Tp, first: int, last: int) -> None:
    arguments = (tp, rng.choice([0, 0, 2]), first, last, rng.choice([b"t1", b"t2"]), shard_calls(rng))
    catchup, again = rng.random() < 0.2, rng.random() < 0.2
    told = await pair.real.apply(*arguments, catchup=catchup, again=again)
    pair.seen.update((type(reply).__name__, getattr(reply, "repeat", None)) for reply in told)
    pair.numbers.extend(reply.number for reply in told if isinstance(reply, Applied) and not reply.repeat)
    assert told == await pair.memory.apply(*arguments, catchup=catchup, again=again)


async def applicable(pair: Pair, rng: random.Random, tp: Tp) -> tuple[int, int]:
    """Mostly where a shard stands, or what one has noted."""
    if rng.random() < 0.3 and tp in pair.applied:
        return pair.applied[tp]
    held = [standing.position for standing in (await pair.memory.where(tp))[:2] if standing]
    pair.applied[tp] = ranges(rng, rng.choice(held or [0]))
    return pair.applied[tp]


async def same_swap(pair: Pair, rng: random.Random) -> None:
    swaps = []
    for key in rng.sample(BAGS, 2):
        shard = int(key[1:2])
        content = pair.memory.shard(shard).bags.get(key, b"\0" * 40)
        prefix = content[: 40 * rng.randrange(1, 4)] if rng.random() < 0.9 else rng.randbytes(40)
        newest = int.from_bytes(prefix[-40:-32], "big")
        swaps.append(Swap(shard, key, prefix, rng.choice([b"", b"T" * 40]), newest))
    swapped = await pair.real.swap(swaps)
    pair.seen["swapped"] += swapped
    pair.seen["not swapped"] += 2 - swapped
    assert swapped == await pair.memory.swap(swaps)


async def same_rebase(pair: Pair, rng: random.Random, tp: Tp) -> None:
    shard = rng.choice([0, 1, rng.randrange(SHARDS)])
    standing = (await pair.memory.where(tp))[shard] or Standing("old", 0, rng.randrange(9))
    anew = replace(tp, topic_id=rng.choice(["old", "new"]))
    ids = rng.choice([None, [b"carried"], [b"a", b"b"]])
    genesis = rng.randrange(4)
    told = await pair.real.rebase(anew, shard, standing, genesis, ids)
    pair.seen["rebased", told] += 1
    assert told == await pair.memory.rebase(anew, shard, standing, genesis, ids)


async def same_begin(pair: Pair, rng: random.Random, tp: Tp, first: int, last: int) -> None:
    offered = proposals(rng, first, last) if rng.random() < 0.8 else None
    published = first - 1 if rng.random() < 0.7 else rng.randrange(-1, 60)
    at = rng.choice([first, first, None])
    genesis, token, tail = rng.choice([0, first]), rng.randbytes(4), rng.randrange(-1, 60)
    asked = Begin(published, offered, at, genesis, "c", token, tail)
    told = await pair.real.begin(tp, asked)
    pair.seen[type(told).__name__, getattr(told, "mine", None)] += 1
    assert told == await pair.memory.begin(tp, asked)


async def same_take(pair: Pair, rng: random.Random, tp: Tp, first: int, last: int) -> None:
    asked = Begin(first - 1, proposals(rng, first, last), first, rng.choice([0, first]), "c", rng.randbytes(4))
    calls = shard_calls(rng)
    told = begun, replies = await pair.real.take(tp, asked, calls)
    pair.seen["taken", type(begun).__name__, replies is not None] += 1
    pair.numbers.extend(each.number for each in replies or () if isinstance(each, Applied) and not each.repeat)
    assert told == await pair.memory.take(tp, asked, calls)


async def same_look(pair: Pair, rng: random.Random, tp: Tp, first: int, last: int) -> None:
    assert await pair.real.verdicts(tp, first, last) == await pair.memory.verdicts(tp, first, last)
    assert await pair.real.ids(tp) == await pair.memory.ids(tp)
    closed = rng.choice([None, first])
    standings = await pair.memory.where(tp, closed)
    assert list(await pair.real.where(tp, closed)) == standings
    for shard, standing in enumerate(standings):
        if standing is not None and standing.again is not None:
            pair.seen["looked"] += 1
            note = standing.again if rng.random() < 0.7 else (standing.again[0], standing.again[1] + 1)
            upto = rng.randint(*standing.again)
            await pair.real.looked(tp, {shard: note}, upto)
            await pair.memory.looked(tp, {shard: note}, upto)
    assert await pair.real.empty() == await pair.memory.empty()


async def steps(pair: Pair, rng: random.Random, count: int) -> None:
    for _ in range(count):
        tp = rng.choices(TOPICS, [6, 1, 6, 1])[0]
        home = pair.memory.home(tp)
        first, last = ranges(rng, home.position if home else 0)
        match rng.choices(["begin", "take", "apply", "look", "swap", "rebase"], [4, 2, 6, 2, 3, 1])[0]:
            case "begin":
                await same_begin(pair, rng, tp, first, last)
            case "take":
                await same_take(pair, rng, tp, first, last)
            case "apply":
                await same_apply(pair, rng, tp, *await applicable(pair, rng, tp))
            case "look":
                await same_look(pair, rng, tp, first, last)
            case "swap":
                await same_swap(pair, rng)
            case _:
                await same_rebase(pair, rng, tp)


async def same_bags(pair: Pair) -> None:
    calls = [ShardCall(int(key[1:2]), [key], [b""], [ENTRY]) for key in BAGS]
    assert await pair.real.read(calls) == await pair.memory.read(calls)


@pytest.mark.parametrize("seed", range(6))
async def test_random_calls_are_answered_alike(url: str, seed: int) -> None:
    async with ValkeyStore(Access(url), SHARDS, limits=TINY, ttl_ms=10**9) as real:
        pair = Pair(real)
        await steps(pair, random.Random(seed), STEPS)
        await same_bags(pair)
        assert pair.seen.keys() >= OUTCOMES, "the schedule is too tame to show anything"
