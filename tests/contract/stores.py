"""Builders for the store's contract: short words for partitions, ranges, calls and the bags they make."""

from __future__ import annotations

from streams.protocol.ports import (
    Applied,
    ApplyReply,
    Begin,
    BeginReply,
    Exceptions,
    Limits,
    Open,
    Proposal,
    ShardCall,
    Store,
    Tp,
)

SHARDS = 16
LIMITS = Limits(dedup_offsets=100, dedup_s=60, verdict_offsets=200)
DAY_MS = 86_400_000
TTL_MS, SESSION_TTL_MS = 30 * DAY_MS, DAY_MS
ENTRY = 32
NO = -1  # nothing is published, no row is known

ORDERS = Tp("orders", 1, "id-of-orders")
CLICKS = Tp("clickstream", 0, "id-of-clicks")


def proposal(last: int, exceptions: Exceptions | None = None, ids: bytes = b"", clock_s: int = 0) -> Proposal:
    return Proposal(last, exceptions or {}, ids, clock_s)


def entry(mark: int) -> bytes:
    """The bytes of one entry without its stamp."""
    return mark.to_bytes(ENTRY, "little")


def call(shard: int = 0, **entries: bytes) -> ShardCall:
    """`user_a=entry(1)` brings an entry to the bag `{0}user:a`; b"" only reads it."""
    keys = [f"{{{shard}}}{name.replace('_', ':')}".encode() for name in entries]
    return ShardCall(shard, keys, list(entries.values()), [ENTRY] * len(keys))


def stamped(number: int, *marks: int) -> bytes:
    return b"".join(number.to_bytes(8, "big") + entry(mark) for mark in marks)


async def begin(
    store: Store, at: int | None, offered: Proposal | None = None, *, tp: Tp = ORDERS, genesis: int = 0,
    published: int = NO, config: str = "c1", token: bytes = b"t1", tail: int = NO,
) -> BeginReply:  # fmt: skip
    return await store.begin(tp, Begin(published, offered, at, genesis, config, token, tail))


async def opened(
    store: Store, first: int, last: int, exceptions: Exceptions | None = None, *, tp: Tp = ORDERS, ids: bytes = b"",
    clock_s: int = 0, genesis: int = 0,
) -> Open:  # fmt: skip
    """A range that the caller opened, all before it being published."""
    offered = proposal(last, exceptions, ids, clock_s)
    reply = await begin(store, first, offered, tp=tp, published=first - 1, genesis=genesis)
    assert isinstance(reply, Open)
    assert reply.mine
    return reply


async def applied(
    store: Store, first: int, last: int, shard_call: ShardCall, *, tp: Tp = ORDERS, token: bytes = b"t1",
    genesis: int = 0, catchup: bool = False,
) -> Applied:  # fmt: skip
    reply = await apply(store, first, last, shard_call, tp=tp, token=token, genesis=genesis, catchup=catchup)
    assert isinstance(reply, Applied)
    return reply


async def apply(
    store: Store, first: int, last: int, shard_call: ShardCall, *, tp: Tp = ORDERS, token: bytes = b"t1",
    genesis: int = 0, catchup: bool = False,
) -> ApplyReply:  # fmt: skip
    (reply,) = await store.apply(tp, genesis, first, last, token, [shard_call], catchup=catchup)
    return reply


async def bag(store: Store, shard_call: ShardCall) -> bytes | None:
    """The first bag of a call, as it is now."""
    ((found, *_),) = await store.read([shard_call])
    return found
