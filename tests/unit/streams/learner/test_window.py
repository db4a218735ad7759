"""Figures of the newest rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score  # type: ignore[import-untyped]
from sklearn.metrics import log_loss as sklearn_log_loss

from streams.learner.window import Window, average_precision, log_loss

CASES = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.5, 0.9, 1.0]), st.booleans()), min_size=2, max_size=40)


@given(CASES.filter(lambda cases: len({fraud for _, fraud in cases}) == 2))
def test_they_are_those_of_scikit_learn(cases: list[tuple[float, bool]]) -> None:
    score, fraud = np.array([score for score, _ in cases]), np.array([fraud for _, fraud in cases])
    assert average_precision(score, fraud) == pytest.approx(average_precision_score(fraud, score))
    assert log_loss(score, fraud) == pytest.approx(sklearn_log_loss(fraud, np.clip(score, 1e-6, 1 - 1e-6)), abs=1e-5)


def test_without_both_classes_there_are_none_and_old_rows_leave() -> None:
    window = Window(rows=2)
    assert window.figures() is None
    window.add(0.9, True)
    assert window.figures() is None
    window.add(0.1, False)
    precision, loss = window.figures() or (0.0, 0.0)
    assert precision == 1.0
    assert loss == pytest.approx(-np.log(0.9))
    window.add(0.2, False)
    assert window.figures() is None
