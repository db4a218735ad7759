"""What a range means: bytes -> events -> entries -> bags -> vectors -> decisions -> bytes, for one input topic.

The protocol's driver calls these in its own order, some of them more than once for the same range; each is a pure
function of its arguments (but for the stage times and failed challengers that it notes), so a range that is done again
gives the same bytes. All of it works on columns: per event there is the decoded struct, its ids, and nothing else.

    prepare   decode and check           facts     what the judge must know
    calls     entries for each shard     decide    fold, score, rules, encode
                                         compact   bags over their cap, folded into tiles
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import numpy.typing as npt

from features.columns import Floats, Ints
from features.definitions import Definitions, Flow, Scored
from features.join import Join, Made, news
from models.decide import unusual_sessions
from schemas.decode import Decoded
from schemas.ids import hashes64, payload_hashes
from schemas.records import Record
from schemas.tracing import traces_of
from streams.configuration import Configuration
from streams.configurations import Configurations
from streams.growth import Growth
from streams.outputs import RangeOutputs, Writer
from streams.protocol.ports import Batch, Exceptions, Facts, Open, ShardBags, ShardCall, Stop, Swap, Tp
from streams.sessions import Reached, reached
from streams.swaps import swaps_of
from streams.touched import Met, Plan, folded_by, met_by, plan_of

LATE_MS = 60_000  # counted as late, and scored all the same


@dataclass(slots=True)
class Prepared:
    """A batch, decoded once. `plan` is kept from one call of the protocol to the next."""

    batch: Batch[Record]
    decoded: Decoded
    offset: Ints  # (n,)
    record_ms: Ints  # (n,)
    values: list[bytes | None]
    plan: Plan | None = None
    stages: dict[str, float] = field(default_factory=dict)  # seconds spent, by stage


class RangeWork:
    """The work of one partition's ranges, by the definitions of its topic."""

    def __init__(
        self,
        tp: Tp,
        flow: Flow,
        definitions: Definitions,
        shards: int,
        configurations: Configurations,
        writer: Writer,
        growth: Growth | None = None,
    ) -> None:
        """`growth` None: bags are never folded, as while the state is rebuilt."""
        self.tp, self.flow, self.definitions, self.shards = tp, flow, definitions, shards
        self.configurations, self.writer = configurations, writer
        session = definitions.session
        reads_sessions = session is not None and set(session.groups) <= set(flow.groups)
        self.session = session if reads_sessions and not flow.scored else None
        self.joins = flow.join is not None
        self.growth = growth

    def prepare(self, batch: Batch[Record]) -> Prepared:
        """Decodes the values; a bad record is a fault in `decoded`."""
        started = perf_counter()
        records = batch.records
        n = len(records)
        values = [record.value for record in records]
        offset = np.fromiter([record.offset for record in records], np.int64, n)
        record_ms = np.fromiter([record.timestamp for record in records], np.int64, n)
        prepared = Prepared(batch, self.flow.decode(values), offset, record_ms, values)
        prepared.stages["decode"] = perf_counter() - started
        return prepared

    def facts(self, prepared: Prepared) -> Facts:
        """Ids and payloads as hashes, times as they are."""
        decoded, n = prepared.decoded, len(prepared.values)
        dead = np.zeros(n, np.bool_)
        dead[list(decoded.faults)] = True
        good = decoded.events if not decoded.faults else [event for event in decoded.events if event is not None]
        event_id = np.zeros(n, np.uint64)
        event_id[~dead] = hashes64(self.flow.identify(good))
        if self.flow.ours:
            return Facts(
                prepared.offset, prepared.record_ms, prepared.record_ms, event_id, np.zeros(n, np.uint32), dead
            )
        payload = payload_hashes(value or b"" for value in prepared.values)
        return Facts(prepared.offset, prepared.record_ms, decoded.at_ms, event_id, payload, dead)

    async def ready(self, config: str) -> bool:
        """Loads the configuration that a range was begun with, if another worker's; whether all of it is there."""
        return await self.configurations.ready(config)

    def calls(self, prepared: Prepared, exceptions: Exceptions, since: int) -> Sequence[ShardCall]:
        """One call per shard with the entries of the fresh events at offsets >= `since`."""
        started = perf_counter()
        plan = self._plan(prepared, exceptions, since)
        prepared.stages["entries"] = perf_counter() - started
        return plan.spread.calls

    def decide(self, prepared: Prepared, range_: Open, bags: Sequence[ShardBags], recovered: bool) -> RangeOutputs:
        """Folds, scores by the range's own configuration, and writes what the range publishes."""
        plan = self._plan(prepared, range_.exceptions, range_.first)
        outputs = RangeOutputs(prepared.record_ms[plan.fresh])
        if not self.flow.ours:
            outputs.event_ms = plan.columns.at_ms
            outputs.late = int((outputs.record_ms - plan.columns.at_ms > LATE_MS).sum())
        self.writer.dead_letters(outputs, prepared.batch.records, prepared.decoded, range_.exceptions)
        if plan.columns.n and (self.flow.scored or self.session):
            started = perf_counter()
            folded = folded_by(plan, bags, (self.session or self.definitions.vector).groups)
            folded_at = perf_counter()
            self._write(outputs, prepared, plan, folded, self.configurations[range_.config], recovered)
            prepared.stages["fold"] = folded_at - started
            prepared.stages["score"] = perf_counter() - folded_at
        if plan.joined is not None:
            self._meet(outputs, plan.joined.join, met_by(plan, plan.joined, bags))
        return outputs

    def again(
        self, prepared: Prepared, exceptions: Exceptions, first: int, bags: Sequence[ShardBags]
    ) -> RangeOutputs | None:
        """What follows where flows meet from the bags as they are now; None where nothing does.

        Of shards that were not asked `bags` holds None for each bag.
        """
        plan = self._plan(prepared, exceptions, first)
        outputs = RangeOutputs(prepared.record_ms[plan.fresh])
        if plan.joined is not None:
            found = [met for met in met_by(plan, plan.joined, bags) if met.bag is not None]
            self._meet(outputs, plan.joined.join, found)
        return outputs if outputs.records else None

    def _meet(self, outputs: RangeOutputs, join: Join, found: Sequence[Met]) -> None:
        """Publishes what follows from each bag. One that only this range's single record is in asks for nothing."""
        made: list[Made] = []
        for met in found:
            if met.bag is not None or len(met.records) > 1:
                number, whole = met.number, met.whole
                made += news(join.meeting, met.entity, met.bag, number, met.records, whole=whole)
        alone = sum([met.bag is None for met in found])
        outputs.joined.update({"nothing": alone, "others": len(found) - alone})
        self.writer.joined(outputs, join.meeting.topic, made)

    def compact(self, prepared: Prepared, bags: Sequence[ShardBags]) -> Sequence[Swap]:
        """Replacements for the bags of the range that have grown over their cap."""
        if prepared.plan is None or self.growth is None:
            return ()
        started = perf_counter()
        swaps = swaps_of(prepared.plan, bags, self.growth, len(prepared.values), self.shards)
        prepared.stages["compact"] = perf_counter() - started
        return swaps

    def _plan(self, prepared: Prepared, exceptions: Exceptions, since: int) -> Plan:
        """The plan of these exceptions: kept, or made anew where the entries start elsewhere than before."""
        kept = prepared.plan
        if kept is not None and kept.exceptions == exceptions and since <= prepared.batch.first:
            return kept
        if prepared.decoded.faults:
            self._check_readable(prepared, exceptions)
        plan = plan_of(self.flow, self.shards, prepared.decoded, prepared.offset, exceptions, since)
        if since <= prepared.batch.first:
            prepared.plan = plan
        return plan

    def _check_readable(self, prepared: Prepared, exceptions: Exceptions) -> None:
        """What was fresh when its range was begun must be read now too: else a schema is gone, or nobody is asked."""
        for place, fault in prepared.decoded.faults.items():
            if (offset := int(prepared.offset[place])) not in exceptions:
                raise Stop(
                    f"{self.tp} offset {offset} was taken by a worker that could read it, and is {fault.reason} here "
                    f"({fault.detail}): give all workers the same HEADRACE_SCHEMA_REGISTRY__URL, and it its schemas"
                )

    def _write(
        self,
        outputs: RangeOutputs,
        prepared: Prepared,
        plan: Plan,
        folded: Mapping[str, npt.NDArray[np.float64]],
        configuration: Configuration,
        recovered: bool,
    ) -> None:
        records = prepared.batch.records
        fresh = [records[place] for place in plan.fresh.tolist()]
        keys = [record.key for record in fresh]
        if self.session is not None:
            rows = self.session.rows(plan.columns, folded)
            unusual = unusual_sessions(configuration.rules, self.session.names, rows)
            found = self._reached(plan, rows, configuration)
            if found is not None:
                unusual = sorted([*unusual, *found.unusual], key=lambda one: one.row)  # stable: rules first
                self.writer.sessions(
                    outputs, found.records(self.tp, plan.columns, plan.offset, configuration.id, recovered=recovered)
                )
            traces = traces_of(fresh) if unusual else None
            self.writer.anomalies(
                outputs, plan.columns, unusual, keys, plan.offset, configuration.id, recovered, traces
            )
            return
        rows = self.definitions.vector.rows(plan.columns, folded)
        if self.flow.outputs is None:
            failed = self.writer.decisions(
                outputs, plan.columns, rows, keys, plan.offset, configuration, recovered, traces_of(fresh)
            )
            self.configurations.note(failed)
            return
        scores = self._scores(rows, configuration)
        scored = Scored(plan.columns, folded, rows, scores, keys, plan.offset)
        self.writer.adapted(outputs, scored, self.flow.outputs(scored))

    def _reached(self, plan: Plan, rows: npt.NDArray[np.float64], configuration: Configuration) -> Reached | None:
        """The sessions that have come to a milestone; None where there are none."""
        if self.session is None or self.definitions.milestones is None:
            return None
        return reached(plan.columns, rows, self.session, self.definitions.milestones, configuration)

    def _scores(self, rows: npt.NDArray[np.float64], configuration: Configuration) -> Floats:
        if self.definitions.score is not None:
            return self.definitions.score(rows)
        decided = configuration.decider.decide(rows)
        return np.zeros(len(rows)) if decided.score is None else decided.score
