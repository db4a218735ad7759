"""Training sets: orders a second from the archive to Parquet, by three ways, and whether they say the same.

    python -m bench.training_set                 # writes docs/figures/training-set.json
    python -m bench.training_set --orders 20000  # a try: nothing is written

200,000 orders over 60 days, Zipf users with cards, devices, addresses and merchants; count, sum, mean and largest
amount over 1 h, 24 h, 7 d and 30 d of each of the five: 80 columns. They are made from the same archived files

    logged     by `headrace features build`: the vectors that were logged
    replayed   by the same with `--vectors replayed`: the log again, in the order in which it was applied
    duckdb     by window functions (RANGE BETWEEN ... PRECEDING) over the archived orders, labels joined

and every value is compared, bit by bit. DuckDB is asked once for the windows as they are defined here, which begin at
the edge of a tile, and once for sharp ones of constant length, which it is quicker at and which say something else.
It has one thread, as the others do, and then three. The orders came in the order of their times: for late ones, or for
what several partitions knew of each other, SQL by event time has no answer that could be compared.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np

from archive.arrow import parquet
from archive.columns import Row as Kept
from archive.coverage import select
from archive.names import DAY_MS, Span, date_of, day_of
from archive.parquet import encode
from bench import figure
from features.definitions import Definitions, Flow
from features.events import order_columns
from features.feature import Count, Max, Mean, Sum, each
from features.group import Group
from features.replay import Range, Replay, replay
from features.text import json_rows
from features.vector import Vector
from features.window import WINDOW_1H, WINDOW_7D, WINDOW_24H, WINDOW_30D
from schemas.decisions import DecisionLog, Model, Thresholds, encode_each
from schemas.decode import decode_batch
from schemas.ids import decision_id
from schemas.money import Rates
from schemas.timestamps import rfc3339
from storage.places import Place, place_of
from streams.cli.sets import replayed
from streams.protocol.ports import Row
from streams.transport.applied import encode_row
from training.sets.asked import Asked, Source
from training.sets.build import build

ORDERS, DAYS, SEED = 200_000, 60, 7
RANGE, FILE, SHARDS = 1_000, 25_000, 16
ROUNDS = 2  # by turns; the faster one counts
START_MS = 1_760_000_000_000 // DAY_MS * DAY_MS
WINDOWS = (WINDOW_1H, WINDOW_24H, WINDOW_7D, WINDOW_30D)
ENTITIES = {"user": 20_000, "card": 25_000, "device": 30_000, "ip": 25_000, "merchant": 500}
GROUPS = tuple(
    Group(name, place + 1, name, each(WINDOWS, Count(), Sum(), Mean(), Max())) for place, name in enumerate(ENTITIES)
)
NAMES = tuple(name for group in GROUPS for name in group.columns)
SKEW = 0.8
TOPIC_ID = "bench"


def definitions() -> Definitions:
    """Orders alone, and the five groups."""
    vector = Vector(NAMES, GROUPS, lambda _, folded: np.concatenate([folded[group.name].T for group in GROUPS]))
    flow = Flow(
        "orders",
        partial(decode_batch, "orders"),
        lambda events: [event.event_id for event in events],
        partial(order_columns, Rates()),
        GROUPS,
        scored=True,
    )
    return Definitions((flow,), vector)


def bodies(orders: int) -> Iterator[tuple[int, bytes]]:
    """(event ms, value) by time, no two at the same millisecond."""
    rng = np.random.default_rng(SEED)
    at_ms = START_MS + np.sort(rng.choice(DAYS * DAY_MS, orders, replace=False))
    ids = {name: rng.choice(count, orders, p=_zipf(count)) for name, count in ENTITIES.items()}
    cents = np.round(np.exp(rng.normal(8, 1, orders))).astype(np.int64) + 1
    for n in range(orders):
        value = int(cents[n]) / 100
        body = {
            "type": "purchase",
            "event_id": f"e{n}",
            "event_time": rfc3339(int(at_ms[n])),
            "user_id": f"u{ids['user'][n]}",
            "order_id": f"o{n}",
            "value": value,
            "currency": "EUR",
            "items": [{"item_id": "p", "price": value, "quantity": 1}],
            "card_id": f"c{ids['card'][n]}",
            "device_id": f"d{ids['device'][n]}",
            "ip": f"i{ids['ip'][n]}",
            "merchant_id": f"m{ids['merchant'][n]}",
        }
        yield int(at_ms[n]), msgspec.json.encode(body)


def _zipf(count: int) -> Any:
    weights = 1.0 / np.arange(1, count + 1) ** SKEW
    return weights / weights.sum()


def archive_of(folder: Path, orders: int) -> Place:
    """Orders, rows of `applied`, decisions with their vectors, and a chargeback for every 50th order."""
    place, defined = place_of(str(folder)), definitions()
    (flow,) = defined.flows
    told = list(bodies(orders))
    _put(place, "orders", [Kept(n, at, b"k", value, ()) for n, (at, value) in enumerate(told)])
    ranges, rows = [], []
    for number, start in enumerate(range(0, orders, RANGE)):
        some = told[start : start + RANGE]
        decoded = flow.decode([value for _, value in some])
        numbers = tuple(1_000 * (number + 1) + shard for shard in range(SHARDS))
        ranges.append(Range("orders", numbers, decoded.events, decoded.at_ms, start))
        last = start + len(some) - 1
        row = Row("orders", 0, TOPIC_ID, start, last, "c", {}, numbers, False, last)
        rows.append(Kept(number, some[-1][0], None, encode_row(row), ()))
    labels = [_label(n, told[n][0]) for n in range(0, orders, 50)]
    rows.append(Kept(len(rows), told[-1][0], None, encode_row(_row_of_labels(len(labels))), ()))
    _put(place, "applied", rows)
    _put(place, "labels", [Kept(n, at, b"k", value, ()) for n, (at, value) in enumerate(labels)])
    _put(place, "decisions", list(_decisions(defined, ranges)))
    return place


def _row_of_labels(count: int) -> Row:
    return Row("labels", 0, TOPIC_ID, 0, count - 1, "c", {}, (10**9,) * SHARDS, False, count - 1)


def _label(n: int, at_ms: int) -> tuple[int, bytes]:
    """A chargeback, ten days after its order."""
    later = at_ms + 10 * DAY_MS
    body = {"type": "chargeback", "event_id": f"cb{n}", "event_time": rfc3339(later), "order_id": f"o{n}"}
    return later, msgspec.json.encode(body)


def _decisions(defined: Definitions, ranges: list[Range]) -> Iterator[Kept]:
    offset = 0
    for one in replay(Replay(defined, SHARDS), ranges):
        logs = [
            DecisionLog(
                decision_id(event.event_id), event.order_id, event.event_id, "orders", 0, one.range.tag + n, at, 0,
                vector, {}, 0.1, "allow", (), Thresholds(None, None), Model("m", "1"), "c", defined.vector.hash, False,
            )
            for n, (event, at, vector) in enumerate(
                zip(one.range.events, one.range.at_ms.tolist(), json_rows(one.rows), strict=True)
            )
        ]  # fmt: skip
        for log, value in zip(logs, encode_each(logs), strict=True):
            yield Kept(offset, log.at_ms, b"k", value, ())
            offset += 1


def _put(place: Place, topic: str, records: list[Kept]) -> None:
    for start in range(0, len(records), FILE):
        part = records[start : start + FILE]
        which = Span(topic, 0, part[0].offset, part[-1].offset, date_of(day_of(part[-1].timestamp)))
        place.commit(which.path, encode(which, part, TOPIC_ID))


def by_build(place: Place, out: Path, source: Source) -> None:
    """As `headrace features build` does."""
    defined, end = definitions(), START_MS + DAYS * DAY_MS
    asked = Asked(START_MS, end, end + 100 * DAY_MS, source=source)
    build(place, defined, asked, out, rebuild=partial(replayed, place, defined, asked, 0.0), tell=lambda *_: None)


def by_sql(place: Place, out: Path, threads: int, *, sharp: bool) -> None:
    """The same table by SQL; `sharp`: windows of constant length."""
    with duckdb.connect(config={"threads": threads}) as db:
        db.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        db.execute(f"COPY ({_query(place, sharp=sharp)}) TO '{out}' (FORMAT parquet, COMPRESSION zstd)")


def _query(place: Place, *, sharp: bool) -> str:
    columns, windows = [], []
    for entity in ENTITIES:
        for window in WINDOWS:
            over = f"{entity}_{window.name}"
            back = f"{window.reach_ms - 1}"
            if not sharp:
                back = f"(at_ms - (at_ms // {window.tile_ms} - {window.tiles - 1}) * {window.tile_ms})"
            windows.append(
                f"{over} AS (PARTITION BY {entity}_id ORDER BY at_ms RANGE BETWEEN {back} PRECEDING AND CURRENT ROW)"
            )
            for name, what in (
                ("count", f"count(*) OVER {over}"),
                ("sum", f"sum(cents) OVER {over}"),
                ("mean", f"sum(cents) OVER {over} / count(*) OVER {over}::DOUBLE"),
                ("max", f"max(cents) OVER {over}"),
            ):
                columns.append(f"({what})::DOUBLE AS {entity}_{name}_{window.name}")
    read = ", ".join(
        f"json_extract_string(body, '$.{key}') AS {name}_id"
        for name, key in {"user": "user_id", "card": "card_id", "device": "device_id", "ip": "ip",
                          "merchant": "merchant_id"}.items()
    )  # fmt: skip
    return f"""
        WITH raw AS (SELECT event_id, order_id, event_time, epoch_ms(event_time) AS at_ms,
                            round(value * 100)::BIGINT AS cents, decode(kafka_value) AS body
                     FROM ({select(place, "orders")})),
             orders AS (SELECT event_id, order_id, event_time, at_ms, cents, {read} FROM raw),
             labels AS (SELECT order_id, max_by(type, event_time) AS label_type, max(event_time) AS label_time
                        FROM ({select(place, "labels")}) GROUP BY order_id)
        SELECT event_id, orders.order_id, event_time, label_type, label_time, {", ".join(columns)}
        FROM orders LEFT JOIN labels ON orders.order_id = labels.order_id
        WINDOW {", ".join(windows)} ORDER BY at_ms"""


def measure(orders: int) -> dict[str, Any]:
    """What each way took, and whether they say the same."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        folder = Path(name)
        _tell(f"{orders:,} orders into an archive")
        archive_of(folder / "archive", orders)
        value: dict[str, Any] = {"orders": orders, "columns": len(NAMES)}
        for way in [*WAYS] * ROUNDS:
            took = _alone(way, folder, orders)
            _tell(f"{way}: {took}")
            value[way] = min(value.get(way, took), took, key=lambda one: one["seconds"])
        tables = {way: _values(folder / f"{way}.parquet") for way in ("logged", "replayed", "duckdb_1", "duckdb_3")}
    differ = {way: int((found != tables["logged"]).sum()) for way, found in tables.items() if way != "logged"}
    base = value["duckdb_1"]["rows_s"]
    return value | {
        "values_that_differ": differ,
        "logged_vs_duckdb_1": round(value["logged"]["rows_s"] / base, 2),
        "replayed_vs_duckdb_1": round(value["replayed"]["rows_s"] / base, 2),
        "sharp_vs_duckdb_1": round(value["duckdb_sharp_1"]["rows_s"] / base, 2),
        "holds": not any(differ.values()),
    }


WAYS: Mapping[str, Callable[[Place, Path], None]] = {
    "logged": partial(by_build, source="logged"),
    "replayed": partial(by_build, source="replayed"),
    "duckdb_1": partial(by_sql, threads=1, sharp=False),
    "duckdb_3": partial(by_sql, threads=3, sharp=False),
    "duckdb_sharp_1": partial(by_sql, threads=1, sharp=True),
    "duckdb_sharp_3": partial(by_sql, threads=3, sharp=True),
}


def _alone(way: str, folder: Path, orders: int) -> dict[str, float]:
    """In a process of its own, so that its memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_timed, way, folder, orders).result()


def _timed(way: str, folder: Path, orders: int) -> dict[str, float]:
    place, out = place_of(str(folder / "archive")), folder / f"{way}.parquet"
    before_mb = _peak_mb()
    started, cpu = time.perf_counter(), time.process_time()
    WAYS[way](place, out)
    seconds = time.perf_counter() - started
    return {
        "rows_s": round(orders / seconds),
        "seconds": round(seconds, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
        "more_mb": _peak_mb() - before_mb,
        "file_mb": round(out.stat().st_size / 2**20, 1),
    }


def _peak_mb() -> int:
    """Of this process alone: getrusage tells what the one had that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


def _values(path: Path) -> Any:
    """(n, d) by event time, with the order's number as a first column."""
    table = parquet.read_table(path)
    ids = np.array([float(one[1:]) for one in table.column("event_id").to_pylist()])
    return np.column_stack([ids, *(table.column(name).to_numpy() for name in NAMES)])


def _tell(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=ORDERS)
    a = parser.parse_args()
    value = measure(a.orders)
    print(value, flush=True)
    if a.orders >= ORDERS:
        target = {"values_that_differ": 0}
        data_hash = figure.hash_of(b"".join(value for _, value in bodies(1_000)))
        figure.write(
            "training-set", value=value, target=target, command="python -m bench.training_set", data_hash=data_hash
        )
    return 0 if value["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
