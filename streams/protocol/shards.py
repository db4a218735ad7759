"""A range and the shards: each takes it once, gives its bags as they were, and is caught up alone where it lost its
tail.

A shard that stands elsewhere changes nothing and says where; the answer decides. Behind the range: it was rolled back,
and takes what it lacks in silence, with the verdicts that home kept. Beyond it: either the range is closed and we are
a zombie (home knows), or home was rolled back and not the shard. The price: each such case costs round trips, none of
them in peace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, cast

from streams.protocol import stops
from streams.protocol.observer import Observer
from streams.protocol.ports import (
    Applied,
    ApplyReply,
    At,
    Begin,
    Exceptions,
    O,
    Open,
    P,
    R,
    Rebind,
    ShardBags,
    ShardCall,
    Source,
    Store,
    Tp,
    Unsaid,
    Work,
)

EVERY_STAMP = 2**63 - 1  # no entry is stamped at or above it


class Lost(Exception):  # noqa: N818
    """Home says otherwise: drop what is in hand and learn the place anew. Never leaves the driver."""


class Taken(NamedTuple):
    """A range that every shard has."""

    bags: Sequence[ShardBags]
    numbers: tuple[int, ...]
    flag: bool  # a shard says that something was recovered


@dataclass(frozen=True, slots=True)
class _Answer:
    bags: ShardBags
    number: int
    flag: bool


@dataclass(frozen=True, slots=True)
class Shards(Generic[R, P, O]):
    tp: Tp
    store: Store
    source: Source[R]
    work: Work[R, P, O]
    observer: Observer
    beat: Callable[[], float]
    chunk: int  # offsets of one step of a catch-up

    async def take(
        self,
        range_: Open,
        genesis: int,
        prepared: P,
        published: int,
        calls: Sequence[ShardCall],
        replies: Sequence[ApplyReply] | None = None,
    ) -> Taken:
        """Hands the open range to all shards, unless they have answered. Raises Lost where it is not open any more."""
        if replies is None:
            replies = await self._apply(range_, genesis, range_.first, calls)
        self.beat()
        if {type(reply) for reply in replies} <= {Applied}:
            return _in_peace(cast(Sequence[Applied], replies))
        answers = [
            _answer(reply)
            if isinstance(reply, Applied)
            else await self._settle(range_, genesis, prepared, published, call, reply)
            for call, reply in zip(calls, replies, strict=True)
        ]
        bags, numbers = [answer.bags for answer in answers], tuple(answer.number for answer in answers)
        return Taken(bags, numbers, any(answer.flag for answer in answers))

    async def _settle(
        self, range_: Open, genesis: int, prepared: P, published: int, call: ShardCall, reply: ApplyReply
    ) -> _Answer:
        """Brings a shard that stands elsewhere to the end of the range."""
        number = 0
        while not isinstance(reply, Applied):
            at = self._at(reply)
            if at <= range_.first:
                await self.catch_up(call.shard, genesis, at, range_.first - 1, range_.token)
                (reply,) = await self._apply(range_, genesis, range_.first, [call])
                continue
            await self._still_open(range_, published)
            if at <= range_.last:
                rest = self.work.calls(prepared, range_.exceptions, at)[call.shard]
                (reply,) = await self._apply(range_, genesis, at, [rest])
                if not isinstance(reply, Applied):
                    continue
                number = reply.number
            (bags,) = await self.store.read([call])
            return _Answer(ShardBags(EVERY_STAMP, bags, whole=True), number, flag=True)
        return _answer(reply)

    async def _apply(self, range_: Open, genesis: int, first: int, calls: Sequence[ShardCall]) -> Sequence[ApplyReply]:
        """Another owner may have published a range that is not ours, and close it while we have not."""
        bounds, again = (first, range_.last), range_.recovered or not range_.mine
        replies = await self.store.apply(self.tp, genesis, *bounds, range_.token, calls, again=again)
        self.beat()
        return replies

    async def _still_open(self, range_: Open, published: int) -> None:
        """'Beyond the range' is asked at home before it is believed: a zombie's late call looks like a rollback."""
        reply = await self.store.begin(self.tp, Begin(published))
        same = isinstance(reply, Open) and (reply.first, reply.last) == (range_.first, range_.last)
        if not (same and isinstance(reply, Open) and reply.token == range_.token):
            raise Lost

    async def catch_up(self, shard: int, genesis: int, first: int, last: int, token: bytes) -> None:
        """One shard takes first..last again, in silence: the entries of what home judged fresh, no decisions."""
        at = first
        while at <= last:
            upto = min(last, at + self.chunk - 1)
            call = await self._chunk(shard, at, upto)
            args = (self.tp, genesis, at, upto, token, [call])
            (reply,) = await self.store.apply(*args, catchup=True)
            self.beat()
            if isinstance(reply, Applied):
                self.observer.caught_up(self.tp, shard, at, upto)
                at = upto + 1
            else:
                at = self._at(reply)

    async def _chunk(self, shard: int, first: int, last: int) -> ShardCall:
        exceptions = await self._verdicts(shard, first, last)
        start, _ = await self.source.bounds()
        if start > first:
            raise stops.log_cut(self.tp, first, start)
        batch = await self.source.read(first, last)
        if batch is None:
            return ShardCall(shard, (), (), ())
        return self.work.calls(self.work.prepare(batch), exceptions, first)[shard]

    async def _verdicts(self, shard: int, first: int, last: int) -> Exceptions:
        said = await self.store.verdicts(self.tp, first, last)
        if not isinstance(said, Unsaid):
            return said
        if last >= said.position:
            raise Lost
        raise stops.too_deep(self.tp, shard, first, said.floor)

    def _at(self, reply: ApplyReply) -> int:
        if isinstance(reply, Rebind):
            raise stops.rebind(self.tp, reply.known)
        assert isinstance(reply, At)
        return reply.position


def _in_peace(replies: Sequence[Applied]) -> Taken:
    """Every shard took the range. The same as of single answers, at a third of the time."""
    return Taken(
        [ShardBags(reply.number, reply.bags) for reply in replies],
        tuple([reply.number for reply in replies]),
        any(reply.flag for reply in replies),
    )


def _answer(reply: Applied) -> _Answer:
    return _Answer(ShardBags(reply.number, reply.bags), reply.number, reply.flag)
