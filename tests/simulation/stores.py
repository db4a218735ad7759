"""The stores that a schedule can run on: memory, a real Valkey, or both at once, each answer held against the other's.

What the world does to any of them is the same: single shards step by step, a look inside, a rollback. So one seed is
one schedule, whatever the store: nothing in the world depends on the numbers that a store gives. The price of the real
one: some ten times the time of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from streams.protocol.ports import ApplyReply, Limits, ShardCall, Standing, Store, Swap, Tp

Moment = Sequence[Any]
"""What a rollback goes back to, by shard; each store has its own kind."""


class Home(Protocol):
    """What the world looks at of a partition's home."""

    @property
    def topic_id(self) -> str: ...
    @property
    def position(self) -> int: ...
    @property
    def open(self) -> object | None: ...


class SteppedStore(Store, Protocol):
    """A store whose calls never wait, that takes one shard's step at a time and can be rolled back."""

    def apply_one(
        self, tp: Tp, genesis: int, first: int, last: int, token: bytes, call: ShardCall, *, catchup: bool, again: bool
    ) -> ApplyReply: ...
    def where_one(self, tp: Tp, index: int, closed: int | None) -> Standing | None: ...
    def swap_one(self, swap: Swap) -> bool: ...
    def snapshot(self) -> Moment: ...
    def restore(self, snapshot: Moment, shards: Iterable[int], /) -> None: ...
    def bags(self) -> dict[bytes, bytes]: ...
    def home(self, tp: Tp) -> Home | None: ...


Make = Callable[[int, Callable[[], int], Limits], SteppedStore]
"""A fresh, empty store of so many shards; the clock is for those that have none of their own."""

STORES = ("memory", "valkey", "both")
MEMORY_ONLY = frozenset({"home-rewound"})  # mutations that no single shard can make


@contextmanager
def maker(kind: str, mutate: str | None = None) -> Iterator[Make | None]:
    """Makes stores of a kind out of STORES, one after the other; None: memory, as the mutation would have it."""
    if kind == "memory":
        yield None
        return
    if mutate in MEMORY_ONLY:
        raise ValueError(f"mutation {mutate} on store {kind}: it touches several shards at once, run it on memory")
    from tests.simulation.real import LUA_MUTATIONS, serve  # a server is started only where one is asked for
    from tests.simulation.twins import Twins

    with serve(LUA_MUTATIONS.get(mutate or "")) as server:
        yield (
            server.store
            if kind == "valkey"
            else lambda shards, clock, limits: Twins(server.store(shards, clock, limits), limits)
        )
