"""Days are cut by time: nothing that judges is near what was learned from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.batch.spans import DAY_MS, TooShortError, spans

FIRST = 20_000 * DAY_MS


@given(days=st.floats(8, 400), held=st.integers(1, 30), gap=st.integers(0, 120), late_ms=st.integers(0, DAY_MS - 1))
def test_spans_follow_each_other_with_the_whole_gap_between(days: float, held: int, gap: int, late_ms: int) -> None:
    first, last = FIRST + late_ms, FIRST + round(days * DAY_MS)
    try:
        cut = spans(first, last, held_days=held, gap_days=gap)
    except TooShortError:
        assert days - held - gap < 5
        return
    assert cut.from_ms < cut.weigh_ms < cut.calibrate_ms < cut.to_ms <= cut.held_ms < cut.end_ms
    assert cut.held_ms - cut.to_ms == gap * DAY_MS
    assert (cut.train[0], cut.train[1]) == (cut.fit[0], cut.calibrate[1])
    assert (cut.fit[1], cut.weigh[1]) == (cut.weigh[0], cut.calibrate[0])
    assert cut.end_ms == last + 1
    assert abs((cut.end_ms - cut.held_ms) / DAY_MS - held) <= 0.5 + 1e-9


def test_a_history_that_is_too_short_says_how_short() -> None:
    with pytest.raises(
        TooShortError, match=r"7 days to judge on and a gap of 120 days .* leave 0\.0 days to learn from"
    ):
        spans(FIRST, FIRST + 60 * DAY_MS, held_days=7, gap_days=120)
