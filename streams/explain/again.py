"""A decision made again: from the logged vector and the configuration of then, by the worker's own code.

What comes out is held against what was published, byte by byte. Where it differs, the fields are named.
The price: one order at a time, a few hundred us with a large model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from features.definitions import Flow
from schemas.ids import decision_id
from streams.configuration import Configuration
from streams.explain.kept import Kept
from streams.outputs import RangeOutputs, Writer
from streams.protocol.ports import Tp

RECOVERED: Final = re.compile(rb'"recovered":(true|false)')


@dataclass(frozen=True, slots=True)
class Again:
    """What the decision comes to today. `differs`: by topic, the fields that are not as they were."""

    fraud: bytes
    log: bytes
    differs: Mapping[str, tuple[str, ...]]

    @property
    def equal(self) -> bool:
        return not self.differs


def again(kept: Kept, configuration: Configuration, flow: Flow) -> Again:
    """Decides once more, by the logged vector."""
    logged = kept.logged
    decoded = flow.decode([kept.order.value])
    event = decoded.events[0]
    if event is None or decision_id(event.event_id) != logged.decision_id:
        return Again(b"", b"", {"orders": ("the record that the log names is not the order of the decision",)})
    out = RangeOutputs(decoded.at_ms)
    tp = Tp(logged.topic, logged.partition, "")
    writer = Writer(tp, same_partitions=False, feature_hash=logged.feature_hash)
    vector = np.array([logged.vector], np.float64)
    columns, offset = flow.columns([event], decoded.at_ms), np.array([logged.offset])
    writer.decisions(out, columns, vector, [kept.order.key], offset, configuration, logged.recovered)
    made = {one.topic: one.value or b"" for one in out.records}
    return Again(made["fraud"], made["decisions"], _differences(kept, made))


def _differences(kept: Kept, made: Mapping[str, bytes]) -> dict[str, tuple[str, ...]]:
    """Copies may say `recovered` or not, which a repeat after a loss of the store's tail does."""
    told = {"decisions": (kept.log,), "fraud": kept.published}
    found = {
        topic: tuple(dict.fromkeys(name for copy in copies for name in _fields(copy, made[topic])))
        for topic, copies in told.items()
    }
    if not kept.published:
        found["fraud"] = ("it was not published, or is not archived yet",)
    return {topic: names for topic, names in found.items() if names}


def _fields(one: bytes, other: bytes) -> list[str]:
    """The names of what differs; none where the bytes are equal but for `recovered`."""
    if RECOVERED.sub(b"", one) == RECOVERED.sub(b"", other):
        return []
    this, that = (dict[str, Any](msgspec.json.decode(each)) for each in (one, other))
    names = [name for name in {**this, **that} if this.get(name) != that.get(name) and name != "recovered"]
    return names or ["the bytes, though every field is equal"]
