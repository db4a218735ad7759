"""The reference job of the peer bench as a Headrace definitions file: features, score and output adapter."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import msgspec
import numpy as np

from features.columns import Columns, Floats, Floats2d, Ints
from features.definitions import Definitions, Flow, Outputs, Scored
from features.feature import RECENCY, Count, Measure, Measured, Sum, distinct, each
from features.group import Group
from features.vector import Vector
from features.window import EVER, Window
from schemas.decode import Decoded, Fault, Reason

job: Any = import_module("job")  # the bench's: topics, names and weights
HOUR = 3_600_000
WINDOWS = (Window("1h", HOUR // 12, 12), Window("24h", HOUR, 24), Window("7d", 6 * HOUR, 28), EVER)
SQUARES = each((EVER,), Measured(Measure("squares", lambda _at, amount, _flags: amount * amount)))
DEVICES = distinct(["device_id"], WINDOWS[1:2])
FEATURES = (*each(WINDOWS, Count(), Sum()), *SQUARES, *DEVICES, *RECENCY)
USER = Group("u", 1, "user_id", FEATURES, forever=True, grace_ms=0)


class Event(msgspec.Struct, gc=False):
    event_id: str
    user_id: str
    device_id: str
    amount: float
    items: list[msgspec.Raw]
    ts: int


Row = msgspec.defstruct("Row", [(name, float) for name in job.NAMES], gc=False)
Out = msgspec.defstruct("Out", [("event_id", str), ("user_id", str), ("score", float), ("features", Row)], gc=False)
decode_one, encode = msgspec.json.Decoder(Event).decode, msgspec.json.Encoder().encode_lines


def decode(values: Sequence[bytes | None]) -> Decoded:
    events: list[Event | None] = []
    faults: dict[int, Fault] = {}
    for at, value in enumerate(values):
        try:
            events.append(decode_one(value or b""))
        except msgspec.DecodeError as error:
            events.append(None)
            faults[at] = Fault(Reason.WRONG_TYPE, "$", str(error))
    return Decoded(events, faults, np.array([event.ts if event else 0 for event in events], np.int64))


def columns(events: Sequence[Event], at_ms: Ints) -> Columns:
    n, amount = len(events), np.array([e.amount for e in events])
    ids = {"user_id": [e.user_id for e in events], "device_id": [e.device_id for e in events]}
    numbers = {"amount": amount, "items": np.array([float(len(e.items)) for e in events])}
    return Columns(n, at_ms, np.rint(amount * 100).astype(np.int64), np.zeros(n, np.int64), ids, numbers, events)


def fill(columns: Columns, folded: Mapping[str, Floats2d]) -> list[Floats]:
    c1, s1, c24, s24, c7, s7, n, s, squares, devices, gap, _ = folded["u"].T
    mean, own = s / n, columns.numbers
    std = np.sqrt(np.maximum(squares / n - mean * mean, 0)) / 100
    return [c1, s1 / 100, c24, s24 / 100, c7, s7 / 100, mean / 100, std, gap, devices, own["amount"], own["items"]]


def outputs(scored: Scored) -> list[Outputs]:
    rows = zip(scored.columns.events, scored.scores.tolist(), scored.rows.tolist(), strict=True)
    lines = encode([Out(e.event_id, e.user_id, score, Row(*row)) for e, score, row in rows]).split(b"\n")[:-1]
    return [Outputs(job.OUT, np.arange(len(lines)), scored.keys, lines)]


def score(rows: Floats2d) -> Floats:
    return np.asarray(1 / (1 + np.exp(-(rows @ np.array(job.WT) + job.BIAS))))


flow = Flow(job.IN, decode, lambda events: [e.event_id for e in events], columns, (USER,), True, outputs, (job.OUT,))
definitions = Definitions((flow,), Vector(job.NAMES, (USER,), fill), score=score)
