"""Chaos switches off one safety at a time, and nothing is off by default."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from streams.protocol.safety import MUTATIONS, SAFE


def test_all_safeties_are_on_by_default() -> None:
    assert all(astuple(SAFE))


@pytest.mark.parametrize("name", ["no-plan", "early-publish", "no-dedup", "no-stamp"])
def test_a_mutation_switches_exactly_one_off(name: str) -> None:
    assert astuple(MUTATIONS[name]).count(False) == 1
