"""The Handbook's protocol, and its published figures where its data is there (HEADRACE_DATA)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from training import handbook
from training.fits.logistic import fit
from training.handbook import DAY_S, FEATURES, PUBLISHED, NoDataError, Transactions
from training.metrics import Scored

DATA = Path(os.environ.get("HEADRACE_DATA", "data"))


def some(n: int = 300, seed: int = 2) -> Transactions:
    rng = np.random.default_rng(seed)
    return Transactions(
        id=np.arange(n),
        at_s=np.sort(rng.integers(0, 60 * DAY_S, n)),
        customer=rng.integers(0, 9, n),
        terminal=rng.integers(0, 9, n),
        amount=np.round(rng.lognormal(3, 1, n), 2),
        fraud=rng.random(n) < 0.2,
    )


def naive_features(t: Transactions, row: int) -> dict[str, float]:
    """Some of the book's features of one transaction, by looking at every earlier one."""

    def past(same: str, days: float, delay: float = 0) -> list[int]:
        mine = getattr(t, same)[row]
        ages = (t.at_s[row] - t.at_s[: row + 1]) / DAY_S
        return [i for i in range(row + 1) if getattr(t, same)[i] == mine and delay <= ages[i] < delay + days]

    found: dict[str, float] = {}
    for days in (1, 7, 30):
        mine = past("customer", days)
        found[f"customer_count_{days}d"] = len(mine)
        found[f"customer_mean_{days}d"] = float(np.mean(t.amount[mine]))
        there = past("terminal", days, delay=7)
        found[f"terminal_count_{days}d"] = len(there)
        found[f"terminal_risk_{days}d"] = float(np.mean(t.fraud[there])) if there else 0.0
    return found


def test_the_books_features_are_those_of_a_slow_reading() -> None:
    t = some()
    features = handbook.own_features(t)
    for row in range(0, 300, 7):
        for name, value in naive_features(t, row).items():
            assert features[row, FEATURES.index(name)] == pytest.approx(value), name


def test_weekends_and_nights_are_those_of_the_calendar() -> None:
    hours = np.array([3, 12, 24 * 6 + 3, 24 * 6 + 12])  # 2018-04-01 was a Sunday
    n = len(hours)
    zeros = np.zeros(n, dtype=np.int64)
    t = Transactions(zeros, hours * 3600, zeros, zeros, np.ones(n), zeros > 0)
    features = handbook.own_features(t)
    assert features[:, FEATURES.index("weekend")].tolist() == [1, 1, 1, 1]
    assert features[:, FEATURES.index("night")].tolist() == [1, 0, 1, 0]


def test_a_test_day_leaves_out_the_cards_whose_fraud_was_known_by_then() -> None:
    start = handbook.day_of("2018-07-25")
    days = np.array([start, start + 8, start + 14, start + 14, start + 15, start + 16])
    customer = np.array([1, 2, 1, 2, 2, 2])
    fraud = np.array([True, True, False, False, False, False])
    n = len(days)
    t = Transactions(np.arange(n), days * DAY_S, customer, customer, np.ones(n), fraud)
    split = handbook.split(t)
    assert split.train.tolist() == [0]
    assert split.test.tolist() == [3, 4]  # card 1 known since training; the fraud of card 2 is known from day 16 on


def test_data_that_is_not_there_is_asked_for_by_name(tmp_path: Path) -> None:
    with pytest.raises(NoDataError, match="give the folder that holds fraud-handbook/transactions_raw"):
        handbook.path_in(tmp_path)


def test_another_parquet_file_is_refused_naming_the_columns(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is of the extra `history`")
    from pyarrow import parquet  # type: ignore[import-untyped]  # pyarrow ships no types

    parquet.write_table(pyarrow.table({"TX_FRAUD": [0]}), tmp_path / "other.parquet")
    with pytest.raises(NoDataError, match="columns CUSTOMER_ID, TERMINAL_ID"):
        handbook.read(tmp_path / "other.parquet")


@pytest.mark.skipif(not (DATA / handbook.FILE).is_file(), reason=f"HEADRACE_DATA names no folder with {handbook.FILE}")
def test_the_published_logistic_regression_is_reproduced() -> None:
    """.871 / .606 / .291 in the book: its features, its split, inputs standardised as they are."""
    t = handbook.around(handbook.read(handbook.path_in(DATA)))
    x, split = handbook.own_features(t), handbook.split(t)
    model = fit(x[split.train], t.fraud[split.train], FEATURES, squash="none")
    test = t.rows(split.test)
    scored = Scored(model.score(x[split.test]), test.fraud, test.customer, test.day)
    assert scored.auc() == pytest.approx(PUBLISHED["auc"], abs=0.001)
    assert scored.average_precision() == pytest.approx(PUBLISHED["ap"], abs=0.001)
    assert scored.card_precision() == pytest.approx(PUBLISHED["cp100"], abs=0.001)
