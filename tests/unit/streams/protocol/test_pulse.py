"""A stall is one long gap, not much work in small steps."""

from __future__ import annotations

from streams.protocol.pulse import Pulse


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_one_gap_longer_than_a_session_is_a_stall() -> None:
    clock = Clock()
    pulse = Pulse(clock, 10.0)
    clock.now_s = 10.5
    assert pulse.beat() == 10.5
    assert pulse.stalled


def test_slow_work_in_small_steps_is_none() -> None:
    clock = Clock()
    pulse = Pulse(clock, 10.0)
    for _ in range(20):
        clock.now_s += 9.0
        pulse.beat()
    assert not pulse.stalled


def test_a_new_range_forgets_what_was_before() -> None:
    clock = Clock()
    pulse = Pulse(clock, 10.0)
    clock.now_s = 60.0
    pulse.beat()
    pulse.start()
    pulse.beat()
    assert not pulse.stalled
