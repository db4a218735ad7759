"""What the features cost: us of CPU an event for own / payloads / fold / compact, at several sizes of a range.

    python -m bench.features [--events 200000] [--groups reference|shop]

Zipf users (50,000, s = 0.8) over nine days, 5 % of the events late, bags kept in a dict as the store would. Only the
second half is measured, when bags have their usual length. The price: it says nothing of the store or of decoding.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from features.columns import Columns
from features.compact import compact, over_cap
from features.entry import own_of, stamped
from features.feature import RECENCY, Count, Distinct, Feature, Measure, Measured, Sum, each
from features.fold import fold
from features.group import Group
from features.payload import payloads
from features.shop import ORDER_GROUPS
from features.window import EVER, HOUR_MS, MINUTE_MS, Window

Ints = npt.NDArray[np.int64]

DAY_1 = 1_793_000_000_000
SPAN_MS = 9 * 86_400_000
STEPS = ("own", "payloads", "fold", "compact")

SPANS = (Window("1h", 5 * MINUTE_MS, 12), Window("24h", HOUR_MS, 24), Window("7d", 6 * HOUR_MS, 28), EVER)
SQUARES = Measured(Measure("squares", lambda _at, amount, _flags: amount * amount))
REFERENCE = Group(
    "user",
    layout=1,
    entity="user",
    features=(
        *each(SPANS, Count(), Sum()),
        Feature(SQUARES, EVER),
        Feature(Distinct("device"), SPANS[1]),
        *RECENCY,
    ),
    exact=64,
    grace_ms=0,
    forever=True,
)

FULL = list(ORDER_GROUPS)


def columns_of(rng: np.random.Generator, events: int, batch: int) -> list[Columns]:
    """The events of the shared benchmark's generator, as columns."""
    users = zipf(rng, 50_000, events)
    foreign = rng.random(events) < 0.04
    device = np.where(foreign, zipf(rng, 70_000, events), users * 3 + rng.integers(0, 3, events))
    card = np.where(foreign, zipf(rng, 60_000, events), users * 2 + rng.integers(0, 2, events))
    late = np.where(rng.random(events) < 0.05, rng.exponential(1_200_000.0, events), 0.0)
    at = (DAY_1 + np.sort(rng.random(events)) * SPAN_MS - late).astype(np.int64)
    amount = np.rint(rng.lognormal(8.0, 0.8, events)).astype(np.int64)
    ids: dict[str, list[Any]] = {
        "user": [f"u{i}" for i in users],
        "device": [f"d{i}" for i in device],
        "card": [f"c{i}" for i in card],
        "ip": [f"10.{u % 250}.{d % 250}.{i % 250}" for i, (u, d) in enumerate(zip(users, device, strict=True))],
        "merchant": [f"m{i}" for i in zipf(rng, 200, events)],
        "country": ["DE"] * events,
        "visitor": [f"v{i}" for i in users],
        "products": [(f"p{i}",) for i in zipf(rng, 20_000, events)],
        "categories": [(f"k{i}",) for i in zipf(rng, 20, events)],
        "shop": ["shop"] * events,
    }
    ids["subnet"] = [address.rsplit(".", 1)[0] for address in ids["ip"]]
    ids["card_device"] = [f"{c}/{d}" for c, d in zip(ids["card"], ids["device"], strict=True)]
    ones = np.ones(batch, np.int64)
    return [
        Columns(
            batch, at[a : a + batch], amount[a : a + batch], ones, {k: v[a : a + batch] for k, v in ids.items()}, {}, ()
        )
        for a in range(0, events - batch + 1, batch)
    ]


def zipf(rng: np.random.Generator, ids: int, size: int, s: float = 0.8) -> Ints:
    shares = np.cumsum(1.0 / np.arange(1, ids + 1) ** s)
    drawn: Ints = np.searchsorted(shares, rng.random(size) * shares[-1])
    return drawn


@dataclass
class Timer:
    """CPU seconds per step, while switched on."""

    on: bool = False
    spent: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STEPS, 0.0))

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.process_time()
        yield
        if self.on:
            self.spent[name] += time.process_time() - start


@dataclass
class Bags:
    """The bags of one group, and the store's part: stamp, append, swap."""

    group: Group
    timer: Timer
    number: int = 1_793_000_000_000_000
    kept: dict[str, bytes] = field(default_factory=dict)

    def range(self, columns: Columns) -> None:
        with self.timer.step("own"):
            keys, own = own_of(self.group, columns)
        with self.timer.step("payloads"):
            new = payloads(self.group, own, len(keys))
        bags = [self.kept.get(key) for key in keys]
        self.number += 1_000
        limit = np.full(len(keys), self.number, np.uint64)
        with self.timer.step("fold"):
            fold(self.group, bags, limit, own)
        with self.timer.step("compact"):
            places = over_cap(self.group, bags).tolist()
            done = compact(self.group, [bags[i] or b"" for i in places], limit[places]) if places else []
        for i, swap in zip(places, done, strict=True):
            if swap is not None:
                self.kept[keys[i]] = swap.replacement + self.kept[keys[i]][len(swap.prefix) :]
        self._append(keys, new)

    def _append(self, keys: list[str], new: list[bytes]) -> None:
        stamp = self.number.to_bytes(8, "big")
        for key, entries in zip(keys, new, strict=True):
            self.kept[key] = self.kept.get(key, b"") + stamped(entries, stamp)


def measure(groups: list[Group], batch: int, events: int) -> None:
    ranges = columns_of(np.random.default_rng(7), events, batch)
    timer = Timer()
    stores = [Bags(group, timer) for group in groups]
    for place, columns in enumerate(ranges):
        timer.on = place >= len(ranges) // 2
        for store in stores:
            store.range(columns)
    measured = (len(ranges) - len(ranges) // 2) * batch
    times = " ".join(f"{name} {timer.spent[name] / measured * 1e6:6.2f}" for name in STEPS)
    print(f"range {batch:5d}  us/event: {times}")
    for store in stores:
        sizes = np.array([len(bag) for bag in store.kept.values()])
        print(
            f"    {store.group.name:9s} bags {len(sizes):7,d}  bytes: mean {sizes.mean():7.0f}  "
            f"95 % {np.percentile(sizes, 95):7.0f}  most {sizes.max():7,d}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--groups", choices=("reference", "shop"), default="reference")
    parser.add_argument("--ranges", type=int, nargs="*", default=[500, 1000, 2000])
    asked = parser.parse_args()
    for batch in asked.ranges:
        measure([REFERENCE] if asked.groups == "reference" else FULL, batch, asked.events)


if __name__ == "__main__":
    main()
