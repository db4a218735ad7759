"""Random schedules keep every promise, and a protocol with one rule left out does not survive them."""

from __future__ import annotations

import pytest

from tests.simulation.mutations import MUTATIONS
from tests.simulation.run import schedules

SCHEDULES = 500
ENOUGH = 3000  # the rarest mutation shows in one schedule of some hundred
NEAR_ONE = 450  # a seed that it is not far from: any would do


def test_five_hundred_hostile_schedules_keep_every_promise() -> None:
    report = schedules(1, SCHEDULES)
    assert report.broken == {}
    for hostility in ("crashes", "zombies", "rollbacks", "remade", "rebuilds", "repeats", "catchups", "stalls", "late"):
        assert report.totals[hostility] > 0, f"no {hostility}: the schedules prove little"
    assert report.totals["orders"] > 20 * SCHEDULES
    assert report.totals["holes"] < SCHEDULES / 20, "the hole in P2 is rare"


@pytest.mark.parametrize("rule", sorted(MUTATIONS))
def test_leaving_a_rule_out_breaks_a_promise(rule: str) -> None:
    assert schedules(NEAR_ONE, ENOUGH, rule, until_broken=True).broken


def test_the_same_seed_gives_the_same_schedule() -> None:
    assert schedules(77, 3).totals == schedules(77, 3).totals
