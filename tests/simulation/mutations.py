"""The protocol with one rule left out, by name. Each must make some schedule fail, or the simulation proves nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from streams.protocol.memory import Held, Home, MemoryStore, Shard
from streams.protocol.ports import Begin, BeginReply, Proposal, Standing, Swap, Tp
from streams.protocol.safety import MUTATIONS as CHAOS
from streams.protocol.safety import SAFE, Safety
from tests.simulation.stores import Make


class NoFrom(MemoryStore):
    """begin takes whatever a worker offers, wherever it starts."""

    async def begin(self, tp: Tp, asked: Begin) -> BeginReply:
        homes, key = self._home_shard(tp).homes, (tp.topic, tp.partition)
        home = homes.get(key)
        free = home is not None and (home.open is None or asked.published >= home.open.last)
        offered = asked.at if asked.proposal is not None else None
        if home is not None and free and offered is not None and home.topic_id == tp.topic_id:
            homes[key] = replace(home, open=None, position=offered)
        return await super().begin(tp, asked)


class NoGenesis(MemoryStore):
    """A shard that has nothing takes any range as its first."""

    def _newcomer(self, tp: Tp, genesis: int, first: int) -> Held:
        return Held(tp.topic_id, genesis, first)


class NoContentGuard(MemoryStore):
    """Compaction by length: the bag is long enough, so it is the same."""

    def _same_prefix(self, bag: bytes, prefix: bytes) -> bool:
        return len(bag) >= len(prefix)


class NoStampGuard(MemoryStore):
    """Compaction takes stamps whose number may be asked for again."""

    def _asked_again(self, shard: Shard, swap: Swap) -> bool:  # noqa: ARG002
        return False


class HomeRewound(MemoryStore):
    """LEARN takes home back to the lowest position of any shard and drops the open range."""

    async def begin(self, tp: Tp, asked: Begin) -> BeginReply:
        homes, key = self._home_shard(tp).homes, (tp.topic, tp.partition)
        home = homes.get(key)
        if asked.proposal is None and home is not None and home.topic_id == tp.topic_id:
            homes[key] = self._rewound(home, await self.where(tp))
        return await super().begin(tp, asked)

    def _rewound(self, home: Home, standings: Sequence[Standing | None]) -> Home:
        positions = [s.position for s in standings if s is not None]
        lowest = min(positions, default=home.position)
        return replace(home, position=lowest, open=None) if lowest != home.position or home.open else home


class IdsTrimmedAtOnce(MemoryStore):
    """The id log forgets its oldest blob at every range, so memory decides what is a duplicate."""

    def _opened(self, home: Home, proposal: Proposal, config: str, token: bytes, tail: int) -> Home:
        opened = super()._opened(home, proposal, config, token, tail)
        return replace(opened, ids=opened.ids[-2:])


@dataclass(frozen=True, slots=True)
class Mutation:
    store: Make = MemoryStore
    safety: Safety = SAFE
    fence_first: bool = True  # exactly-once: init_transactions before the committed offset is read


NONE = Mutation()

MUTATIONS: dict[str, Mutation] = {
    "no-from": Mutation(NoFrom),
    "no-genesis": Mutation(NoGenesis),
    "no-content-guard": Mutation(NoContentGuard),
    "no-stamp-guard": Mutation(NoStampGuard),
    "row-last": Mutation(safety=Safety(row_first=False)),
    "no-second-look": Mutation(safety=Safety(again=False)),
    "home-rewound": Mutation(HomeRewound),
    "ids-trimmed": Mutation(IdsTrimmedAtOnce),
    "offset-before-fence": Mutation(fence_first=False),
    **{name: Mutation(safety=safety) for name, safety in CHAOS.items()},
}
