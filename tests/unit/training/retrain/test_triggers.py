"""What is due, why, and what stands in the way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from training.metrics import Measured
from training.retrain.triggers import PRIORITY, Policy, Seen, due

DAY_MS = 86_400_000
NOW_MS = 20_100 * DAY_MS
POLICY = Policy()
CALM = Seen(
    now_ms=NOW_MS,
    orders=50_000,
    frauds=900,
    champion="shop/3",
    since_ms=NOW_MS - 2 * DAY_MS,
    run_ms=NOW_MS - 2 * DAY_MS,
    drift={f"column_{n}": 0.05 for n in range(10)},
    then=Measured(0.70, 0.65, 0.75),
    newer=Measured(0.68, 0.62, 0.74),
    new_frauds=30,
)


def names(seen: Seen, policy: Policy = POLICY) -> list[str]:
    return [one.name for one in due(seen, policy).triggers]


def test_a_champion_that_does_well_is_left_alone() -> None:
    assert due(CALM, POLICY).triggers == ()


def test_what_was_never_trained_is_due() -> None:
    assert names(Seen(NOW_MS, 50_000, 900)) == ["never_trained"]


def test_drift_is_due_where_a_share_of_the_columns_moved() -> None:
    one, two = ({**CALM.drift, **{f"column_{n}": 0.4 for n in range(many)}} for many in (1, 2))
    assert names(replace(CALM, drift=one)) == []
    assert names(replace(CALM, drift=two)) == ["drift"]


def test_a_drop_counts_beyond_the_noise_of_both() -> None:
    within, beyond = Measured(0.6, 0.55, 0.65), Measured(0.5, 0.45, 0.55)
    assert names(replace(CALM, newer=within)) == []
    assert names(replace(CALM, newer=beyond)) == ["performance"]


@pytest.mark.parametrize(("since", "run", "is_due"), [(8, 8, True), (8, 2, False), (2, 8, False), (8, None, True)])
def test_the_schedule_goes_by_the_champion_and_the_last_run(since: int, run: int | None, is_due: bool) -> None:
    """A challenger that was no better yesterday will be no better today."""
    seen = replace(CALM, since_ms=NOW_MS - since * DAY_MS, run_ms=run and NOW_MS - run * DAY_MS)
    assert names(seen) == (["schedule"] if is_due else [])


def test_new_frauds_are_due_when_there_are_enough() -> None:
    assert names(replace(CALM, new_frauds=199)) == []
    assert names(replace(CALM, new_frauds=200)) == ["new_data"]


def test_the_most_urgent_reason_stands_first() -> None:
    every = replace(
        CALM,
        since_ms=0,
        run_ms=None,
        drift=dict.fromkeys(CALM.drift, 1.0),
        newer=Measured(0.1, 0.1, 0.1),
        new_frauds=999,
    )
    assert names(every) == ["drift", "performance", "schedule", "new_data"]
    assert [one.priority for one in due(every, POLICY).triggers] == [90, 85, 50, 40]
    assert PRIORITY["never_trained"] == 100


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"orders": 1_999}, "1,999 labelled orders: want 2,000"),
        ({"frauds": 99}, "99 frauds: want 100"),
        ({"run_ms": NOW_MS - 3 * 3_600_000}, "the last run began 3.0 hours ago: want 24"),
    ],
)
def test_what_stands_in_the_way_is_named(changes: dict[str, int], why: str) -> None:
    seen = replace(CALM, new_frauds=500, **changes)  # type: ignore[arg-type]  # all of them numbers
    found = due(seen, POLICY)
    assert [one.name for one in found.triggers] == ["new_data"]
    assert found.blocked == (why,)
    assert not found.now
