"""The simulation's store on a real server: the product's own ValkeyStore, whose round trips end before they return.

Each round trip runs to its end on an event loop of its own, so to the world's scheduler a call is one instant step, as
memory's is; packing, connections, replies and headrace.lua are what a worker runs. A shard is rolled back as a server
that lost its tail comes back: its keys as they were (DUMP, RESTORE), with the ends of life they had, under a clock that
went on. The price: .2 ms a call, some 250 calls a schedule.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from streams.embedded.processes import Children, free_port
from streams.embedded.store import start_store
from streams.protocol.ports import ApplyReply, Begin, BeginReply, Limits, ShardCall, Standing, Swap, Tp
from streams.stores import keys, prepare, wire
from streams.stores.admin import places
from streams.stores.nodes import Access
from streams.stores.valkey import ValkeyStore
from tests.simulation.stores import Moment
from tests.simulation.threads import instant

TTL_MS = 30 * 86_400_000
PATIENCE_S = 30.0  # a machine under load is no fault of the store
IN_MEMORY = {"appendonly": "no"}  # rollbacks are ours to make

Lua = tuple[str, str]  # a piece of headrace.lua, and what stands there instead

LUA_MUTATIONS: dict[str, Lua] = {
    "no-from": ("or from ~= home.position then", "then"),
    "no-genesis": (
        "genesis = genesis, position = genesis }\n  if shard",
        "genesis = genesis, position = first }\n  if shard",
    ),
    "no-content-guard": ("sub(bag, 1, #prefix) == prefix", "#bag >= #prefix"),
    "no-stamp-guard": ("and not asked_again(noted, key, prefix, newest)", ""),
    "ids-trimmed": ("drop_old_ids(ids_key, home, limits)\n  if", "call('XTRIM', ids_key, 'MAXLEN', '=', '2')\n  if"),
}
"""The mutations of the store, by the same names, in the library itself. `home-rewound` is not one shard's to make."""


@dataclass(frozen=True, slots=True)
class HomeThere:
    topic_id: str
    position: int
    open: tuple[int, int] | None


class RealStore(ValkeyStore):
    """`tests.simulation.stores.SteppedStore` over one server. Entities get their shard's tag on the way."""

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop, shards: int, limits: Limits) -> None:
        super().__init__(Access(url, cluster=False, timeout_s=PATIENCE_S), shards, limits=limits, ttl_ms=TTL_MS)
        self._loop = loop

    async def trip(self, name: str, calls: Sequence[tuple[int, bytes]]) -> Sequence[Any]:
        return self._loop.run_until_complete(super().trip(name, calls))

    async def apply(
        self,
        tp: Tp,
        genesis: int,
        first: int,
        last: int,
        token: bytes,
        calls: Sequence[ShardCall],
        *,
        catchup: bool = False,
        again: bool = False,
    ) -> Sequence[ApplyReply]:
        tagged = [_tagged(call) for call in calls]
        return await super().apply(tp, genesis, first, last, token, tagged, catchup=catchup, again=again)

    async def take(
        self, tp: Tp, asked: Begin, calls: Sequence[ShardCall]
    ) -> tuple[BeginReply, Sequence[ApplyReply] | None]:
        return await super().take(tp, asked, [_tagged(call) for call in calls])

    async def read(self, calls: Sequence[ShardCall]) -> Sequence[Sequence[bytes | None]]:
        return await super().read([_tagged(call) for call in calls])

    async def swap(self, swaps: Sequence[Swap]) -> int:
        return await super().swap([replace(swap, key=_key(swap.shard, swap.key)) for swap in swaps])

    # ---- one shard's step

    def apply_one(
        self, tp: Tp, genesis: int, first: int, last: int, token: bytes, call: ShardCall, *, catchup: bool, again: bool
    ) -> ApplyReply:
        (reply,) = instant(self.apply(tp, genesis, first, last, token, [call], catchup=catchup, again=again))
        return reply

    def where_one(self, tp: Tp, index: int, closed: int | None) -> Standing | None:
        (reply,) = instant(self.trip("where", [(index, wire.where(tp, index, closed))]))
        return wire.where_reply(reply)

    def swap_one(self, swap: Swap) -> bool:
        return bool(instant(self.swap([swap])))

    # ---- what the world does to it

    def snapshot(self) -> Moment:
        return [self._saved(shard) for shard in range(self.shards)]

    def restore(self, snapshot: Moment, shards: Iterable[int], /) -> None:
        for shard in shards:
            gone = [wire.command("UNLINK", key) for key in self._keys(shard)]
            back = [
                wire.command("RESTORE", key, max(ends_ms, 0), content, "ABSTTL")
                for key, (ends_ms, content) in snapshot[shard].items()
            ]
            self._ask(shard, gone + back)

    def bags(self) -> dict[bytes, bytes]:
        """Of all shards, by entity. Looks by the way that bags alone come to an end of life."""
        bags = {}
        for shard in range(self.shards):
            for key, (ends_ms, _) in self._saved(shard).items():
                bag = keys.BAG.fullmatch(key)
                assert (ends_ms >= 0) == (bag is not None), f"{key!r} ends at {ends_ms} ms"
                if bag is not None:
                    (bags[bag[3]],) = self._ask(shard, [wire.command("GET", key)])
        return bags

    def home(self, tp: Tp) -> HomeThere | None:
        found = [p for p in instant(places(self)) if p.home and (p.topic, p.partition) == (tp.topic, tp.partition)]
        return HomeThere(found[0].topic_id, found[0].position, found[0].last_range) if found else None

    def _keys(self, shard: int) -> list[bytes]:
        (found,) = self._ask(shard, [wire.command("KEYS", b"{%d}*" % shard)])
        return sorted(found)

    def _saved(self, shard: int) -> dict[bytes, tuple[int, bytes]]:
        """By key: when it ends, -1 for never, and its content as RESTORE takes it."""
        there = self._keys(shard)
        ends_ms = self._ask(shard, [wire.command("PEXPIRETIME", key) for key in there])
        contents = self._ask(shard, [wire.command("DUMP", key) for key in there])
        return dict(zip(there, zip(ends_ms, contents, strict=True), strict=True))

    def _ask(self, shard: int, commands: Sequence[bytes]) -> list[Any]:
        return list(instant(self.trip("look", [(shard, packed) for packed in commands])))


def _key(shard: int, entity: bytes) -> bytes:
    return b"{%d}entity:%b" % (shard, entity)


def _tagged(call: ShardCall) -> ShardCall:
    return call._replace(keys=[_key(call.shard, entity) for entity in call.keys])


class Server:
    """Gives one store after the other, each empty, on one server and one event loop."""

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop, lua: Lua | None = None) -> None:
        self._url, self._loop, self._lua = url, loop, lua
        self._store: RealStore | None = None

    def store(self, shards: int, _: Callable[[], int], limits: Limits) -> RealStore:
        """Empties the server; it has a clock of its own."""
        self.close()
        self._store = RealStore(self._url, self._loop, shards, limits)
        self._loop.run_until_complete(self._emptied(self._store))
        return self._store

    async def _emptied(self, store: RealStore) -> None:
        (node,) = await store.nodes.primaries()
        await store.nodes.ask(node, "FLUSHDB", "SYNC")
        if self._lua is not None:
            await store.nodes.ask(node, "FUNCTION", "LOAD", "REPLACE", mutated(*self._lua))
        await store.prepare()

    def close(self) -> None:
        if self._store is not None:
            self._loop.run_until_complete(self._store.close())


def mutated(piece: str, instead: str) -> str:
    """The library with one rule left out."""
    _, source = prepare.library()
    assert source.count(piece) == 1, f"headrace.lua has {piece!r} {source.count(piece)} times"
    return source.replace(piece, instead)


@contextmanager
def serve(lua: Lua | None = None) -> Iterator[Server]:
    """A server of one's own."""
    with Children() as children, asyncio.Runner() as runner:
        server = Server(start_store(children, free_port(), IN_MEMORY).url, runner.get_loop(), lua)
        try:
            yield server
        finally:
            server.close()
