"""A plan follows from its seed, and sends all its events whatever the faults are."""

import pytest

from streams.chaos.plan import BURSTS, EVENTS_PER_ORDER, Kind, Plan, shuffled

OTHERS = [Kind.BROKER_STOP, Kind.STORE_KILL]


def plan(orders: int = 2000, kills: int = 3) -> Plan:
    return Plan(orders, 2, 7, shuffled(kills, OTHERS, 7))


def test_the_same_seed_gives_the_same_order_of_faults_and_another_seed_another() -> None:
    assert shuffled(20, OTHERS, 1) == shuffled(20, OTHERS, 1)
    assert shuffled(20, OTHERS, 1) != shuffled(20, OTHERS, 2)


def test_every_fault_asked_for_happens_once() -> None:
    assert sorted(shuffled(2, OTHERS, 5)) == sorted([Kind.WORKER_KILL] * 2 + OTHERS)
    assert plan(kills=3).kills == 3


def test_bursts_take_their_share_of_the_events_and_no_more() -> None:
    one = plan()
    assert one.burst * (len(one.faults) + 1) <= one.orders * EVENTS_PER_ORDER * BURSTS


@pytest.mark.parametrize(("orders", "least", "most"), [(100, 25, 25), (200_000, 500, 2000)])
def test_ranges_are_small_in_small_runs_so_that_a_kill_meets_one_in_any_state(
    orders: int, least: int, most: int
) -> None:
    assert least <= plan(orders).range_records(12) <= most


def test_only_a_rollback_loses_state() -> None:
    assert not plan().loses_state
    assert Plan(100, 1, 1, (Kind.STORE_ROLLBACK,)).loses_state
