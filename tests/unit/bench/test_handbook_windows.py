"""The Handbook's windows as ours: exact as far as events are kept one by one, within a tile beyond."""

from __future__ import annotations

import numpy as np
import pytest

from bench.handbook_windows import COLUMNS, DELAY_MS, equal, ours, within_a_tile
from training import handbook
from training.handbook import DAY_S, Transactions


def transactions(n: int = 3_000, days: int = 60) -> Transactions:
    """Of few customers and terminals, with one in ten a fraud."""
    rng = np.random.default_rng(4)
    at_s = np.sort(rng.choice(days * DAY_S, n, replace=False))
    customer, terminal = rng.integers(0, 12, n), rng.integers(0, 25, n)
    return Transactions(np.arange(n), at_s, customer, terminal, rng.integers(1, 10_000, n) / 100, rng.random(n) < 0.1)


def test_with_all_events_kept_every_window_is_the_books_to_the_second() -> None:
    t = transactions()
    mine, book = ours(t, keep=400), handbook.own_features(t)[:, 3:]
    assert {name: equal(mine[:, i], book[:, i]) for i, name in enumerate(COLUMNS)} == dict.fromkeys(COLUMNS, 1.0)


@pytest.mark.parametrize("keep", [0, 5, 40])
def test_with_fewer_no_count_is_off_by_more_than_a_tile(keep: int) -> None:
    t = transactions()
    mine = ours(t, keep)
    assert within_a_tile(t, mine)
    assert equal(mine[:, 4], handbook.own_features(t)[:, 7]) < 1.0, "else there was nothing to see"


def test_a_count_that_is_off_by_more_is_noticed() -> None:
    t = transactions()
    mine = ours(t, keep=40)
    mine[100, 0] += 1
    assert not within_a_tile(t, mine)


def test_a_fraud_is_not_known_before_its_label_comes() -> None:
    t = transactions()
    early = Transactions(
        t.id, t.at_s, t.customer, t.terminal, t.amount, t.fraud & (t.at_s < t.at_s[-1] - DELAY_MS // 1000)
    )
    assert np.array_equal(ours(t, keep=40), ours(early, keep=40))
