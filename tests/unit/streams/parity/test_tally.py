"""Equal means the same 64 bits; what differs is counted by feature, with the first order that shows it."""

from __future__ import annotations

import numpy as np

from streams.parity.tally import Tally

ORDERS = [("o1", "d1", 10), ("o2", "d2", 20), ("o3", "d3", 30)]


def tally() -> Tally:
    return Tally(("a", "b"))


def test_equal_vectors_are_counted_and_nothing_else() -> None:
    own = tally()
    rows = np.array([[1.0, 0.1 + 0.2], [0.0, -1.0], [5.5, 1e300]])
    own.compare(ORDERS, rows, rows.copy())
    assert (own.compared, own.mismatches, own.wrong) == (3, 0, [])


def test_the_last_bit_counts_and_so_does_the_sign_of_zero() -> None:
    own = tally()
    logged, rebuilt = (
        np.array([[0.3, 0.0], [1.0, 1.0], [1.0, 1.0]]),
        np.array([[0.1 + 0.2, -0.0], [1.0, 1.0], [1.0, 1.0]]),
    )
    own.compare(ORDERS, logged, rebuilt)
    assert own.mismatches == 1
    assert own.by_feature.tolist() == [1, 1]


def test_nan_is_equal_to_nothing_not_even_itself() -> None:
    own = tally()
    rows = np.full((3, 2), np.nan)
    own.compare(ORDERS, rows, rows.copy())
    assert own.mismatches == 3


def test_of_each_feature_the_first_order_is_told_with_both_values_the_worst_feature_first() -> None:
    own = tally()
    own.compare(ORDERS, np.array([[1.0, 1.0], [1.0, 2.0], [9.0, 3.0]]), np.array([[1.0, 7.0], [1.0, 8.0], [4.0, 9.0]]))
    assert own.wrong == ["b", "a"]
    assert (own.first["b"].order_id, own.first["b"].logged, own.first["b"].rebuilt) == ("o1", 1.0, 7.0)
    assert own.first["a"].order_id == "o3"
    assert own.as_dict()["features"]["a"]["mismatches"] == 1
    assert any("order o1: logged 1.0, rebuilt 7.0" in line for line in own.lines(5))
