"""From transactions to judged decisions, through Kafka and the workers: `make handbook OUT=DIR`.

The story: workers decide the past and remember it; the archive keeps it; a training set is built from the archive with
what was known on the day of the cut; a model is fitted on it and put in force; the test days are replayed, and what
`headrace consume fraud` gave for them is judged by the book's protocol. DIR then holds

    fraud.ndjson    the decisions of the test days, one a line
    figures.json    AUC, average precision and CP@100 with their intervals, beside what the same model says offline
    set.parquet     the training set; registry/: the model; archive/: everything that was archived
    test.parquet    the vectors of the test days, as they were logged

Each member of a blend is judged alone by what it says of the logged vectors, and what the whole model says of them must
be what was decided. The price: 15 minutes, four processes, 5 GB.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from bench import figure
from bench.handbook.chosen import BLEND, SEED
from bench.handbook.fitting import Fitted, Read, fit_set, read_set
from bench.handbook.ground import Ground, begin
from features.columns import Floats
from models.blend import Blend
from models.registry import Registry
from streams.embedded.processes import Children
from training import handbook
from training.handbook import Transactions
from training.metrics import Scored, measure_all

COMMAND: Final = "make handbook OUT=DIR"
TARGET: Final = {"auc": 0.885, "ap": 0.73, "cp100": 0.30}


@dataclass(frozen=True, slots=True)
class Days:
    """Dates, UTC: workers begin at `warm`; a model learns from [train, train_end), is fitted at `cut` and decides until
    `end`.
    """

    warm: str
    train: str
    train_end: str
    cut: str
    end: str


# Workers begin 40 days before training: the longest windows are 30 days of labels that come 7 days late.
BOOK: Final = Days("2018-06-15", "2018-07-25", "2018-08-01", "2018-08-08", "2018-08-15")


class Out(msgspec.Struct):
    """What is read of a decision."""

    order_id: str
    event_time: str
    score: float
    model: dict[str, str | None]


@dataclass(slots=True)
class Clock:
    """How long each step took."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        print(f"{name} ...", flush=True)
        yield
        self.seconds[name] = round(time.monotonic() - began, 1)


def run(data: Path, out: Path, days: Days = BOOK, *, kind: str = BLEND, kafka: bool = True) -> Mapping[str, Any]:
    """Does all of it and returns what figures.json holds."""
    out.mkdir(parents=True, exist_ok=True)
    clock = Clock()
    with Children() as children:
        with clock.step("start"):
            ground = begin(children, data, out, kafka=kafka)
        with clock.step("past"):
            past(ground, days)
        with clock.step("training set"):
            build_set(ground, days.train, days.train_end, days.cut, out / "set.parquet")
        with clock.step("fit"):
            fitted = fit_set(out / "set.parquet", ground.registry, kind)
        with clock.step("in force"):
            in_force(ground, fitted)
        with clock.step("test days"):
            ground.replay(days.cut, days.end)
        with clock.step("audit"):
            report = ground.audit()
        with clock.step("consume"):
            consume(ground, days, out / "fraud.ndjson")
        with clock.step("their vectors"):
            ground.await_archive()
            build_set(ground, days.cut, days.end, days.end, out / "test.parquet")
        broker = ground.broker
        ground.stop_workers()
    judged = judge(data, days, out / "fraud.ndjson", fitted)
    beside = members(data, days, read_set(out / "test.parquet"), ground.registry, fitted)
    figures = {
        "name": "handbook",
        "value": judged,
        "target": TARGET,
        "holds": bool(report["holds"]) and all(judged[name]["value"] >= least for name, least in TARGET.items()),
        "members": beside,
        "audit": {key: value for key, value in report.items() if value},
        "model": fitted.about,
        "days": {name: getattr(days, name) for name in Days.__dataclass_fields__},
        "broker": broker,
        "seconds": clock.seconds,
        "command": COMMAND,
        "data_hash": handbook.data_hash(handbook.path_in(data)),
        "revision": figure.revision(),
        "machine": figure.machine(),
    }
    (out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def past(ground: Ground, days: Days) -> None:
    """Up to the cut, decided and archived."""
    ground.start_workers()
    ground.start_archive()
    ground.replay(days.warm, days.cut)
    ground.await_archive()


def build_set(ground: Ground, since: str, until: str, as_of: str, out: Path) -> None:
    """The orders of these days with their vectors, and the labels that were known at `as_of`."""
    told = ("--from", since, "--to", until, "--labels-as-of", as_of)
    mature = str(handbook.DELAY_DAYS)
    print(ground.headrace("features", "build", *told, "--mature-days", mature, "--out", str(out)), end="")


def in_force(ground: Ground, fitted: Fitted) -> None:
    """Champion from now on; the workers change over while they run."""
    ground.headrace("models", "promote", fitted.ref.label, "--why", "fitted for the test days")
    ground.await_deployment(ground.registry.deployed().number)


def consume(ground: Ground, days: Days, out: Path) -> int:
    """Keeps what `headrace consume fraud` gives for the test days, each decision once."""
    seen, decode = set[str](), msgspec.json.Decoder(Out).decode
    with out.open("wb") as into:
        for line in ground.lines("consume", "fraud", "--from", "start", "--until-idle", "5"):
            one = decode(line)
            if days.cut <= one.event_time[:10] < days.end and one.order_id not in seen:
                seen.add(one.order_id)
                into.write(line)
    return len(seen)


def judge(data: Path, days: Days, decisions: Path, fitted: Fitted) -> Mapping[str, Any]:
    """The decisions' scores against the labels, by the book's protocol; every transaction of the test must have one."""
    test = test_of(data, days)
    score = scores_of(test, decisions, fitted.ref.label)
    return {
        "orders": len(test.id),
        "frauds": int(test.fraud.sum()),
        **measured(score, test),
        "published_logistic_regression_of_the_book": handbook.PUBLISHED,
    }


def scores_of(test: Transactions, decisions: Path, label: str) -> Floats:
    """What was decided of each of these transactions; raises ValueError where another model did, or none."""
    decode = msgspec.json.Decoder(Out).decode
    outs = [decode(line) for line in decisions.read_bytes().splitlines()]
    labels = {f"{one.model['name']}/{one.model['version']}" for one in outs}
    if labels != {label}:
        raise ValueError(f"{decisions}: decided by {sorted(labels)}: want {label} alone")
    by_order = {one.order_id: one.score for one in outs}
    if missing := [number for number in test.id.tolist() if f"fh-{number}" not in by_order]:
        raise ValueError(f"{len(missing)} transactions of the test have no decision in {decisions}: {missing[:3]}")
    return np.array([by_order[f"fh-{number}"] for number in test.id.tolist()])


def members(data: Path, days: Days, read: Read, registry: Registry, fitted: Fitted) -> Mapping[str, Any]:
    """Each member of a blend alone, on the vectors that were logged; empty for a model that is none.

    Raises ValueError where the model says something else of them than was decided.
    """
    model = registry.of(fitted.ref, read.names, read.feature_hash).model
    test = test_of(data, days)
    place = {order: at for at, order in enumerate(read.order_ids)}
    rows = [place[f"fh-{number}"] for number in test.id.tolist()]
    x, decided = read.x[rows], read.score[rows]
    told = model.members(x) if isinstance(model, Blend) else {}
    if off := int((model.score(x) != decided).sum()):
        raise ValueError(f"{off} of {len(rows)} decisions are not what {fitted.ref.label} says of their vectors")
    return {name: measured(score, test) for name, score in told.items()}


def test_of(data: Path, days: Days) -> Transactions:
    """The transactions that are judged, by the book's protocol."""
    transactions = handbook.read(handbook.path_in(data))
    return transactions.rows(handbook.split(transactions, train_from=days.train).test)


def measured(score: Floats, test: Transactions) -> dict[str, Any]:
    found = measure_all(Scored(score, test.fraud, test.customer, test.day), SEED)
    return {name: metric.as_json() for name, metric in found.items()}
