"""The store of the protocol on Valkey 8+ or Redis 7.2+, one server or a cluster.

Each call of `streams.protocol.ports.Store` is one function call of headrace.lua per shard named, all of them in one
round trip; what each does is told there and in docs/protocol.md. Before the first call, and again after a connection
was lost, `prepare` checks the server, loads the functions and compares the constants of the state space.
Raises StoreDown where waiting may help, and Stop where it cannot. The price: bench/store.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from streams.protocol.apart import take_apart
from streams.protocol.places import home_shard
from streams.protocol.ports import (
    ApplyReply,
    Begin,
    BeginReply,
    Exceptions,
    IdLog,
    Limits,
    ShardCall,
    Standing,
    Swap,
    Tp,
    Unsaid,
)
from streams.stores import keys, prepare, wire
from streams.stores.nodes import Access, Down, Nodes, NoLibrary, Reconnected
from streams.stores.wire import Reply

AFRESH = frozenset({"unreachable", "cluster"})  # after these another server may answer, or the same one emptied
TAKEN_KEYS = 1000  # of a range that is begun and applied in one call
CONFIG_TTL_MS = 90 * 86_400_000  # a pinned configuration outlives the longest stop of all workers; renewed on use


def _ignore(_: str) -> None:
    """Nobody counts."""


class ValkeyStore:
    """`streams.protocol.ports.Store`; use it as an async context manager, or `close` it.

    `constants` are further settings that decide entries (currency table, layout of the bags): pinned at first start.
    `ttl_ms` is the physical life of a bag, of all groups but those in `ttls_ms`: longest window and retention.
    `on_call` is told the name of each call, `on_trip` of each round trip that carries some, `on_failure` a kind out of
    `nodes.KINDS`.
    """

    def __init__(
        self,
        access: Access,
        shards: int,
        *,
        limits: Limits | None = None,
        constants: Mapping[str, str] | None = None,
        ttl_ms: int,
        ttls_ms: Mapping[str, int] | None = None,
        on_call: Callable[[str], None] = _ignore,
        on_trip: Callable[[], None] | None = None,
        on_failure: Callable[[str], None] = _ignore,
    ) -> None:
        self.nodes = Nodes(access, shards, on_trip)
        self._shards = shards
        self._limits = limits or Limits()
        self._constants = prepare.constants(shards, self._limits, constants or {})
        self._ttls = wire.ttl_table(ttl_ms, ttls_ms or {})
        self._on_call, self._on_failure = on_call, on_failure
        self._prepared = False

    @property
    def shards(self) -> int:
        return self._shards

    async def __aenter__(self) -> ValkeyStore:
        try:
            await self.prepare()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def prepare(self) -> None:
        """Checks the servers, loads the functions, agrees the constants. Raises Stop where one of them does not fit."""
        self._prepared = False
        self.nodes.trust()
        await prepare.check_servers(self.nodes)
        await prepare.load_library(self.nodes)
        await prepare.agree(self.nodes, self._constants, self._shards)
        self._prepared = True

    def unprepared(self) -> None:
        """The next call prepares again, as after the state space was wiped."""
        self._prepared = False

    async def close(self) -> None:
        await self.nodes.close()

    async def trip(self, name: str, calls: Sequence[tuple[int, bytes]]) -> Sequence[Reply]:
        """One round trip of (shard, packed call); replies in their order."""
        try:
            if not self._prepared:
                await self.prepare()
            self._on_call(name)
            try:
                return await self.nodes.trip(calls)
            except Reconnected:
                await self.prepare()
                return await self.nodes.trip(calls)
        except Down as down:
            if isinstance(down, NoLibrary) or down.kind in AFRESH:
                self._prepared = False
            self._on_failure(down.kind)
            raise

    # ---- home

    def _home(self, tp: Tp) -> int:
        return home_shard(tp.topic, tp.partition, self._shards)

    async def begin(self, tp: Tp, asked: Begin) -> BeginReply:
        home = self._home(tp)
        call = wire.begin(tp, home, asked, self._limits)
        (reply,) = await self.trip("begin", [(home, call)])
        return wire.begin_reply(reply)

    async def verdicts(self, tp: Tp, first: int, last: int) -> Exceptions | Unsaid:
        home = self._home(tp)
        (reply,) = await self.trip("verdicts", [(home, wire.verdicts(tp, home, first, last))])
        return wire.verdicts_reply(reply, first, last)

    async def ids(self, tp: Tp) -> IdLog | None:
        home = self._home(tp)
        (reply,) = await self.trip("ids", [(home, wire.ids(tp, home))])
        return wire.ids_reply(reply)

    async def take(
        self, tp: Tp, asked: Begin, calls: Sequence[ShardCall]
    ) -> tuple[BeginReply, Sequence[ApplyReply] | None]:
        """In one call where all shards are on one server and the range is short: a longer one is better sent apart."""
        if self.nodes.single and sum(len(call.keys) for call in calls) <= TAKEN_KEYS:
            home = self._home(tp)
            (reply,) = await self.trip("take", [(home, wire.take(tp, home, asked, calls, self._limits, self._ttls))])
            return wire.take_reply(reply)
        return await take_apart(self, tp, asked, calls)

    # ---- every shard

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
        silence = wire.silence(catchup=catchup, again=again)
        packed = [
            (call.shard, wire.apply(tp, genesis, first, last, token, call, silence, self._ttls)) for call in calls
        ]
        return [wire.apply_reply(reply) for reply in await self.trip("apply", packed)]

    async def read(self, calls: Sequence[ShardCall]) -> Sequence[Sequence[bytes | None]]:
        asked = [(call.shard, wire.command("MGET", *call.keys)) for call in calls if call.keys]
        replies = iter(await self.trip("read", asked))
        return [next(replies) if call.keys else [] for call in calls]

    async def where(self, tp: Tp, closed: int | None = None) -> Sequence[Standing | None]:
        asked = [(shard, wire.where(tp, shard, closed)) for shard in range(self._shards)]
        return [wire.where_reply(reply) for reply in await self.trip("where", asked)]

    async def looked(self, tp: Tp, notes: Mapping[int, tuple[int, int]], upto: int) -> None:
        await self.trip("looked", [(shard, wire.looked(tp, shard, again, upto)) for shard, again in notes.items()])

    async def empty(self) -> bool:
        asked = [
            (shard, wire.command("EXISTS", keys.at_key(shard), keys.home_key(shard))) for shard in range(self._shards)
        ]
        return not any(await self.trip("empty", asked))

    async def swap(self, swaps: Sequence[Swap]) -> int:
        by_shard: dict[int, list[Swap]] = {}
        for swap in swaps:
            by_shard.setdefault(swap.shard, []).append(swap)
        asked = [(shard, wire.swap(shard, some, self._ttls)) for shard, some in by_shard.items()]
        return sum(await self.trip("swap", asked))

    async def rebase(self, tp: Tp, shard: int, old: Standing, genesis: int, ids: Sequence[bytes] | None) -> bool:
        (reply,) = await self.trip("rebase", [(shard, wire.rebase(tp, shard, old, genesis, ids))])
        return bool(reply)

    # ---- configurations

    async def put_config(self, config: str, content: bytes) -> None:
        """Keeps the content of a configuration, so that whoever finds a range open can obey it. Renews its life."""
        shard, key = keys.config_key(config, self._shards)
        await self.trip("config", [(shard, wire.command("SET", key, content, "PX", CONFIG_TTL_MS))])

    async def get_config(self, config: str) -> bytes | None:
        """The content of a configuration, whose life is renewed; None where it was never put, or is 90 days unused."""
        shard, key = keys.config_key(config, self._shards)
        content: bytes | None
        (content,) = await self.trip("config", [(shard, wire.command("GETEX", key, "PX", CONFIG_TTL_MS))])
        return content
