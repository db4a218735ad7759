"""The budget against a store that workers' code has filled: within 15 % for each group and in total."""

from __future__ import annotations

import asyncio

import pytest

from bench.budget import WITHIN, Shop, compared, run


@pytest.mark.timeout(120)
def test_what_is_predicted_is_what_a_store_takes() -> None:
    found = compared(*asyncio.run(run(Shop(entities=1_000, orders=5_000, clicks=3_000, labels=50))))
    off = {name: row["off"] for name, row in found["groups"].items() if row["keys"] > 100}
    assert len(off) == 12
    assert {name: one for name, one in off.items() if abs(one) > WITHIN} == {}
    assert abs(found["total_off"]) < WITHIN
