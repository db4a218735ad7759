"""Rebuild: the state of a partition again from its log, in silence.

For a store that is empty or lost more than it can make good. Home judges anew and keeps the verdicts, every shard
takes what it lacks; what it has it keeps, since positions make each step idempotent, so a rebuild that died is run
again. Nothing is published: up to `upto` everything is out already. The price: the log must still hold the partition's
first offset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

from streams.protocol import stops
from streams.protocol.judge import Judge, Judged
from streams.protocol.ports import (
    At,
    Exceptions,
    Limits,
    O,
    Open,
    P,
    Position,
    R,
    Rebind,
    ShardCall,
    Source,
    Store,
    Tp,
    Unsaid,
    Work,
)

CHUNK = 2000


@dataclass(frozen=True, slots=True)
class Rebuild(Generic[R, P, O]):
    tp: Tp
    store: Store
    source: Source[R]
    work: Work[R, P, O]
    limits: Limits
    config: str  # what a range is pinned to that the rebuild opens and dies before closing
    token: bytes

    async def run(self, upto: int) -> None:
        """Takes genesis..upto again, and in any case what home has closed; an open range is left to the worker.

        `upto` is below the newest row's first: the outputs of that one may not be out. Raises `Stop` where the log
        begins too late.
        """
        reply = await self.store.begin(self.tp, None, 0, None, -1, "", b"", -1)
        if isinstance(reply, Rebind):
            raise stops.rebind(self.tp, reply.known)
        if isinstance(reply, Open):
            upto = reply.first - 1
        elif isinstance(reply, Position):
            upto = max(upto, reply.at - 1)
        genesis = await self._genesis()
        judge = Judge(self.limits)
        judge.load(None, genesis)
        while judge.position <= upto:
            await self._step(judge, genesis, upto)

    async def _genesis(self) -> int:
        start, _ = await self.source.bounds()
        standings = [standing for standing in await self.store.where(self.tp) if standing is not None]
        for standing in standings:
            if standing.topic_id != self.tp.topic_id:
                raise stops.rebind(self.tp, standing.topic_id)
        ids = await self.store.ids(self.tp)
        known = [ids.genesis] if ids is not None else [standing.genesis for standing in standings]
        genesis = known[0] if known else start
        if start > genesis:
            raise stops.log_cut(self.tp, genesis, start)
        return genesis

    async def _step(self, judge: Judge, genesis: int, upto: int) -> None:
        """One chunk, cut where home stands: there a range of its own may begin."""
        at = judge.position
        ids = await self.store.ids(self.tp)
        home = genesis if ids is None else ids.position
        last = min(upto, at + CHUNK - 1, home - 1 if home > at else upto)
        batch = await self.source.read(at, last)
        prepared = None if batch is None else self.work.prepare(batch)
        judged = judge.skip(last) if prepared is None else judge.judge(self.work.facts(prepared), last)
        if home <= at:
            await self._keep(at, genesis, judged)
        said = await self.store.verdicts(self.tp, at, last)
        exceptions = judged.proposal.exceptions if isinstance(said, Unsaid) else said
        for shard in range(self.store.shards):
            await self._take(shard, genesis, at, last, prepared, exceptions)
        judge.accept(judged)

    async def _keep(self, at: int, genesis: int, judged: Judged) -> None:
        """Home takes the range and closes it at once; if we die in between, its repeat says `recovered`."""
        begin, last = self.store.begin, judged.proposal.last
        reply = await begin(self.tp, at, genesis, judged.proposal, -1, self.config, self.token, last)
        if not (isinstance(reply, Open) and reply.mine):
            raise stops.at_work(self.tp)
        await begin(self.tp, None, 0, None, last, "", b"", -1)

    async def _take(
        self, shard: int, genesis: int, at: int, last: int, prepared: P | None, exceptions: Exceptions
    ) -> None:
        """One shard takes of the chunk what it lacks."""
        first = at
        while first <= last:
            nothing = ShardCall(shard, (), (), ())
            call = nothing if prepared is None else self.work.calls(prepared, exceptions, first)[shard]
            (reply,) = await self.store.apply(self.tp, genesis, first, last, self.token, [call], catchup=True)
            if not isinstance(reply, At):
                return
            if reply.position < at:
                raise stops.at_work(self.tp)
            first = reply.position
