"""The figure of online models holds when it should, and not else."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from bench.online import COLUMNS, PASSES, WATCHED, WEEKS, holds
from features.shop import shop_definitions


def measured() -> dict[str, Any]:
    """A figure that holds."""

    def found(auc: float, ap: float) -> dict[str, Any]:
        return {"periods": {WEEKS[0]: {"auc": {"value": auc}, "ap": {"value": ap}}}}

    return {
        one.name: found(0.5, 0.01) if one.shuffle else found(0.88, 0.73 + 0.01 * (one.delay_days == 0))
        for one in PASSES
    }


def test_it_holds() -> None:
    assert holds(measured())


@pytest.mark.parametrize(
    ("name", "metric", "value"),
    [
        ("adaptive_forest, 7 days late", "ap", 0.719),
        ("online_logistic, 7 days late", "ap", 0.679),
        ("adaptive_forest, labels shuffled", "auc", 0.54),
        ("online_logistic, labels shuffled", "auc", 0.46),
        ("adaptive_forest, 7 days late", "ap", 0.74),  # as with a delay of 0
    ],
)
def test_it_does_not_hold_where_one_number_is_off(name: str, metric: str, value: float) -> None:
    changed = copy.deepcopy(measured())
    changed[name]["periods"][WEEKS[0]][metric]["value"] = value
    assert not holds(changed)


def test_settings_were_chosen_before_any_test() -> None:
    assert WATCHED[1] <= min(WEEKS)


def test_its_columns_are_the_shops() -> None:
    assert set(COLUMNS) <= set(shop_definitions().vector.names)
