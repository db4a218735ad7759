"""The table's vectors are those of a worker's history, and no label is in them before its day."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from archive.arrow import pa, parquet
from bench.handbook import table
from bench.handbook.past import ranges
from features.definitions import Definitions
from features.shop import shop_definitions
from schemas.outcomes import OUTCOMES
from streams.data.dataset import Window
from streams.data.handbook import LABEL_DELAY_MS, Handbook
from training import fit, handbook, history

DAY_MS = 86_400_000
START_MS = 1_522_540_800_000  # 2018-04-01
DAYS, N = 45, 900


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Transactions of 15 customers at 12 terminals, one in ten a fraud."""
    rng = np.random.default_rng(3)
    at_ms = START_MS + np.sort(rng.choice(DAYS * DAY_MS // 1000, N, replace=False)) * 1000
    columns = {
        "TRANSACTION_ID": np.arange(N),
        "TX_DATETIME": pa.array(at_ms, pa.timestamp("ms")),
        "TX_TIME_SECONDS": (at_ms - START_MS) // 1000,
        "CUSTOMER_ID": rng.integers(0, 15, N),
        "TERMINAL_ID": rng.integers(0, 12, N),
        "TX_AMOUNT": np.round(rng.lognormal(4, 1, N), 2) + 0.01,
        "TX_FRAUD": (rng.random(N) < 0.1).astype(np.int64),
    }
    folder = tmp_path_factory.mktemp("data")
    (folder / "fraud-handbook").mkdir()
    parquet.write_table(pa.table(columns), folder / handbook.FILE)
    return folder


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    return shop_definitions()


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    out = tmp_path_factory.mktemp("table") / "table.parquet"
    table.write(data, out, Window(), Window())
    read = parquet.read_table(out)
    return {name: read.column(name).to_numpy() for name in read.column_names}


def outcome_columns(names: Sequence[str]) -> list[str]:
    return [name for name in names if "risk" in name or "fraud" in name]


def test_every_transaction_is_there_once_with_its_own_label(made: dict[str, np.ndarray], data: Path) -> None:
    t = handbook.read(handbook.path_in(data))
    for name, column in (("transaction", t.id), ("at_ms", t.at_ms), ("customer", t.customer), ("fraud", t.fraud)):
        assert np.array_equal(made[name], column), name


def test_what_labels_do_not_say_is_what_history_says(
    made: dict[str, np.ndarray], data: Path, definitions: Definitions
) -> None:
    t, names = handbook.read(handbook.path_in(data)), definitions.vector.names
    flow = next(flow for flow in definitions.flows if flow.topic == "orders")
    x = np.concatenate(list(history.vectors(flow, definitions.vector, [(list(fit.orders(t)), t.at_ms)])))
    for place, name in enumerate(names):
        if name not in outcome_columns(names):
            assert np.array_equal(made[name], x[:, place]), name


@pytest.mark.parametrize(("entity", "column"), [("customer", "user"), ("customer", "card"), ("terminal", "merchant")])
def test_a_fraud_is_known_seven_days_late_and_not_before(made: dict[str, np.ndarray], entity: str, column: str) -> None:
    mine, at_ms, fraud = made[entity], made["at_ms"], made["fraud"]
    known = np.zeros(N)
    for row in range(N):
        edge_ms = (at_ms[row] // DAY_MS - 29) * DAY_MS
        told = fraud & (mine == mine[row]) & (at_ms + LABEL_DELAY_MS <= at_ms[row]) & (at_ms >= edge_ms)
        known[row] = told.sum()
    assert np.array_equal(made[f"{column}_known_frauds_30d"], known)
    assert known.max() > 2


def test_an_outcome_comes_at_the_moment_of_its_label(data: Path, definitions: Definitions) -> None:
    before: list[int] = []
    outcomes = 0
    for one in ranges(Handbook.under(data).records(Window()), definitions):
        if one.topic == OUTCOMES:
            outcomes += len(one.events)
            assert all(at + LABEL_DELAY_MS > before[-1] for at in one.at_ms.tolist())
        else:
            before += one.at_ms.tolist()
    assert outcomes == int(handbook.read(handbook.path_in(data)).fraud.sum())
    assert before == sorted(before)
