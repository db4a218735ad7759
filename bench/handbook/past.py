"""The Handbook's replay without workers: what `headrace replay fraud-handbook` sends, as the ranges of a worker.

Records come from the replay's own adapter. A label meets its order by the code of features/orders.py, and the outcome
that follows is applied at the label's own moment, before the orders of that moment. The price: a worker knows it up to
the width of a lockstep later, and takes orders and outcomes of several partitions as they come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from features.definitions import Definitions, Flow
from features.orders import OF_LABELS, OF_ORDERS, due, reduce
from features.replay import Range
from features.window import DAY_MS
from schemas.outcomes import OUTCOMES
from streams.data.handbook import LABEL_DELAY_MS
from streams.data.record import Record

MOST: Final = 2_000  # events of a range: what a worker takes at most
KEEP_MS: Final = LABEL_DELAY_MS + DAY_MS  # no order gets its label later


def ranges(records: Iterable[Record], definitions: Definitions) -> Iterator[Range]:
    """Orders and outcomes in the order of their records, under rising numbers."""
    flows = {flow.topic: flow for flow in definitions.flows}
    waiting = Waiting(flows["orders"], flows["labels"])
    for number, (topic, values, at_ms) in enumerate(_stretches(records), 1):
        if topic == "orders":
            waiting.order(values, at_ms)
        else:
            topic, values = OUTCOMES, waiting.outcomes(values)
        decoded = flows[topic].decode(values)
        yield Range(topic, (number,), decoded.events, decoded.at_ms)


def _stretches(records: Iterable[Record]) -> Iterator[tuple[str, list[bytes], list[int]]]:
    """(topic, values, times) of records that follow each other in one topic."""
    for topic, run in groupby(records, key=lambda record: record.topic):
        some: list[Record] = []
        for record in run:
            some.append(record)
            if len(some) == MOST:
                yield _told(topic, some)
                some = []
        if some:
            yield _told(topic, some)


def _told(topic: str, records: Sequence[Record]) -> tuple[str, list[bytes], list[int]]:
    return topic, [record.value or b"" for record in records], [record.timestamp_ms or 0 for record in records]


@dataclass(slots=True)
class Waiting:
    """Orders whose label may still come."""

    orders: Flow
    labels: Flow
    _values: dict[str, bytes] = field(default_factory=dict)
    _by_time: deque[tuple[int, str]] = field(default_factory=deque)

    def order(self, values: Sequence[bytes], at_ms: Sequence[int]) -> None:
        """Remembers orders, and forgets those that are too old by the last of them."""
        for event, value, at in zip(self.orders.decode(values).events, values, at_ms, strict=True):
            self._values[event.order_id] = value
            self._by_time.append((at, event.order_id))
        while self._by_time and self._by_time[0][0] < at_ms[-1] - KEEP_MS:
            self._values.pop(self._by_time.popleft()[1], None)

    def outcomes(self, values: Sequence[bytes]) -> list[bytes]:
        """What labels say of orders that were there."""
        decoded = self.labels.decode(values)
        told = self.labels.columns(decoded.events, decoded.at_ms)
        made: list[bytes] = []
        for order_id, label in zip(told.ids[OF_LABELS.entity], OF_LABELS.records(told), strict=True):
            if order_id in self._values:
                made += self._made(order_id, label)
        return made

    def _made(self, order_id: str, label: bytes) -> list[bytes]:
        decoded = self.orders.decode([self._values[order_id]])
        order = OF_ORDERS.records(self.orders.columns(decoded.events, decoded.at_ms))
        return [one.value for one in due(order_id, reduce([*order, label])).values()]
