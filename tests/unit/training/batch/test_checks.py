"""Each check finds what it is for, and a good set passes all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.labelled import DAY_MS, START_MS, changed, shop, with_column
from training.batch.checks import RefusedError, alone, labelled, refuse
from training.batch.table import Table
from training.batch.train import Job, planned

SHOP = shop()
JOB = Job(("logistic",))


def found(table: Table, check: str, **job: Any) -> list[tuple[str, str]]:
    """(level, text) of what this check found."""
    _, findings = planned(table, Job(("logistic",), **job))
    return [(one.level, one.text) for one in findings if one.check == check]


def test_a_good_set_has_nothing_against_it_but_its_idle_column() -> None:
    _, findings = planned(SHOP, JOB)
    assert [(one.check, one.level) for one in findings] == [("constant", "warn")]
    assert "idle" in findings[0].text


@pytest.mark.parametrize(
    ("fraud", "why"), [(np.zeros(len(SHOP), np.bool_), "0 of 4,800"), (np.ones(len(SHOP), np.bool_), "4,800 of 4,800")]
)
def test_labels_of_one_kind_are_refused(fraud: Any, why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        labelled(changed(SHOP, fraud=fraud))


def test_a_set_without_labels_is_refused() -> None:
    empty = SHOP.between(0, 1)
    with pytest.raises(RefusedError, match="none of 77 orders has a label that has matured"):
        labelled(changed(empty, left_out=77))


def test_too_few_frauds_are_refused_where_they_are_missing() -> None:
    rare = shop(rate=0.006)
    assert [level for level, _ in found(rare, "labels")] == ["refuse"] * len(found(rare, "labels"))
    assert any("among the days to held" in text for _, text in found(rare, "labels"))


def test_frauds_of_few_cards_cannot_judge() -> None:
    owner = np.where(SHOP.fraud, 7, SHOP.owner)
    ((level, text),) = found(changed(SHOP, owner=owner), "labels")
    assert (level, "those of 1 cards" in text) == ("refuse", True)


def test_a_value_that_is_no_number_is_refused() -> None:
    x = SHOP.x.copy()
    x[5, 2] = np.nan
    ((level, text),) = found(changed(SHOP, x=x), "finite")
    assert (level, text) == ("refuse", "column hurry has 1 values that are NaN or infinite: build the set again")


def test_days_whose_labels_have_not_come_are_told_of() -> None:
    """In the newest training days hardly an order is known as a fraud."""
    busy = shop(a_day=400)
    late = (busy.at_ms >= START_MS + 26 * DAY_MS) & (np.arange(len(busy)) % 4 > 0)
    late &= busy.at_ms < START_MS + 30 * DAY_MS
    ((level, text),) = found(changed(busy, fraud=busy.fraud & ~late), "rate", gap_days=3)
    assert level in ("warn", "refuse")
    assert "labels that came late" in text


def test_a_rate_that_leapt_is_refused_and_can_be_accepted() -> None:
    rng = np.random.default_rng(3)
    more = (SHOP.at_ms >= START_MS + 33 * DAY_MS) & (rng.random(len(SHOP)) < 0.5)
    table = changed(SHOP, fraud=SHOP.fraud | more)
    _, findings = planned(table, JOB)
    assert [(one.check, one.level) for one in findings if one.level == "refuse"] == [("rate", "refuse")]
    with pytest.raises(RefusedError, match="among the 838 orders of the held-out days"):
        refuse(findings, frozenset())
    refuse(findings, frozenset({"rate"}))


def test_columns_that_moved_are_named() -> None:
    x = SHOP.x.copy()
    x[SHOP.at_ms >= START_MS + 33 * DAY_MS, 2] += 3.0
    ((level, text),) = found(changed(SHOP, x=x), "drift")
    assert level == "warn"
    assert text == "1 of 4 columns moved much (PSI above 0.25) in the held-out days: hurry"


def test_where_most_columns_moved_the_set_is_refused() -> None:
    x = SHOP.x.copy()
    x[SHOP.at_ms >= START_MS + 33 * DAY_MS, :3] *= 4.0
    assert [level for level, _ in found(changed(SHOP, x=x), "drift")] == ["refuse"]


def test_a_column_that_knows_what_came_later_is_told_of() -> None:
    """The leak: whether the order was charged back, known weeks later."""
    rng = np.random.default_rng(2)
    later = SHOP.fraud + rng.normal(0, 0.1, len(SHOP))
    ((level, text),) = found(with_column(SHOP, "charged_back", later), "too_good")
    assert level == "warn"
    assert text.startswith("alone nearly tells who is a fraud: charged_back (AUC 1.000)")


def test_a_column_that_points_the_other_way_tells_as_much() -> None:
    fraud = np.array([True, True, False, False, False])
    assert alone(np.array([1.0, 2.0, 3.0, 3.0, 4.0]), fraud) == 1.0
    assert alone(np.zeros(5), fraud) == 0.5
