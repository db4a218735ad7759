"""The same hostile schedules on a real Valkey: every promise is kept, and every call is answered as memory answers."""

from __future__ import annotations

import pytest

from tests.simulation.real import LUA_MUTATIONS
from tests.simulation.run import schedules

SCHEDULES = 30
ENOUGH = 200


def test_thirty_schedules_on_a_real_store_keep_every_promise_and_are_those_of_memory() -> None:
    report = schedules(1, SCHEDULES, store="both")
    assert report.broken == {}
    for hostility in ("crashes", "zombies", "rollbacks", "remade", "rebuilds", "repeats", "catchups", "stalls", "late"):
        assert report.totals[hostility] > 0, f"no {hostility}: the schedules prove little"
    assert report.totals == schedules(1, SCHEDULES).totals


def test_sixteen_shards_on_a_real_store_keep_every_promise() -> None:
    report = schedules(1, 6, store="both", shards=16)
    assert report.broken == {}
    assert report.totals["rollbacks"] > 0


@pytest.mark.parametrize("rule", sorted(LUA_MUTATIONS))
def test_leaving_a_rule_out_of_the_library_breaks_a_promise(rule: str) -> None:
    assert schedules(1, ENOUGH, rule, "valkey", until_broken=True).broken
