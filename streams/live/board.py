"""The board: what has been seen of the stream so far, added up record by record.

It reads what any consumer could read: decisions, anomalies, dead letters, and the rows of `applied`, which say how many
events the workers took and what became of those that were not fresh. What was sent it is told by the sender, the truth
about an order too, since a simulated shop knows it. Records that come twice are counted once. The price: 200 bytes for
every order of the run, to know a second decision from a first.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np

from schemas.decisions import Anomaly, Decision, ReasonCode, decode_applied
from schemas.topics import DEAD_LETTERS, WRITTEN_INPUTS, dead_letters_of
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


@dataclass(frozen=True, slots=True)
class Balance:
    """Does it add up? `sent` is what the sender counted, the rest is read from the topics.

    `twice`: orders decided a second time with other bytes. `repeated`: the same bytes again, which readers drop by id.
    """

    sent: int
    decided: int
    copies: int  # the same event again: dropped
    dead: int  # in the dead-letter topic, each record once
    on_the_way: int  # no worker is done with them yet
    twice: int
    repeated: int

    @property
    def holds(self) -> bool:
        return self.sent == self.decided + self.copies + self.dead + self.on_the_way and not self.twice


@dataclass(slots=True)
class _Awaited:
    truth: str
    sent_ms: int


class _Decided(NamedTuple):
    action: str
    content: int  # hash of its bytes


@dataclass(slots=True)
class Board:
    """Counts from the beginning; times are seconds of the caller's clock."""

    sent: Counter[str] = field(default_factory=Counter)  # topic -> records
    consumed: Counter[str] = field(default_factory=Counter)  # topic -> offsets that workers are done with
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)  # (topic, verdict) of what was not fresh
    actions: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    anomalies: Counter[str] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)  # dead letters by topic
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)  # (truth, action) -> orders
    alerts: deque[Alert] = field(default_factory=lambda: deque(maxlen=ALERTS))
    twice: int = 0  # decisions of an order that had another one
    repeated: int = 0  # decisions published again, with the same bytes
    first_decision_ms: int | None = None
    _decided: dict[str, _Decided] = field(default_factory=dict)  # order id
    _dead: set[tuple[str, str, str]] = field(default_factory=set)  # topic, and where in it the refused record stands
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
                self._dead_letter(record)
        self.alerts.extend(alerts)
        return alerts

    def _decision(self, record: Read) -> list[Alert]:
        decision = _DECISION.decode(record.value or b"")
        awaited = self._awaited.pop(decision.order_id, None)
        if awaited is None:
            self._again(decision, record)
            return []
        self._decided[decision.order_id] = _Decided(decision.action, hash(record.value))
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

    def _again(self, decision: Decision, record: Read) -> None:
        """Published twice, or not of this run."""
        first = self._decided.get(decision.order_id)
        if first is None:
            return
        if first.content == hash(record.value) or decision.recovered:
            self.repeated += 1
        else:
            self.twice += 1

    def _dead_letter(self, record: Read) -> None:
        """Who dies between publishing and noting it publishes again: the letter says what it was made of."""
        headers = {key: (value or b"").decode() for key, value in record.headers}
        place = record.topic, headers.get("dlq-partition", ""), headers.get("dlq-offset", "")
        if place not in self._dead:
            self._dead.add(place)
            self.dead[record.topic] += 1

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
        self.verdicts.update({(row.topic, verdict): len(offsets) for verdict, offsets in row.exceptions.items()})

    @property
    def decided(self) -> int:
        return self.actions.total()

    @property
    def settled(self) -> bool:
        """Whether the workers are done with all that was sent, and every order of it has been seen decided."""
        return self.consumed.total() >= self.sent.total() and not self._awaited

    @property
    def duplicates(self) -> int:
        """Copies that were dropped, of every topic."""
        return sum(count for (_, verdict), count in self.verdicts.items() if verdict == "duplicate")

    def balance(self, topic: str = "orders") -> Balance:
        """Of the topic whose events are decided."""
        return Balance(
            self.sent[topic],
            self.decided,
            self.verdicts[topic, "duplicate"],
            self.dead[dead_letters_of(topic)],
            self.sent[topic] - self.consumed[topic],
            self.twice,
            self.repeated,
        )

    def action_of(self, order_id: str) -> str | None:
        """What an order of this run was decided as."""
        found = self._decided.get(order_id)
        return None if found is None else found.action

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
