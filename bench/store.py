"""What the store's calls cost: us of CPU a key, on the server and in the client, over records of several lengths.

    python -m bench.store [--keys 500 1000 2000] [--entries 5 20 60] [--rounds 60] [--fsync no|everysec|always]

Starts an embedded store of its own and applies ranges over 16 shards, as a worker does: one call a shard, all written
at once. CPU time of both processes, so that other load on the machine matters little; bags are filled anew, uncounted,
before they have grown by more than a tenth. `spread` is the client's work before the call (shard of each entity, keys).
The price of the figure: client and server share caches, which a worker on another machine does not.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from streams.embedded.processes import Children, free_port
from streams.embedded.store import start_store
from streams.protocol.ports import Applied, Begin, Proposal, ShardCall, Swap, Tp
from streams.stores import keys, wire
from streams.stores.nodes import Access
from streams.stores.valkey import ValkeyStore

SHARDS, ENTRY, STAMP = 16, 32, 8
FILL = 1000  # keys of one write while bags are filled
TP = Tp("orders", 0, "bench")


@dataclass
class Meter:
    """CPU time of the server and of this process, in us, since it was made."""

    server: int  # process id

    def __post_init__(self) -> None:
        self._server, self._client = self._server_ns(), time.process_time_ns()

    def _server_ns(self) -> int:
        threads = Path(f"/proc/{self.server}/task")
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads.iterdir())

    def us(self) -> tuple[float, float]:
        return (self._server_ns() - self._server) / 1e3, (time.process_time_ns() - self._client) / 1e3


def bags_of(entries: int) -> bytes:
    now = (time.time_ns() // 1000).to_bytes(STAMP, "big")
    return b"".join(now + os.urandom(ENTRY) for _ in range(entries))


async def fill(store: ValkeyStore, entities: Sequence[str], entries: int) -> None:
    named = [keys.bag_key("user", entity, SHARDS) for entity in entities]
    content = bags_of(entries)
    for at in range(0, len(named), FILL):
        await store.trip("fill", [(n, wire.command("SET", key, content)) for n, key in named[at : at + FILL]])


@dataclass
class Ranges:
    """Consecutive ranges of one partition."""

    store: ValkeyStore
    place: int = 0

    async def apply(self, calls: Sequence[ShardCall]) -> None:
        replies = await self.store.apply(TP, 0, self.place, self.place, b"0123456789abcdef", calls)
        assert all(isinstance(reply, Applied) for reply in replies), replies
        self.place += 1


async def apply_cost(ranges: Ranges, pid: int, count: int, entries: int, rounds: int) -> tuple[float, float, float]:
    """(server, client, spread) us a key of ranges that touch `count` bags of `entries` entries."""
    pool = [f"u-{number:07d}" for number in range(4 * count)]
    rng, server, client, spread = random.Random(1), 0.0, 0.0, 0.0
    for turn in range(rounds):
        if turn % max(1, entries // 3) == 0:
            await fill(ranges.store, pool, entries)
        entities = rng.sample(pool, count)
        part = keys.Part("user", ENTRY, entities, [os.urandom(ENTRY) for _ in entities])
        meter = Meter(pid)
        calls = keys.spread([part], SHARDS).calls
        spread += meter.us()[1]
        meter = Meter(pid)
        await ranges.apply(calls)
        used = meter.us()
        server, client = server + used[0], client + used[1]
    each = rounds * count
    return server / each, client / each, spread / each


async def cost(pid: int, rounds: int, call: Callable[[int], Awaitable[object]]) -> tuple[float, float]:
    """(server, client) us of one call."""
    meter = Meter(pid)
    for turn in range(rounds):
        await call(turn)
    server, client = meter.us()
    return server / rounds, client / rounds


async def small_calls(ranges: Ranges, pid: int) -> None:
    store, empties = ranges.store, [ShardCall(shard, [], [], []) for shard in range(SHARDS)]
    ids, tp, swapped = os.urandom(12_000), Tp("begun", 0, "bench"), [keys.bag_key("old", "x", SHARDS)]
    shard, key = swapped[0]
    prefix = bags_of(60)

    async def begin(turn: int) -> None:
        offered = Proposal(turn * 1000 + 999, {turn * 1000 + at: wire.VERDICTS[1] for at in range(20)}, ids, turn)
        await store.begin(tp, Begin(turn * 1000 - 1, offered, turn * 1000, 0, "config", b"0123456789abcdef"))

    async def swap(_: int) -> None:
        await store.trip("fill", [(shard, wire.command("SET", key, prefix))])
        assert await store.swap([Swap(shard, key, prefix, b"tiles" * 100, 1)]) == 1

    for name, call in [
        ("apply, 16 empty calls", lambda _: ranges.apply(empties)),
        ("begin of 1,000 records", begin),
        ("where, 16 shards", lambda _: store.where(TP)),
        ("set and swap of 2.4 kB", swap),
    ]:
        there, here = await cost(pid, 300, call)
        print(f"{name:24} {there:8.0f} / {here:.0f} us a call")


async def measure(chosen: argparse.Namespace) -> None:
    with Children() as children:
        server = start_store(children, free_port(), {"appendfsync": chosen.fsync})
        async with ValkeyStore(Access(server.url), SHARDS, ttl_ms=3_196_800_000) as store:
            ranges = Ranges(store)
            print("us a key: server / client (+ spread)")
            for entries in chosen.entries:
                for count in chosen.keys:
                    there, here, spread = await apply_cost(ranges, server.child.pid, count, entries, chosen.rounds)
                    print(f"{count:5} keys of {entries:3} entries  {there:8.2f} / {here:.2f} (+ {spread:.2f})")
            await small_calls(ranges, server.child.pid)


def main() -> None:
    """Prints one line for each number of keys and length of record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, nargs="+", default=[500, 1000, 2000])
    parser.add_argument("--entries", type=int, nargs="+", default=[5, 20, 60])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--fsync", choices=["no", "everysec", "always"], default="always")
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
