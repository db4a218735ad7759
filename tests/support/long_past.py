"""An archive as long as one likes, and what it takes to read it: a process of its own tells its peak.

    python -m tests.support.long_past WHAT FOLDER [STORE]

Orders by ever new users, so that whoever holds something of each user or event grows with the archive. Written a file
at a time, so that making it is no matter of memory either.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from archive.arrow import pa
from archive.columns import Row as Kept
from archive.listing import files_of
from archive.names import DAY_MS, Span, date_of, day_of
from archive.parquet import encode
from features.definitions import Definitions, Flow
from features.events import order_columns
from features.feature import Count, Distinct, Feature, Sum, each
from features.group import Group
from features.replay import Range, Replay
from features.vector import Vector
from features.window import WINDOW_24H, WINDOW_30D
from schemas.decisions import DecisionLog, Model, Thresholds, encode_each
from schemas.decode import decode_batch
from schemas.ids import decision_id
from schemas.money import Rates
from schemas.timestamps import rfc3339
from storage.places import Place, place_of
from streams.past.archived import ArchivePast
from streams.past.feed import Feed
from streams.pouring import Pouring
from streams.protocol.ports import Limits, Row
from streams.stores.beside import Beside
from streams.stores.nodes import Access
from streams.stores.valkey import ValkeyStore
from streams.transport.applied import encode_row

START_MS = 1_760_000_000_000 // DAY_MS * DAY_MS
SPAN_MS = 20 * DAY_MS
RANGE, FILE, SHARDS, STRETCH = 200, 1_000, 4, 1_000
LOOK_S = 0.05
SAMPLE = 2
SORTED = 1_024
ORDERS_OF_A_USER = 1
TOPIC_ID = "t"
ROOT = Path(__file__).parents[2]

WHO = Group("user", 1, "user", (*each((WINDOW_24H, WINDOW_30D), Count(), Sum()), Feature(Distinct("card"), WINDOW_30D)))
SHOP = Group("merchant", 2, "merchant", each((WINDOW_24H, WINDOW_30D), Count(), Sum()))
COLUMNS = (*WHO.columns, *SHOP.columns)
VECTOR = Vector(COLUMNS, (WHO, SHOP), lambda _, of: np.concatenate((of["user"].T, of["merchant"].T)))
ORDERS = Flow(
    "orders",
    partial(decode_batch, "orders"),
    lambda events: [event.event_id for event in events],
    partial(order_columns, Rates()),
    (WHO, SHOP),
    scored=True,
)
DEFINITIONS = Definitions((ORDERS,), VECTOR)


def bodies(first: int, count: int, of: int) -> Iterator[tuple[int, bytes]]:
    """(event ms, value) of orders first, first + 1, ... out of `of`, which are spread over the same days always."""
    for n in range(first, first + count):
        at_ms = START_MS + SPAN_MS * n // of
        body = {
            "type": "purchase",
            "event_id": f"e{n}",
            "event_time": rfc3339(at_ms),
            "user_id": f"u{n // ORDERS_OF_A_USER}",
            "order_id": f"o{n}",
            "value": 10.0,
            "currency": "EUR",
            "items": [{"item_id": "p", "price": 10.0, "quantity": 1}],
            "card_id": f"c{n}",
            "merchant_id": f"m{n % 20}",
        }
        yield at_ms, msgspec.json.encode(body)


def make(folder: Path, orders: int) -> Place:
    """Orders, their rows, decisions and a few labels."""
    place = place_of(str(folder))
    for first in range(0, orders, FILE):
        told = list(bodies(first, FILE, orders))
        _put(place, "orders", [Kept(first + n, at, b"k", value, ()) for n, (at, value) in enumerate(told)])
        rows = [(at, _row(first + n)) for n, (at, _) in enumerate(told) if n % RANGE == 0]
        _put(place, "applied", [Kept(first // RANGE + n, at, None, row, ()) for n, (at, row) in enumerate(rows)])
        logs = encode_each([_decision(first + n, at) for n, (at, _) in enumerate(told)])
        _put(place, "decisions", [Kept(first + n, told[n][0], b"k", log, ()) for n, log in enumerate(logs)])
    labels = [_chargeback(n) for n in range(100)]
    _put(place, "labels", [Kept(n, START_MS + SPAN_MS, b"k", value, ()) for n, value in enumerate(labels)])
    row = Row("labels", 0, TOPIC_ID, 0, 99, "c", {}, (10**12,) * SHARDS, False, 99)
    _put(place, "applied", [Kept(orders // RANGE, START_MS + SPAN_MS, None, encode_row(row), ())])
    return place


def _put(place: Place, topic: str, records: list[Kept]) -> None:
    which = Span(topic, 0, records[0].offset, records[-1].offset, date_of(day_of(records[-1].timestamp)))
    place.commit(which.path, encode(which, records, TOPIC_ID))


def _row(first: int) -> bytes:
    last, number = first + RANGE - 1, 1_000 + first
    return encode_row(Row("orders", 0, TOPIC_ID, first, last, "c", {}, (number,) * SHARDS, False, last))


def _decision(n: int, at_ms: int) -> DecisionLog:
    vector = [0.0] * len(VECTOR.names)
    return DecisionLog(
        decision_id(f"e{n}"), f"o{n}", f"e{n}", "orders", 0, n, at_ms, 1_000, vector, {}, 0.1, "allow", (),
        Thresholds(None, None), Model("m", "1"), "c", VECTOR.hash, False,
    )  # fmt: skip


def _chargeback(n: int) -> bytes:
    body = {"type": "chargeback", "event_id": f"cb{n}", "order_id": f"o{n}"}
    return msgspec.json.encode(body | {"event_time": rfc3339(START_MS + SPAN_MS)})


# ---- what reads it


def store_at(url: str) -> ValkeyStore:
    return ValkeyStore(Access(url), SHARDS, limits=LIMITS, ttl_ms=DAY_MS)


LIMITS = Limits(dedup_offsets=1_000, dedup_s=86_400, late_ms=30 * DAY_MS)


def _nobody(_: str) -> None:
    """Hears nothing."""


async def backfill(folder: Path, url: str) -> None:
    """What `headrace features backfill` reads and keeps."""
    async with store_at(url) as store:
        contents, ttls_ms = DEFINITIONS.contents, dict.fromkeys(DEFINITIONS.contents, DAY_MS)
        aside = Beside(store, contents, ttls_ms)
        pouring = Pouring(DEFINITIONS, DEFINITIONS.groups, SHARDS, aside, _nobody, sample=SAMPLE, stretch=STRETCH)
        await pouring.pour(await pouring.feed(place_of(str(folder))))
        pouring.skews()
        await aside.put_in_place({})


async def rebuild(folder: Path, url: str) -> None:
    """What `headrace state rebuild --from-archive` does with a partition that Kafka has nothing of any more."""
    from streams.outputs import Writer
    from streams.past.source import LongSource
    from streams.protocol.ports import Tp
    from streams.protocol.rebuild import Rebuild
    from streams.work import RangeWork

    place = place_of(str(folder))
    end = max(file.last for file in files_of(place, "orders")) + 1

    class Emptied:
        """The log, after retention."""

        async def bounds(self) -> tuple[int, int]:
            return end, end

    tp = Tp("orders", 0, TOPIC_ID)
    async with store_at(url) as store:
        writer = Writer(tp, same_partitions=False, feature_hash="")
        configurations: Any = {}  # nothing is decided
        work = RangeWork(tp, ORDERS, DEFINITIONS, SHARDS, configurations, writer)
        source: Any = LongSource(tp, place, Emptied())  # type: ignore[arg-type]  # nothing else of it is asked
        await Rebuild(tp, store, source, work, LIMITS, "c", b"token").run(end - 1)


async def training_set(folder: Path, _: str) -> None:
    """What `headrace features build` does with logged vectors."""
    from training.sets import file, runs
    from training.sets.asked import Asked
    from training.sets.build import build

    runs.RUN_ROWS, runs.PIECE_ROWS, file.GROUP_ROWS = SORTED, SORTED // 16, SORTED  # type: ignore[misc]  # in proportion
    asked = Asked(START_MS, START_MS + SPAN_MS, START_MS + 2 * SPAN_MS, source="logged")
    out = folder.with_name(f"{folder.name}-set.parquet")
    build(place_of(str(folder)), DEFINITIONS, asked, out, rebuild=lambda _: (), tell=lambda *_: None)


async def replay(folder: Path, _: str) -> None:
    """Holds the bags of everybody: what the others must not be like."""
    feed = Feed(ArchivePast(place_of(str(folder)), ["orders"], settled_s=0.0), DEFINITIONS)
    await feed.open()
    await feed.line(0.0)
    again = Replay(DEFINITIONS, SHARDS)
    async for range_ in feed.ranges():
        again.take(Range(range_.topic, range_.numbers, range_.events, range_.at_ms))
        again.advance(feed.complete)


READERS: Mapping[str, Callable[[Path, str], Any]] = {
    "backfill": backfill, "rebuild": rebuild, "training_set": training_set, "replay": replay,
}  # fmt: skip


def held_bytes(what: str, folder: Path, url: str = "") -> int:
    """The most that a process which reads the archive held at once, in Python's objects and arrays and in Arrow's."""
    argv = [sys.executable, "-m", "tests.support.long_past", what, str(folder), url]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: int = json.loads(done.stdout)
    return found


class Watch(threading.Thread):
    """Looks all the time at what is held, without what only waits for the collector of cycles."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._over = threading.Event()
        self.most = 0

    def run(self) -> None:
        while not self._over.wait(LOOK_S):
            gc.collect()
            self.most = max(self.most, tracemalloc.get_traced_memory()[0] + pa.default_memory_pool().bytes_allocated())

    def end(self) -> int:
        self._over.set()
        self.join()
        return self.most


if __name__ == "__main__":
    _, what, folder, url = sys.argv
    gc.freeze()  # what is imported is looked at no more
    tracemalloc.start()
    watch = Watch()
    watch.start()
    asyncio.run(READERS[what](Path(folder), url))
    print(watch.end())
