"""ADWIN of ours beside River's compiled one."""

from __future__ import annotations

import random

import pytest
from river import drift

from training.online.adwin import Adwin


def stream(seed: int, n: int = 6000) -> list[int]:
    """Errors whose rate jumps now and then."""
    rng = random.Random(seed)
    rate, values = 0.3, []
    for _ in range(n):
        rate = rng.random() if rng.random() < 0.001 else rate
        values.append(int(rng.random() < rate))
    return values


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("delta", [0.001, 0.01, 0.2])
def test_it_tells_the_changes_that_river_tells(seed: int, delta: float) -> None:
    ours, rivers = Adwin(delta), drift.ADWIN(delta)  # type: ignore[no-untyped-call]  # River's
    found: list[list[int]] = [[], []]
    for at, value in enumerate(stream(seed)):
        for detector, changes in zip((ours, rivers), found, strict=True):
            detector.update(value)
            if detector.drift_detected:
                changes.append(at)
    assert found[0] == found[1] != []
    assert ours.width == rivers.width


def test_a_steady_stream_has_no_change() -> None:
    detector = Adwin(0.002)
    rng = random.Random(1)
    for _ in range(5000):
        detector.update(int(rng.random() < 0.2))
        assert not detector.drift_detected
    assert detector.width == 5000
