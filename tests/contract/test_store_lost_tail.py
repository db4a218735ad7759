"""A store whose file lost its end comes back as it was after some call: each call whole or absent, in any shard.

That is the rollback that the simulation makes with DUMP and RESTORE, here by the server itself: its append-only file is
cut at any byte, as a machine that dies between two syncs leaves it.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from streams.embedded.processes import Children
from streams.embedded.store import Store as Server
from streams.protocol.ports import StoreDown, Swap, Verdict
from streams.stores.nodes import Access
from streams.stores.valkey import ValkeyStore
from tests.contract.stores import LIMITS, NO, ORDERS, TTL_MS, applied, begin, call, entry, opened
from tests.support.valkey import start_valkey

SHARDS = 2
CUTS = 8


def store_at(server: Server) -> ValkeyStore:
    return ValkeyStore(Access(server.url), SHARDS, limits=LIMITS, ttl_ms=TTL_MS)


async def picture(store: ValkeyStore) -> list[Any]:
    """All that the calls can tell, and none of it changes anything."""
    calls = [call(shard, user_a=b"", user_b=b"") for shard in range(SHARDS)]
    home = await begin(store, None, published=NO - 1)
    log = await store.ids(ORDERS)
    said = await store.verdicts(ORDERS, 0, log.position - 1) if log is not None else None
    return [home, log, said, await store.where(ORDERS), await store.read(calls)]


async def ranges(store: ValkeyStore, seen: Callable[[], Any], count: int) -> int:
    """Range after range: opened, applied shard by shard, compacted, closed. `seen` after each call; the last number."""
    number = swapped = 0
    for place in range(0, 5 * count, 5):
        await opened(store, place, place + 4, {place + 1: Verdict.DUPLICATE}, ids=b"ids%d" % place, clock_s=place)
        await seen()
        for shard in range(SHARDS):
            reply = await applied(store, place, place + 4, call(shard, user_a=entry(place), user_b=entry(1)))
            number = max(number, reply.number)
            await seen()
            before = reply.bags[0]
            if before is not None and len(before) > 100:
                newest = int.from_bytes(before[-40:-32], "big")
                swapped += await store.swap([Swap(shard, call(shard, user_a=b"").keys[0], before, b"T" * 40, newest)])
                await seen()
    assert swapped
    return number


def log_of(server: Server) -> Path:
    (found,) = (server.folder / "appendonlydir").glob("*.incr.aof")
    return found


async def anew(server: Server, store: ValkeyStore) -> None:
    """After a restart: the first call may find the old connection dead."""
    server.start_again()
    with contextlib.suppress(StoreDown):
        await store.where(ORDERS)


@pytest.mark.parametrize("seed", [1])
async def test_a_file_cut_at_any_byte_gives_the_store_of_after_some_call(children: Children, seed: int) -> None:
    server = start_valkey(children)
    async with store_at(server) as store:
        pictures, sizes = [await picture(store)], [log_of(server).stat().st_size]

        async def seen() -> None:
            pictures.append(await picture(store))
            sizes.append(log_of(server).stat().st_size)

        number = await ranges(store, seen, 6)
        server.child.kill()
        whole = log_of(server).read_bytes()
        rng = random.Random(seed)
        for cut in sorted(rng.sample(range(sizes[0], sizes[-1]), CUTS)):
            server.child.kill()
            log_of(server).write_bytes(whole[:cut])
            await anew(server, store)
            assert await picture(store) == pictures[bisect.bisect(sizes, cut) - 1], f"cut at {cut} of {sizes}"
        position = (await store.where(ORDERS))[0]
        assert position is not None
        again = await applied(store, position.position, position.position + 4, call(user_a=entry(9)))
        assert again.number > number, "given before the loss"


async def test_constants_that_were_lost_while_the_worker_was_idle_are_there_at_its_next_call(
    children: Children,
) -> None:
    server = start_valkey(children)
    async with store_at(server) as store:
        server.child.kill()
        log = log_of(server)
        log.write_bytes(log.read_bytes()[:-20])  # the last thing written: the constants in the last shard
        server.start_again()
        with redis.Redis.from_url(server.url) as client:
            assert not client.exists("{1}:space")
            await asyncio.sleep(0.1)  # the loop is told meanwhile that its connection is closed
            assert (await store.where(ORDERS)) == [None] * SHARDS
            assert client.hget("{1}:space", "shards") == b"2"
