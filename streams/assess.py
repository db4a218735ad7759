"""An order assessed: the vector that it would have if it came now, and what would be decided. Nothing is written.

    body -> decoded -> bags of its entities, read -> folded with the order itself -> rules and models -> a decision

The same code as a worker's on the same bags, so the answer is what a worker would publish if the order were the next
to come. Two things only a worker does: an order that was decided before is a duplicate to it, and counts twice here;
and what is on its way in other partitions it may see first. Orders asked about at the same moment share a round trip
and a fold, and none sees another: half of what one costs alone. The price: they wait for the longest of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from features.columns import Columns, Floats
from features.compact import ALL
from features.definitions import Definitions, Flow
from features.vector import Vector
from schemas.decisions import Decision
from schemas.decode import Fault
from streams.configuration import Configuration
from streams.outputs import decisions_of
from streams.protocol.ports import ShardBags
from streams.stores.valkey import ValkeyStore
from streams.together import Together
from streams.touched import folded_by, plan_apart


class RefusedError(ValueError):
    """The order would be a dead letter."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Assessed:
    """`decision` as it would be published, `vector` what it was made of, by column."""

    decision: Decision
    vector: Mapping[str, float]
    members: Mapping[str, float]


class _Asked(NamedTuple):
    body: bytes
    configuration: Configuration


class Assessor:
    """For definitions that decide orders: those with rules and models, not with an adapter of their own."""

    def __init__(self, definitions: Definitions, store: ValkeyStore) -> None:
        self._definitions, self._store = definitions, store
        self._together = Together(self._each)

    @property
    def flow(self) -> Flow | None:
        """The flow whose events are decided; None where none is."""
        return next((flow for flow in self._definitions.flows if flow.scored and flow.outputs is None), None)

    async def assess(self, body: bytes, configuration: Configuration) -> Assessed:
        """`body` is a record's value. Raises RefusedError, StoreDown."""
        (found,) = await self._together([_Asked(body, configuration)])
        if isinstance(found, Fault):
            raise RefusedError(found)
        return found

    async def _each(self, asked: Sequence[_Asked]) -> Sequence[Assessed | Fault]:
        flow, vector = self.flow, self._definitions.vector
        assert flow is not None
        decoded = flow.decode([one.body for one in asked])
        good = [place for place in range(len(asked)) if place not in decoded.faults]
        found: dict[int, Assessed | Fault] = dict(decoded.faults)
        if good:
            plan = plan_apart(flow, self._store.shards, [decoded.events[place] for place in good], decoded.at_ms[good])
            bags = [ShardBags(ALL, read) for read in await self._store.read(plan.spread.calls)]
            rows: Floats = vector.rows(plan.columns, folded_by(plan, bags, vector.groups))
            decided = _decided(plan.columns, rows, [asked[place].configuration for place in good], vector)
            found |= zip(good, decided, strict=True)
        return [found[place] for place in range(len(asked))]


def _decided(
    columns: Columns, rows: Floats, configurations: Sequence[Configuration], vector: Vector
) -> Iterator[Assessed]:
    """Each order by the configuration that it was asked under: mostly the same for all."""
    by_id = {one.id: one for one in configurations}
    decided = {id_: one.decider.decide(rows) for id_, one in by_id.items()}
    decisions = {id_: decisions_of(columns, decided[id_], one, vector.hash) for id_, one in by_id.items()}
    for place, one in enumerate(configurations):
        members = {name: float(scores[place]) for name, scores in decided[one.id].members.items()}
        named = dict(zip(vector.names, rows[place].tolist(), strict=True))
        yield Assessed(decisions[one.id][place], named, members)
