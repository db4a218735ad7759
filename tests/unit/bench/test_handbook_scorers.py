"""The blend is what its members say, nothing of a test week is in its weights, and the figure holds when it should."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.handbook import scorers, weeks
from bench.handbook.chosen import BLEND, CHOSEN, COLUMNS, WEIGHTS, columns_of
from bench.handbook.fitting import fit
from bench.handbook.offline import SPLITS
from bench.handbook.scorers import holds
from bench.handbook.weeks import Table
from features.shop import shop_definitions
from models.blend import Blend
from training.batch.weigh import Weights
from training.handbook import DAY_S, Transactions, day_of


def vectors(n: int) -> tuple[Any, Any, tuple[str, ...]]:
    """Orders whose amount tells the frauds, with one column more than is shown to any model."""
    names = ("not_shown", *columns_of("network"))
    x = np.random.default_rng(4).lognormal(size=(n, len(names)))
    return x, x[:, names.index("order_amount")] > 4.0, names


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer trees."""
    few = {kind: {**CHOSEN[kind], "trees": 20} for kind in ("boosted", "forest")}
    monkeypatch.setattr("bench.handbook.fitting.CHOSEN", {**CHOSEN, **few})
    monkeypatch.setattr("bench.handbook.fitting.WITH_MORE", {"forest": {"rows": 0.3}})


@pytest.mark.parametrize("mode", sorted(SPLITS))
def test_the_blend_is_what_its_members_make_of_the_chosen_columns(mode: str) -> None:
    x, fraud, names = vectors(800)
    blend = fit(BLEND, x, fraud, names, mode)
    assert isinstance(blend, Blend)
    assert set(blend.reads) <= set(COLUMNS)
    assert blend.weights == WEIGHTS.of
    for kind, score in blend.members(x).items():
        assert np.array_equal(score, fit(kind, x, fraud, names, mode).score(x))


def test_the_chosen_columns_are_the_shops() -> None:
    assert {column for kind in CHOSEN for column in columns_of(kind)} <= set(shop_definitions().vector.names)


def test_labels_after_the_weeks_of_choosing_change_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorers, "WEIGHTS", Weights({"boosted": 0.5, "logistic": 0.5}, 0.0))
    rng, n, days = np.random.default_rng(5), 6_000, 180
    x, fraud, names = vectors(n)
    at_s = np.sort(rng.integers(0, days * DAY_S, n))
    t = Transactions(np.arange(n), at_s, np.arange(n), rng.integers(0, 50, n), x[:, 1], fraud)
    turned = replace(t, fraud=fraud ^ (at_s >= day_of("2018-08-01") * DAY_S))
    assert scorers.weigh(Table(t, x, names, {})) == scorers.weigh(Table(turned, x, names, {}))


def measured() -> dict[str, Any]:
    """A figure that holds."""
    one = {
        "ap": {"value": 0.75},
        "calibration": {"value": 0.005},
        "top_gap": {"value": 0.09},
        "top_rate": {"value": 0.5},
    }
    others = {"boosted": {"ap": {"value": 0.74}}, "network": {"ap": {"value": 0.725}}}
    mode = {"weeks": {weeks.TESTS[0]: {BLEND: one, **others}}, "mean": {BLEND: {"ap": 0.74}}}
    return {
        "week": copy.deepcopy(mode),
        "everything": copy.deepcopy(mode),
        "leaks": {"labels_shuffled": {"auc": {"low": 0.43, "high": 0.48}}},
    }


def test_it_holds() -> None:
    assert all(holds(measured()).values())


@pytest.mark.parametrize(
    ("where", "value", "which"),
    [
        (("everything", "mean", BLEND, "ap"), 0.739, "everything, mean"),
        (("everything", "weeks", weeks.TESTS[0], BLEND, "ap", "value"), 0.749, "everything, the book's week"),
        (("everything", "weeks", weeks.TESTS[0], "network", "ap", "value"), 0.719, "network"),
        (("week", "weeks", weeks.TESTS[0], BLEND, "calibration", "value"), 0.0051, "calibration"),
        (("week", "weeks", weeks.TESTS[0], BLEND, "top_gap", "value"), 0.11, "top 1 %"),
        (("leaks", "labels_shuffled", "auc", "low"), 0.54, "shuffled"),
        (("leaks", "labels_shuffled", "auc", "high"), 0.46, "shuffled"),
    ],
)
def test_it_does_not_hold_where_one_number_is_off(where: tuple[str, ...], value: float, which: str) -> None:
    changed = measured()
    place = changed
    for name in where[:-1]:
        place = place[name]
    place[where[-1]] = value
    assert [name for name, well in holds(changed).items() if not well] == [which]
