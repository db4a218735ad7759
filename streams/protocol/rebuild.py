"""Rebuild: the state of a partition again from its log, in silence.

For a store that is empty or lost more than it can make good. Home judges anew and keeps the verdicts, every shard
takes what it lacks; what it has it keeps, since positions make each step idempotent, so a rebuild that died is run
again. Nothing is published: up to `upto` everything is out already. The price: the log must still hold the partition's
first offset.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic

from streams.protocol import stops
from streams.protocol.judge import Judge, Judged, decode_ids, encode_ids
from streams.protocol.ports import (
    Applied,
    Begin,
    BeginReply,
    Exceptions,
    IdLog,
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
        reply = await self._close(-1)
        if isinstance(reply, Open) and reply.last < reply.first:  # an earlier run died as it founded home
            reply = await self._close(reply.last)
        home = await self._home()
        if isinstance(reply, Open):
            upto = reply.first - 1
        elif isinstance(reply, Position):
            upto = max(upto, reply.at - 1)
        judge = Judge(self.limits)
        judge.load(_before(home), home.genesis)
        while judge.position <= min(upto, home.position - 1):
            await self._again(judge, home, min(upto, home.position - 1, judge.position + CHUNK - 1))
        if judge.position <= upto:
            judge.load(home, home.position)
        while judge.position <= upto:
            await self._anew(judge, home, min(upto, judge.position + CHUNK - 1))

    async def _close(self, published: int) -> BeginReply:
        reply = await self.store.begin(self.tp, Begin(published))
        if isinstance(reply, Rebind):
            raise stops.rebind(self.tp, reply.known)
        return reply

    async def _home(self) -> IdLog:
        """What home knows; one that knows nothing is founded at genesis, so that a worker finds a place to begin."""
        start, _ = await self.source.bounds()
        standings = [standing for standing in await self.store.where(self.tp) if standing is not None]
        for standing in standings:
            if standing.topic_id != self.tp.topic_id:
                raise stops.rebind(self.tp, standing.topic_id)
        home = await self.store.ids(self.tp)
        if home is None:
            genesis = standings[0].genesis if standings else start
            home = IdLog(genesis, genesis, 0, ())
        if start > home.genesis:
            raise stops.log_cut(self.tp, home.genesis, start)
        if home.position == home.genesis:
            await self._keep(home, Judge(self.limits).skip(home.genesis - 1))
        return home

    async def _again(self, judge: Judge, home: IdLog, last: int) -> None:
        """A chunk that home has closed: its verdicts, as far back as it keeps them."""
        at = judge.position
        said = await self.store.verdicts(self.tp, at, last)
        if isinstance(said, Unsaid) and at < said.floor <= last:
            last = said.floor - 1
        prepared, judged = await self._judged(judge, last)
        exceptions = judged.proposal.exceptions if isinstance(said, Unsaid) else said
        await self._take(home.genesis, at, last, prepared, exceptions)
        judge.accept(judged)

    async def _anew(self, judge: Judge, home: IdLog, last: int) -> None:
        """A chunk that home does not know: it keeps the verdicts, as of a range that is closed at once."""
        at = judge.position
        prepared, judged = await self._judged(judge, last)
        await self._keep(replace(home, position=at), judged)
        await self._take(home.genesis, at, last, prepared, judged.proposal.exceptions)
        judge.accept(judged)

    async def _judged(self, judge: Judge, last: int) -> tuple[P | None, Judged]:
        batch = await self.source.read(judge.position, last)
        if batch is None:
            return None, judge.skip(last)
        prepared = self.work.prepare(batch)
        return prepared, judge.judge(self.work.facts(prepared), last)

    async def _keep(self, home: IdLog, judged: Judged) -> None:
        """Home takes the range and closes it; if we die in between, its repeat says `recovered`."""
        last = judged.proposal.last
        asked = Begin(-1, judged.proposal, home.position, home.genesis, self.config, self.token, tail=last)
        reply = await self.store.begin(self.tp, asked)
        if not (isinstance(reply, Open) and reply.mine):
            raise stops.at_work(self.tp)
        await self._close(last)

    async def _take(self, genesis: int, at: int, last: int, prepared: P | None, exceptions: Exceptions) -> None:
        """Each shard takes of the chunk what it lacks."""
        for shard in range(self.store.shards):
            first = at
            while first <= last:
                nothing = ShardCall(shard, (), (), ())
                call = nothing if prepared is None else self.work.calls(prepared, exceptions, first)[shard]
                (reply,) = await self.store.apply(self.tp, genesis, first, last, self.token, [call], catchup=True)
                if isinstance(reply, Applied):
                    break
                if isinstance(reply, Rebind):
                    raise stops.rebind(self.tp, reply.known)
                if reply.position < at:
                    raise stops.at_work(self.tp)
                first = reply.position


def _before(home: IdLog) -> IdLog:
    """The ids that a rebase put before genesis: a judge that begins there must know them."""
    entries = decode_ids(home.blobs)
    entries = entries[entries["offset"] < home.genesis]
    return IdLog(home.genesis, home.genesis, int(entries["clock_s"].max(initial=0)), [encode_ids(entries)])
