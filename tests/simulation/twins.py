"""Two stores that are asked the same: whatever the driver's schedule, memory.py and the real store answer alike.

Memory is told the numbers that the real store gave, so that bags are compared byte by byte. Only what
the driver and the world ask is asked; random calls of any kind are for tests/contract/test_store_equals_memory.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from streams.protocol.memory import MemoryStore
from streams.protocol.ports import (
    Applied,
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
from tests.simulation.stores import Home, Moment, SteppedStore

T = TypeVar("T")


class DifferError(AssertionError):
    """The two stores are not the same machine."""


class Twins:
    """`tests.simulation.stores.SteppedStore`, twice; the answers are the real one's."""

    def __init__(self, real: SteppedStore, limits: Limits) -> None:
        self._real, self._numbers = real, deque[int]()
        self._memory = MemoryStore(real.shards, self._numbers.popleft, limits)

    @property
    def shards(self) -> int:
        return self._real.shards

    async def begin(self, tp: Tp, asked: Begin) -> BeginReply:
        return _same("begin", asked, await self._real.begin(tp, asked), await self._memory.begin(tp, asked))

    async def take(
        self, tp: Tp, asked: Begin, calls: Sequence[ShardCall]
    ) -> tuple[BeginReply, Sequence[ApplyReply] | None]:
        told = await self._real.take(tp, asked, calls)
        self._numbers += [each.number for each in told[1] or () if isinstance(each, Applied) and not each.repeat]
        return _same("take", (tp, asked, calls), told, await self._memory.take(tp, asked, calls))

    async def verdicts(self, tp: Tp, first: int, last: int) -> Exceptions | Unsaid:
        asked = (tp, first, last)
        return _same("verdicts", asked, await self._real.verdicts(*asked), await self._memory.verdicts(*asked))

    async def ids(self, tp: Tp) -> IdLog | None:
        return _same("ids", tp, await self._real.ids(tp), await self._memory.ids(tp))

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
        args = (tp, genesis, first, last, token)
        return [self.apply_one(*args, call, catchup=catchup, again=again) for call in calls]

    def apply_one(
        self, tp: Tp, genesis: int, first: int, last: int, token: bytes, call: ShardCall, *, catchup: bool, again: bool
    ) -> ApplyReply:
        asked = (tp, genesis, first, last, token, call)
        told = self._real.apply_one(*asked, catchup=catchup, again=again)
        if isinstance(told, Applied) and not told.repeat:
            self._numbers.append(told.number)
        return _same("apply", (*asked, catchup), told, self._memory.apply_one(*asked, catchup=catchup, again=again))

    async def read(self, calls: Sequence[ShardCall]) -> Sequence[Sequence[bytes | None]]:
        return _same("read", calls, await self._real.read(calls), await self._memory.read(calls))

    async def where(self, tp: Tp, closed: int | None = None) -> Sequence[Standing | None]:
        return [self.where_one(tp, shard, closed) for shard in range(self.shards)]

    def where_one(self, tp: Tp, index: int, closed: int | None) -> Standing | None:
        asked = (tp, index, closed)
        return _same("where", asked, self._real.where_one(*asked), self._memory.where_one(*asked))

    async def looked(self, tp: Tp, notes: Mapping[int, tuple[int, int]], upto: int) -> None:
        asked = (tp, notes, upto)
        await self._real.looked(*asked)
        await self._memory.looked(*asked)

    async def empty(self) -> bool:
        return _same("empty", (), await self._real.empty(), await self._memory.empty())

    async def swap(self, swaps: Sequence[Swap]) -> int:
        return sum(self.swap_one(swap) for swap in swaps)

    def swap_one(self, swap: Swap) -> bool:
        return _same("swap", swap, self._real.swap_one(swap), self._memory.swap_one(swap))

    async def rebase(self, tp: Tp, shard: int, old: Standing, genesis: int, ids: Sequence[bytes] | None) -> bool:
        asked = (tp, shard, old, genesis, ids)
        return _same("rebase", asked, await self._real.rebase(*asked), await self._memory.rebase(*asked))

    # ---- what the world does to them

    def snapshot(self) -> Moment:
        return list(zip(self._real.snapshot(), self._memory.snapshot(), strict=True))

    def restore(self, snapshot: Moment, shards: Iterable[int], /) -> None:
        named = list(shards)
        self._real.restore([real for real, _ in snapshot], named)
        self._memory.restore([memory for _, memory in snapshot], named)

    def bags(self) -> dict[bytes, bytes]:
        return _same("bags", (), self._real.bags(), self._memory.bags())

    def home(self, tp: Tp) -> Home | None:
        real, memory = self._real.home(tp), self._memory.home(tp)
        _same("home", tp, _look(real), _look(memory))
        return real


def _look(home: Home | None) -> tuple[str, int, bool] | None:
    return None if home is None else (home.topic_id, home.position, home.open is not None)


def _same(call: str, asked: object, real: T, memory: T) -> T:
    if real != memory:
        raise DifferError(f"{call} {asked}: the real store answers {real}, memory {memory}")
    return real
