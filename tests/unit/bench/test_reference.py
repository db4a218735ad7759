"""The reference job's bench compares what ran with what ran, and asks for no more than that."""

from __future__ import annotations

from typing import Any

import pytest

from bench.reference import ALL, RATIOS, ROWS, ratios, summary, target

RATES = {"headrace": 100.0, "headrace_eos": 90.0}


def row(name: str) -> dict[str, Any]:
    return {"events_s": RATES.get(name, 50.0), "p50_ms": 20.0, "p99_ms": 30.0 if name in RATES else 60.0}


def test_of_all_rows_every_ratio_is_told_and_wanted() -> None:
    found = ratios({name: row(name) for name in ALL})
    assert found.keys() == RATIOS.keys() == target(ALL).keys() - {"cpu_us"}
    assert found["events_s_vs_flink_java"] == 2
    assert found["eos_events_s_vs_kstreams_eos"] == 1.8
    assert found["eos_p99_ms_vs_kstreams_eos"] == 0.5


def test_of_peers_that_did_not_run_nothing_is_told_or_wanted() -> None:
    found = ratios({name: row(name) for name in ROWS})
    assert found.keys() == target(ROWS).keys() - {"cpu_us"}
    assert not any("kstreams" in name for name in found)


@pytest.mark.parametrize("broken", [{}, {"sat": [{"error": "no output"}], "check": {"ok": False}}])
def test_a_row_that_gave_no_numbers_has_none(broken: dict[str, Any]) -> None:
    found = summary(broken)
    assert found["outputs_ok"] is False
    assert found["events_s"] is None
    assert ratios({"headrace": found, "quix": row("quix")}) == {}
