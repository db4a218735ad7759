"""The job that stream engines are compared by, as a definitions file, against the naive version of its windows."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from features.columns import Columns, Floats, Floats2d, Ints
from features.definitions import Definitions, Flow
from features.entry import own_of
from features.feature import RECENCY, Count, Distinct, Feature, Measure, Measured, Sum, each
from features.fold import fold
from features.group import Group
from features.payload import payloads
from features.vector import Vector
from features.window import EVER, HOUR_MS, MINUTE_MS, Window
from schemas.decode import Decoded
from tests.oracle.shelf import Shelf
from tests.unit.features.build import compacted

NAMES = ("cnt_1h", "sum_1h", "cnt_24h", "sum_24h", "cnt_7d", "sum_7d", "amt_mean", "amt_std", "gap_s", "ndev_24h",
         "amount", "n_items")  # fmt: skip

WINDOWS = (Window("1h", 5 * MINUTE_MS, 12), Window("24h", HOUR_MS, 24), Window("7d", 6 * HOUR_MS, 28), EVER)
USER = Group(
    "user",
    layout=1,
    entity="user",
    features=(
        *each(WINDOWS, Count(), Sum()),
        Feature(Measured(Measure("squares", lambda _at, amount, _flags: amount * amount)), EVER),
        Feature(Distinct("device"), WINDOWS[1]),
        *RECENCY,
    ),
    exact=64,
    grace_ms=0,
    forever=True,
)


def decode(values: Sequence[bytes | None]) -> Decoded:
    events = [json.loads(value or b"null") for value in values]
    return Decoded(events, {}, np.array([event["ts"] for event in events]))


def columns(events: Sequence[Any], at_ms: Ints) -> Columns:
    amounts = np.array([event["amount"] for event in events])
    ids: dict[str, Sequence[str | None]] = {
        "user": [event["user_id"] for event in events],
        "device": [event["device_id"] for event in events],
    }
    items = np.array([len(event["items"]) for event in events], float)
    cents = np.rint(amounts * 100).astype(np.int64)
    return Columns(
        len(events), at_ms, cents, np.ones(len(events), np.int64), ids, {"amount": amounts, "items": items}, events
    )


def fill(events: Columns, folded: Mapping[str, Floats2d]) -> list[Floats]:
    n1, s1, n24, s24, n7, s7, n, s, squares, devices, gap, _ = folded["user"].T
    mean = s / n
    deviation = np.sqrt(np.maximum(squares / n - mean * mean, 0.0))
    amounts = [s1 / 100, s24 / 100, s7 / 100, mean / 100, deviation / 100]
    own = [events.numbers["amount"], events.numbers["items"]]
    return [n1, amounts[0], n24, amounts[1], n7, amounts[2], amounts[3], amounts[4], gap, devices, *own]


DEFINITIONS = Definitions(
    flows=(Flow("orders", decode, lambda events: [e["event_id"] for e in events], columns, (USER,), scored=True),),
    vector=Vector(NAMES, (USER,), fill),
)


class Naive:
    """A user's events, all of them, and the windows said in plain words: they end at the user's newest event."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, str]] = []

    def tell(self, event: dict[str, Any]) -> list[float]:
        at, cents = event["ts"], round(event["amount"] * 100)
        newest = max((seen[0] for seen in self.seen), default=-1)
        gap = -1.0 if newest < 0 else max(at - newest, 0) / 1000
        self.seen.append((at, cents, event["device_id"]))
        head = max(at, newest)
        row: list[float] = []
        for width, tiles in ((300_000, 12), (3_600_000, 24), (21_600_000, 28)):
            inside = [c for t, c, _ in self.seen if t // width > head // width - tiles]
            row += [len(inside), sum(inside) / 100]
        devices = {d for t, _, d in self.seen if t // 3_600_000 > head // 3_600_000 - 24}
        n, s = len(self.seen), sum(c for _, c, _ in self.seen)
        mean = s / n
        variance = sum(c * c for _, c, _ in self.seen) / n - mean * mean
        deviation = math.sqrt(variance) / 100 if variance > 0 else 0.0
        return [*row, mean / 100, deviation, gap, len(devices), event["amount"], len(event["items"])]


def orders(rng: np.random.Generator, n: int, users: int) -> list[bytes]:
    """Ten days of orders in offset order, one in twenty late by some 20 minutes, as the shared benchmark makes them."""
    late = np.where(rng.random(n) < 0.05, rng.exponential(1_200_000.0, n), 0.0)
    at = (1_793_000_000_000 + np.sort(rng.random(n)) * 10 * 86_400_000 - late).astype(np.int64)
    return [
        json.dumps(
            {
                "event_id": f"e{i}",
                "user_id": f"u{int(rng.integers(users) * rng.random())}",
                "device_id": f"d{rng.integers(40)}",
                "amount": round(float(rng.lognormal(3.4, 0.8)), 2),
                "items": [{}] * int(rng.integers(1, 3)),
                "ts": int(at[i]),
            }
        ).encode()
        for i in range(n)
    ]


def test_the_fold_gives_the_reference_jobs_features_whatever_the_ranges_and_the_compaction() -> None:
    rng = np.random.default_rng(7)
    values = orders(rng, 2_000, 150)
    truth: dict[str, Naive] = {}
    shelf = Shelf()
    [flow] = DEFINITIONS.flows
    start = 0
    while start < len(values):
        part = values[start : start + int(rng.integers(1, 120))]
        start += len(part)
        decoded = flow.decode(part)
        events = flow.columns(decoded.events, decoded.at_ms)
        users, own = own_of(USER, events)
        number, before = shelf.apply(dict(zip(users, payloads(USER, own, len(users)), strict=True)))
        folded = fold(USER, [before[user] for user in users], np.full(len(users), number, np.uint64), own)
        found = DEFINITIONS.vector.rows(events, {"user": folded})
        expected = np.array([truth.setdefault(e["user_id"], Naive()).tell(e) for e in decoded.events])
        counts = [NAMES.index(name) for name in ("cnt_1h", "cnt_24h", "cnt_7d", "ndev_24h", "n_items")]
        assert np.array_equal(found[:, counts], expected[:, counts])
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-6)
        for user in users:
            if rng.random() < 0.2:
                shelf.bags[user] = compacted(USER, shelf.bags[user], number)
