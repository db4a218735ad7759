"""The board: what has been seen of the stream so far, added up record by record.

It reads what any consumer could read: decisions, anomalies, dead letters, and the rows of `applied`, which say how many
events the workers took and what became of those that were not fresh. What was sent it is told by the sender, the truth
about an order too, since a simulated shop knows it. Records that come twice are counted once.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from schemas.decisions import Anomaly, Decision, ReasonCode, decode_applied
from schemas.topics import DEAD_LETTERS, WRITTEN_INPUTS
from streams.data.consume import Read

RATE_OVER_S = 5.0
LATENCIES = 20_000  # the latest; two percentiles of them are shown
ALERTS = 200

_DECISION = msgspec.json.Decoder(Decision)
_ANOMALY = msgspec.json.Decoder(Anomaly)


@dataclass(frozen=True, slots=True)
class Alert:
    """An order that is not simply allowed, or an unusual session, with the reasons in words."""

    at_ms: int  # when it was published
    what: str  # block, review or the anomaly's kind
    subject: str  # the order's or the session's id
    score: float | None
    reasons: tuple[str, ...]


@dataclass(slots=True)
class _Awaited:
    truth: str
    sent_ms: int


@dataclass(slots=True)
class Board:
    """Counts from the beginning; times are seconds of the caller's clock."""

    sent: Counter[str] = field(default_factory=Counter)  # topic -> records
    consumed: Counter[str] = field(default_factory=Counter)  # topic -> offsets that workers are done with
    verdicts: Counter[str] = field(default_factory=Counter)  # of records that were not fresh
    actions: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    anomalies: Counter[str] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)  # dead letters by topic
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)  # (truth, action) -> orders
    alerts: deque[Alert] = field(default_factory=lambda: deque(maxlen=ALERTS))
    first_decision_ms: int | None = None
    _awaited: dict[str, _Awaited] = field(default_factory=dict)  # order id
    _told: set[str] = field(default_factory=set)  # ids of anomalies
    _upto: dict[tuple[str, int], int] = field(default_factory=dict)
    _latencies_ms: deque[int] = field(default_factory=lambda: deque(maxlen=LATENCIES))
    _rate: deque[tuple[float, int]] = field(default_factory=deque)

    def sends(self, topic: str, order_id: str | None, truth: str, sent_ms: int) -> None:
        """A record is on its way; `order_id` where a decision on it is awaited: an order, and no copy of one."""
        self.sent[topic] += 1
        if order_id is not None and topic == "orders":
            self._awaited[order_id] = _Awaited(truth, sent_ms)

    def reads(self, records: Iterable[Read]) -> list[Alert]:
        """Takes records of any of the topics and returns the alerts among them."""
        alerts: list[Alert] = []
        for record in records:
            if record.topic == "fraud":
                alerts += self._decision(record)
            elif record.topic == "anomalies":
                alerts += self._anomaly(record)
            elif record.topic == "applied":
                self._row(record)
            elif record.topic.endswith(DEAD_LETTERS):
                self.dead[record.topic] += 1
        self.alerts.extend(alerts)
        return alerts

    def _decision(self, record: Read) -> list[Alert]:
        decision = _DECISION.decode(record.value or b"")
        awaited = self._awaited.pop(decision.order_id, None)
        if awaited is None:  # published twice, or not of this run
            return []
        self.actions[decision.action] += 1
        self.rules.update(decision.rules)
        self.outcomes[awaited.truth, decision.action] += 1
        if self.first_decision_ms is None:
            self.first_decision_ms = record.timestamp
        elif awaited.sent_ms >= self.first_decision_ms:  # what waited for the first worker to come up says nothing
            self._latencies_ms.append(record.timestamp - awaited.sent_ms)
        if decision.action == "allow":
            return []
        reasons = _in_words(decision.reasons)
        return [Alert(record.timestamp, decision.action, decision.order_id, decision.score, reasons)]

    def _anomaly(self, record: Read) -> list[Alert]:
        anomaly = _ANOMALY.decode(record.value or b"")
        if anomaly.anomaly_id in self._told:  # by another topic of the session, or another owner
            return []
        self._told.add(anomaly.anomaly_id)
        self.anomalies[anomaly.kind] += 1
        subject = anomaly.session_id or anomaly.event_id
        return [Alert(record.timestamp, anomaly.kind, subject, None, _in_words(anomaly.reasons))]

    def _row(self, record: Read) -> None:
        row = decode_applied(record.value or b"")
        place = (row.topic, row.partition)
        if row.topic in WRITTEN_INPUTS or row.last <= self._upto.get(place, -1):
            return  # what workers tell each other was sent by nobody; a range may be published twice
        self._upto[place] = row.last
        self.consumed[row.topic] += row.last - row.first + 1
        self.verdicts.update({verdict: len(offsets) for verdict, offsets in row.exceptions.items()})

    @property
    def decided(self) -> int:
        return self.actions.total()

    @property
    def settled(self) -> bool:
        """Whether the workers are done with all that was sent, and every order of it has been seen decided."""
        return self.consumed.total() >= self.sent.total() and not self._awaited

    def rate(self, now_s: float) -> float:
        """Events a second that the workers took lately; call it often."""
        self._rate.append((now_s, self.consumed.total()))
        while len(self._rate) > 1 and now_s - self._rate[0][0] > RATE_OVER_S:
            self._rate.popleft()
        (first_s, first), (last_s, last) = self._rate[0], self._rate[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else 0.0

    def latency_ms(self) -> tuple[float, float] | None:
        """Median and 99th percentile from an order's sending to its decision; None before the first live one."""
        if not self._latencies_ms:
            return None
        half, most = np.percentile(np.fromiter(self._latencies_ms, float), (50, 99))
        return float(half), float(most)


def _in_words(reasons: Sequence[ReasonCode]) -> tuple[str, ...]:
    return tuple(reason.text for reason in reasons)
