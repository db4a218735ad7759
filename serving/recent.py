"""The newest decisions and anomalies, in memory, as any consumer would read them.

A reader of its own follows the topics from a little before their end; what comes is kept by the number in which it
came, so that a page continues where the one before ended though more has come since. A record that comes twice is kept
once. The price: what is older is for `headrace explain` to find, in the archive.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec

from schemas.decisions import Anomaly, Decision, DecisionLog
from schemas.records import Record

T = TypeVar("T")

_DECISION = msgspec.json.Decoder(Decision)
_LOG = msgspec.json.Decoder(DecisionLog)
_ANOMALY = msgspec.json.Decoder(Anomaly)


@dataclass(slots=True)
class Kept(Generic[T]):
    """The newest of one kind by their ids, at most `most`."""

    most: int
    numbered: OrderedDict[str, tuple[int, T]] = field(default_factory=OrderedDict)
    number: int = 0  # of the newest

    def add(self, id_: str, one: T) -> bool:
        """Whether it was new."""
        if id_ in self.numbered:
            return False
        self.number += 1
        self.numbered[id_] = (self.number, one)
        if len(self.numbered) > self.most:
            self.numbered.popitem(last=False)
        return True

    def get(self, id_: str) -> T | None:
        found = self.numbered.get(id_)
        return None if found is None else found[1]

    def newest(self, before: int | None = None, like: Callable[[T], bool] = lambda _: True) -> Iterator[tuple[int, T]]:
        """(number, one), newest first; only those that came before number `before`."""
        for number, one in reversed(self.numbered.values()):
            if (before is None or number < before) and like(one):
                yield number, one


@dataclass(frozen=True, slots=True)
class Seen:
    """A decision and when it was published."""

    decision: Decision
    published_ms: int


class Recent:
    """Fed with records of `fraud`, `decisions` and `anomalies`."""

    def __init__(self, most: int) -> None:
        self.decisions = Kept[Seen](most)
        self.logs = Kept[DecisionLog](most)
        self.anomalies = Kept[Anomaly](most)
        self._by_order = OrderedDict[str, str]()

    def take(self, topic: str, record: Record) -> None:
        """A record that cannot be read is passed over: a newer worker may write what this version does not know."""
        value = record.value or b""
        try:
            if topic == "fraud":
                decision = _DECISION.decode(value)
                if self.decisions.add(decision.decision_id, Seen(decision, record.timestamp)):
                    self._by_order[decision.order_id] = decision.decision_id
                    if len(self._by_order) > self.decisions.most:
                        self._by_order.popitem(last=False)
            elif topic == "decisions":
                log = _LOG.decode(value)
                self.logs.add(log.decision_id, log)
            elif topic == "anomalies":
                anomaly = _ANOMALY.decode(value)
                self.anomalies.add(anomaly.anomaly_id, anomaly)
        except msgspec.DecodeError:
            return

    def decision(self, id_: str) -> tuple[Seen, DecisionLog | None] | None:
        """By the decision's id or the order's."""
        decision_id = self._by_order.get(id_, id_)
        seen = self.decisions.get(decision_id)
        return None if seen is None else (seen, self.logs.get(decision_id))
