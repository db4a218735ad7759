"""Nothing is learnt from an order whose label was not known, and every test is the book's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from archive.arrow import pa, parquet
from bench.handbook import weeks
from bench.handbook.table import TOLD
from training import handbook
from training.handbook import DAY_S, Transactions


def transactions(n: int = 6_000, days: int = 180) -> Transactions:
    rng = np.random.default_rng(8)
    at_s = np.sort(rng.integers(0, days * DAY_S, n))
    return Transactions(
        np.arange(n), at_s, rng.integers(0, 50, n), rng.integers(0, 50, n), rng.random(n), rng.random(n) < 0.05
    )


def test_the_first_test_week_is_the_books() -> None:
    t = transactions()
    mine, book = weeks.week(t, weeks.TESTS[0]), handbook.split(t)
    assert np.array_equal(mine.train, book.train)
    assert np.array_equal(mine.test, book.test)


@pytest.mark.parametrize("test", [*weeks.CHOOSING, *weeks.TESTS])
def test_only_what_was_known_at_the_cut_is_learnt(test: str) -> None:
    t = transactions()
    cut_s = handbook.day_of(test) * DAY_S
    for split in (weeks.week(t, test), weeks.everything(t, test)):
        assert len(split.train) > 0
        assert (t.at_s[split.train] + handbook.DELAY_DAYS * DAY_S < cut_s).all()
        assert (t.day[split.test] >= handbook.day_of(test)).all()
        assert (t.day[split.test] < handbook.day_of(test) + handbook.TEST_DAYS).all()


def test_weeks_of_choosing_are_known_before_the_first_test_begins() -> None:
    last = max(handbook.day_of(test) for test in weeks.CHOOSING)
    assert last + handbook.TEST_DAYS + handbook.DELAY_DAYS <= handbook.day_of(weeks.TESTS[0])


def test_a_column_that_never_varies_is_left_out(tmp_path: Path) -> None:
    t = transactions(50)
    told = (t.id, t.at_ms, t.customer, t.terminal, t.amount, t.fraud)
    columns = dict(zip(TOLD, told, strict=True)) | {"a": t.amount * 2, "b": np.ones(50), "c": -t.amount}
    parquet.write_table(pa.table(columns).replace_schema_metadata({"feature_hash": "f"}), tmp_path / "t.parquet")
    read = weeks.read(tmp_path / "t.parquet")
    assert read.names == ("a", "c")
    assert np.array_equal(read.x, np.column_stack([t.amount * 2, -t.amount]))
    assert np.array_equal(read.transactions.at_s, t.at_s)
    assert read.about == {"feature_hash": "f"}
    assert np.array_equal(read.columns(("c",)), -t.amount[:, None])
