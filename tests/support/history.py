"""A small archive of a shop: orders, their labels, the rows and the decisions that a worker would have written.

Every record is a range of its own, taken by all shards under the next number, in the order in which it is told. The
vectors are those of a replay, so what a test finds in a set can be traced to what was told here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from archive.columns import Row as Kept
from archive.names import DAY_MS, Span, date_of, day_of
from archive.parquet import encode
from features.definitions import Definitions
from features.replay import Range, Replay, replay
from features.shop import shop_definitions
from schemas.decisions import DecisionLog, Model, Thresholds
from schemas.decisions import encode as encoded
from schemas.ids import decision_id
from schemas.timestamps import rfc3339
from schemas.topics import applied_partition
from storage.places import Place, place_of
from streams.protocol.ports import Exceptions, Row, Verdict
from streams.transport.applied import encode_row

START_MS = 20_000 * DAY_MS
HOUR_MS = 3_600_000
SHARDS, TOPIC_ID = 3, "t"
DEFINITIONS = shop_definitions()
INPUTS = [flow.topic for flow in DEFINITIONS.flows]


@dataclass
class History:
    """Say what happened, then `archived`. `known_ms`: the record's timestamp; as a rule the event's."""

    logs: dict[tuple[str, int], list[Kept]] = field(default_factory=dict)
    feature_hash: str = DEFINITIONS.vector.hash  # that decisions claim to have been made with
    marks: float = 0.0  # added to every logged value, so that it can be told from a rebuilt one
    _ranges: list[Range] = field(default_factory=list)
    _number: int = 1_000

    def order(self, name: str, at_ms: int, partition: int = 0, known_ms: int | None = None, **more: Any) -> None:
        """An order `o-NAME`."""
        items = [{"item_id": "p", "price": 10.0, "quantity": 1}]
        fields = {"type": "purchase", "event_id": f"e-{name}", "event_time": rfc3339(at_ms), "user_id": "ann",
                  "order_id": f"o-{name}", "value": 10.0, "currency": "EUR", "items": items,
                  "card_id": "c-1", "device_id": "d-1", "ip": "10.0.0.1", "merchant_id": "m"}  # fmt: skip
        self.say("orders", partition, fields | more, known_ms or at_ms)

    def chargeback(self, name: str, at_ms: int, known_ms: int | None = None, **more: Any) -> None:
        """The card's owner says that order `o-NAME` was none of theirs."""
        fields = {"type": "chargeback", "event_id": f"cb-{name}-{at_ms}", "event_time": rfc3339(at_ms)}
        self.say("labels", 0, fields | {"user_id": "ann", "order_id": f"o-{name}"} | more, known_ms or at_ms)

    def reviewed(self, name: str, at_ms: int, *, fraud: bool, known_ms: int | None = None) -> None:
        """A reviewer's word on order `o-NAME`."""
        fields = {"type": "review_outcome", "event_id": f"rv-{name}-{at_ms}", "event_time": rfc3339(at_ms)}
        said = {"user_id": "ann", "order_id": f"o-{name}", "fraud": fraud}
        self.say("labels", 0, fields | said, known_ms or at_ms)

    def say(
        self, topic: str, partition: int, event: Mapping[str, Any], known_ms: int, verdict: Verdict = Verdict.FRESH
    ) -> None:
        """A record, taken at once."""
        value = msgspec.json.encode(event)
        offset = self._append(topic, partition, value, known_ms)
        self._number += 7
        numbers = tuple(self._number + shard for shard in range(SHARDS))
        exceptions: Exceptions = {} if verdict is Verdict.FRESH else {offset: verdict}
        row = Row(topic, partition, TOPIC_ID, offset, offset, "c", exceptions, numbers, False, offset)
        self._append("applied", applied_partition(topic, partition, INPUTS), encode_row(row), known_ms)
        if verdict is not Verdict.FRESH:
            return
        flow = next(flow for flow in DEFINITIONS.flows if flow.topic == topic)
        decoded = flow.decode([value])
        assert not decoded.faults, decoded.faults
        self._ranges.append(Range(topic, numbers, decoded.events, decoded.at_ms, (partition, offset, known_ms)))

    def decided(self) -> History:
        """Writes the decisions of all orders; to be called once, at the end."""
        for one in replay(Replay(DEFINITIONS, SHARDS), self._ranges):
            self.decide(one.range, one.rows[0] + self.marks)
        return self

    def decide(self, range_: Range, vector: Any, **more: Any) -> None:
        """A record of `decisions`."""
        partition, offset, known_ms = range_.tag
        (event,), at_ms = range_.events, int(range_.at_ms[0])
        log = DecisionLog(
            decision_id=decision_id(event.event_id),
            order_id=event.order_id,
            event_id=event.event_id,
            topic="orders",
            partition=partition,
            offset=offset,
            at_ms=at_ms,
            amount_minor=1000,
            vector=np.asarray(vector).tolist(),
            members={},
            score=0.25,
            action="allow",
            rules=(),
            thresholds=Thresholds(None, None),
            model=Model("m", "1"),
            config="c",
            feature_hash=self.feature_hash,
            recovered=False,
        )
        self._append("decisions", partition, encoded(msgspec.structs.replace(log, **more)), known_ms)

    def archived(self, folder: Path, *, a_file: int = 3, less: Sequence[str] = ()) -> Place:
        """Files of so many records; of all topics but those in `less`."""
        place = place_of(str(folder))
        names = {DEFINITIONS.vector.hash: DEFINITIONS.vector.names}
        for (topic, partition), records in self.logs.items():
            for start in range(0, len(records), a_file) if topic not in less else ():
                part = records[start : start + a_file]
                youngest = date_of(day_of(max(record.timestamp for record in part)))
                which = Span(topic, partition, part[0].offset, part[-1].offset, youngest)
                place.commit(which.path, encode(which, part, TOPIC_ID, names if topic == "decisions" else None))
        return place

    def _append(self, topic: str, partition: int, value: bytes, at_ms: int) -> int:
        log = self.logs.setdefault((topic, partition), [])
        log.append(Kept(len(log), at_ms, b"k", value, ()))
        return len(log) - 1


def definitions() -> Definitions:
    """Those by which it was decided."""
    return DEFINITIONS
