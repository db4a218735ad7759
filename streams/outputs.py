"""What a range publishes, as records: decisions and their log, anomalies, a user's own outputs, dead letters.

Nothing of the wall clock or of this process goes into a value, so a range that is done again gives the same bytes. A
session rule that holds once tends to hold for every later event of the session: an anomaly is written for the first
event only, as far as the owner of the partition remembers (its last 100,000 sessions). That saves records and decides
nothing: another topic of the same session, or another owner, writes it again under the same id.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from features.columns import Columns, Ints
from features.definitions import Outputs, Scored
from features.join import Made
from features.text import json_rows
from models.decide import Decided, Unusual
from models.shadow import PREFIX, Shadowed
from schemas.cloudevents import headers_each
from schemas.deadletters import headers_of
from schemas.decisions import (
    Anomaly,
    Decision,
    DecisionLog,
    Model,
    Thresholds,
    anomaly_id,
    encode_each,
)
from schemas.decode import Decoded, Fault
from schemas.decode import Reason as DeadReason
from schemas.ids import decision_id
from schemas.records import Record
from schemas.sessions import SESSIONS, SessionVector
from schemas.topics import dead_letters_of
from schemas.tracing import TRACEPARENT
from streams.configuration import Configuration
from streams.protocol.ports import Exceptions, Tp, Verdict
from streams.transport.output import Headers, Output

Floats2d = npt.NDArray[np.float64]
Traces = Sequence[bytes | None] | None
REMEMBERED_SESSIONS = 100_000
ALWAYS = 2**63 - 1  # as the offset of a record: exactly-once never takes it for one that was committed long ago
OF_VERDICT = {
    Verdict.CONFLICT: Fault(DeadReason.CONFLICTING_ID, "$.event_id", "another record of this id had another payload"),
    Verdict.TOO_LATE: Fault(DeadReason.TOO_LATE, "$.event_time", "older than the longest window beside its record"),
    Verdict.FUTURE: Fault(DeadReason.FUTURE, "$.event_time", "ahead of its record by more than the tolerance"),
}
UNREAD = Fault(DeadReason.UNKNOWN_SCHEMA, "$", "nobody could read it when its range was begun: `headrace dlq redrive`")
_NO_SCORES = np.zeros(0)
_NO_TIMES = np.zeros(0, np.int64)


@dataclass(slots=True)
class RangeOutputs:
    """The records of a range, with what the metrics want to know of them."""

    record_ms: Ints  # of the fresh events
    records: list[Output] = field(default_factory=list)
    scores: npt.NDArray[np.float64] = field(default_factory=lambda: _NO_SCORES)
    actions: Counter[str] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    decided: int = 0
    joined: Counter[str] = field(default_factory=Counter)  # of the records that meet others, by `found`
    event_ms: Ints = field(default_factory=lambda: _NO_TIMES)  # of the fresh events, where features tell how fresh
    late: int = 0  # fresh events that came over a minute behind their record's timestamp
    recovered: bool = False


class Writer:
    """Turns what was decided of one partition into records."""

    def __init__(
        self,
        tp: Tp,
        *,
        same_partitions: bool,
        feature_hash: str,
        declared: Collection[str] = (),
        written: set[str] | None = None,
        cloudevents: bool = True,
    ) -> None:
        """`same_partitions`: the output topics have as many partitions as the input, so keys land on the same one.

        That is known of our own topics and of those `declared` by an adapter's flow. `written` is told every topic that
        the adapter names. `cloudevents`: what others read gets the headers of schemas/cloudevents.py.
        """
        self.tp = tp
        self.partition = tp.partition if same_partitions else None
        self.feature_hash = feature_hash
        self.declared = declared
        self.cloudevents = cloudevents
        self.written = set[str]() if written is None else written
        self.seen: OrderedDict[tuple[str, str], int] = OrderedDict()  # (session, rule) -> offset of the first anomaly

    def decisions(
        self,
        out: RangeOutputs,
        columns: Columns,
        rows: Floats2d,
        keys: Sequence[bytes | None],
        offset: Ints,
        configuration: Configuration,
        recovered: bool,
        traces: Traces = None,
    ) -> Mapping[str, str]:
        """`fraud` and `decisions`: one record each for every fresh order. Returns why challengers gave no score.

        `traces` (n,): the trace that each order belongs to, for the header of its decision (schemas/tracing.py).
        """
        decided = configuration.decider.decide(rows)
        shadowed = configuration.shadow.score(rows)
        out.scores = _NO_SCORES if decided.score is None else decided.score
        out.actions.update(decided.action)
        out.decided, out.recovered = out.decided + columns.n, recovered
        made = decisions_of(columns, decided, configuration, self.feature_hash, recovered=recovered)
        members = _members(decided, shadowed, columns.n)
        logs = self._logs(columns, made, rows, offset, configuration, members)
        headers = self._headers("fraud", [one.decision_id for one in made], [one.event_time for one in made], traces)
        self._records(out, "fraud", keys, encode_each(made), offset.tolist(), headers)
        self._records(out, "decisions", keys, encode_each(logs), offset.tolist())
        return shadowed.failed

    def _logs(
        self,
        columns: Columns,
        made: Sequence[Decision],
        rows: Floats2d,
        offset: Ints,
        configuration: Configuration,
        members: Sequence[dict[str, float]],
    ) -> list[DecisionLog]:
        thresholds = Thresholds(configuration.rules.review_at, configuration.rules.block_at)
        return [
            DecisionLog(
                one.decision_id,
                one.order_id,
                one.event_id,
                self.tp.topic,
                self.tp.partition,
                at,
                at_ms,
                amount_minor,
                vector,
                said,
                one.score,
                one.action,
                one.rules,
                thresholds,
                one.model,
                one.config,
                one.feature_hash,
                one.recovered,
            )
            for one, vector, at, at_ms, amount_minor, said in zip(
                made,
                json_rows(rows),
                offset.tolist(),
                columns.at_ms.tolist(),
                columns.amount.tolist(),
                members,
                strict=True,
            )
        ]

    def anomalies(
        self,
        out: RangeOutputs,
        columns: Columns,
        unusual: Sequence[Unusual],
        keys: Sequence[bytes | None],
        offset: Ints,
        config: str,
        recovered: bool,
        traces: Traces = None,
    ) -> None:
        """`anomalies`: the first event of each session that a rule, or the model of sessions, objects to."""
        offsets = offset.tolist()
        news = [found for found in unusual if self._is_first(columns.events[found.row], found, offsets[found.row])]
        made = [_anomaly(columns.events[a.row], a, config, recovered) for a in news]
        traced = None if traces is None else [traces[a.row] for a in news]
        headers = self._headers("anomalies", [one.anomaly_id for one in made], [one.event_time for one in made], traced)
        at = [offsets[a.row] for a in news]
        self._records(out, "anomalies", [keys[a.row] for a in news], encode_each(made), at, headers)

    def sessions(self, out: RangeOutputs, found: Sequence[SessionVector]) -> None:
        """`sessions`, which has one partition: sessions that have come to a milestone."""
        out.records += [
            Output(SESSIONS, one.session_id.encode(), value, (), one.offset, 0)
            for one, value in zip(found, encode_each(found), strict=True)
        ]

    def _is_first(self, event: Any, found: Unusual, offset: int) -> bool:
        """Whether this event is the first of its session that the rule holds for; asked again of it, still True."""
        key = (_subject(event), found.rule)
        first = self.seen.setdefault(key, offset)
        self.seen.move_to_end(key)
        if len(self.seen) > REMEMBERED_SESSIONS:
            self.seen.popitem(last=False)
        if offset < first:  # the partition went back: what is known of later events is void
            self.seen[key] = first = offset
        return first == offset

    def adapted(self, out: RangeOutputs, scored: Scored, adapted: Sequence[Outputs]) -> None:
        """What a user's own adapter made of a range."""
        out.scores, out.decided = scored.scores, out.decided + scored.columns.n
        for made in adapted:
            self.written.add(made.topic)
            partition = self.partition if made.topic in self.declared else None
            out.records += [
                Output(made.topic, key, value, (), offset, partition if key is mine is not None else None)
                for key, value, offset, mine in zip(
                    made.keys,
                    made.values,
                    scored.offset[made.event].tolist(),
                    [scored.keys[place] for place in made.event.tolist()],
                    strict=True,
                )
            ]

    def joined(self, out: RangeOutputs, topic: str, made: Sequence[Made]) -> None:
        """What followed where flows meet. A range that is done again may say it, whatever was committed before."""
        out.records += [Output(topic, one.key, one.value, (), ALWAYS) for one in made]

    def dead_letters(
        self, out: RangeOutputs, records: Sequence[Record], decoded: Decoded, exceptions: Exceptions
    ) -> None:
        """`<topic>.dlq`: key, value and headers as they came, and why."""
        if not exceptions:
            return
        topic = dead_letters_of(self.tp.topic)
        for place, record in enumerate(records):
            verdict = exceptions.get(record.offset)
            if verdict is None or verdict == Verdict.DUPLICATE:
                continue
            fault = decoded.faults.get(place, UNREAD) if verdict == Verdict.DEAD else OF_VERDICT[verdict]
            out.dead[fault.reason] += 1
            headers = headers_of(
                fault, self.tp.topic, self.tp.partition, record.offset, record.timestamp, record.headers
            )
            out.records.append(Output(topic, record.key, record.value, headers, record.offset))

    def _records(
        self,
        out: RangeOutputs,
        topic: str,
        keys: Sequence[bytes | None],
        values: Sequence[bytes],
        offsets: Sequence[int],
        headers: Sequence[Headers] | None = None,
    ) -> None:
        partition = self.partition
        out.records += [
            Output(topic, key, value, said, offset, None if key is None else partition)
            for key, value, said, offset in zip(keys, values, headers or repeat((), len(keys)), offsets, strict=True)
        ]

    def _headers(
        self, topic: str, ids: Sequence[str], times: Sequence[str], traces: Traces
    ) -> Sequence[Headers] | None:
        said: Sequence[Headers] | None = headers_each(topic, ids, times) if self.cloudevents else None
        if traces is None:
            return said
        own = [() if trace is None else ((TRACEPARENT, trace),) for trace in traces]
        return own if said is None else [(*one, *trace) for one, trace in zip(said, own, strict=True)]


def decisions_of(
    columns: Columns, decided: Decided, configuration: Configuration, feature_hash: str, *, recovered: bool = False
) -> list[Decision]:
    """What is published of each order."""
    model = Model(configuration.model_name, configuration.model_version)
    version = configuration.rules.fingerprint
    scores = [0.0] * columns.n if decided.score is None else decided.score.tolist()
    return [
        Decision(  # in the order of its fields: by their names it takes five times as long
            decision_id(event.event_id),
            event.order_id,
            event.event_id,
            event.user_id,
            event.event_time,
            score,
            action,
            reasons,
            rules,
            model,
            configuration.id,
            feature_hash,
            recovered,
            event.visitor_id,
            version,
        )
        for event, score, action, reasons, rules in zip(
            columns.events, scores, decided.action, decided.reasons, decided.rules, strict=True
        )
    ]


def _members(decided: Decided, shadowed: Shadowed, n: int) -> list[dict[str, float]]:
    """(n,) what each model said of an order, by its name."""
    said = {**decided.members, **{PREFIX + label: score for label, score in shadowed.scores.items()}}
    names = tuple(said)
    if len(names) == 1:  # as a rule; a dict(zip()) of one takes three times as long
        (name,) = names
        return [{name: score} for score in said[name].tolist()]
    if not names:
        return [{} for _ in range(n)]
    return [
        dict(zip(names, row, strict=True)) for row in zip(*(score.tolist() for score in said.values()), strict=True)
    ]


def _subject(event: Any) -> str:
    """Whom a session rule objects to: the session, or the event itself where it belongs to none."""
    subject: str = event.session_id or event.event_id
    return subject


def _anomaly(event: Any, found: Unusual, config: str, recovered: bool) -> Anomaly:
    return Anomaly(
        anomaly_id=anomaly_id(_subject(event), found.rule),
        kind=found.rule,
        event_id=event.event_id,
        event_type=event.__struct_config__.tag,
        event_time=event.event_time,
        user_id=event.user_id,
        visitor_id=event.visitor_id,
        session_id=event.session_id,
        reasons=found.reasons,
        config=config,
        recovered=recovered,
    )
