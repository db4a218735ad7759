"""Orders that wait: found by their ids, let go in turn, in few bytes each."""

from __future__ import annotations

from random import Random

import pytest

from schemas.ids import hash64
from streams.learner.orders import MOST_OF_ONE_ID, Orders


def id_of(number: int) -> int:
    return hash64(f"o-{number}")


def filled(count: int, ids: int | None = None) -> Orders:
    orders = Orders()
    for number in range(count):
        orders.add(id_of(number % (ids or count)), number, 1_000 + number, number % 12, 3 * number)
    return orders


def test_an_order_is_found_by_its_id_with_what_is_known_of_it() -> None:
    orders = filled(5_000)
    (row,) = orders.of(id_of(4_321))
    assert (orders.decision(row), orders.mature_ms(row), orders.where(row)) == (4_321, 5_321, (1, 12_963))
    assert list(orders.of(id_of(5_000))) == []


def test_what_was_said_is_kept_with_how_often() -> None:
    orders = filled(3)
    assert orders.told(1) == (0, None)
    orders.tell(1, 1, 0)
    assert orders.told(1) == (1, 0)
    orders.tell(1, 2, 1)
    assert (orders.told(1), orders.told(2)) == ((2, 1), (0, None))


def test_orders_of_one_id_are_all_found_the_newest_first() -> None:
    orders = filled(30, ids=10)
    assert list(orders.of(id_of(3))) == [23, 13, 3]
    assert orders.has(id_of(3), 13)
    assert not orders.has(id_of(3), 14)


def test_a_shop_that_sends_one_id_for_all_costs_no_more_than_some_of_them() -> None:
    orders = filled(20_000, ids=1)
    assert len(list(orders.of(id_of(0)))) == MOST_OF_ONE_ID


def test_rows_keep_their_numbers_when_older_ones_are_let_go() -> None:
    orders, dice = filled(3_000, ids=1_500), Random(3)
    kept = {row: (orders.order(row), orders.where(row)) for row in range(3_000)}
    for until in (1, 1_000, 1_000, 2_600):
        orders.let_go(until)
        assert (orders.first, orders.end, len(orders)) == (until, 3_000, 3_000 - until)
        for row in dice.sample(range(until, 3_000), 50):
            order, where = kept[row]
            assert orders.where(row) == where
            assert list(orders.of(order)) == [one for one in range(2_999, until - 1, -1) if kept[one][0] == order]


def test_all_may_go_and_others_come() -> None:
    orders = filled(2_000)
    orders.let_go(2_000)
    assert (len(orders), orders.first) == (0, 2_000)
    assert orders.add(id_of(0), 1, 2, 3, 4) == 2_000
    assert list(orders.of(id_of(0))) == [2_000]


def test_what_is_let_go_frees_its_memory() -> None:
    orders = filled(50_000)
    before = orders.bytes
    orders.let_go(49_000)
    assert orders.bytes < before / 20


@pytest.mark.parametrize("count", [90_000, 170_000, 180_000])
def test_an_order_takes_40_to_60_bytes(count: int) -> None:
    assert 40 < filled(count).bytes / count < 60
