"""The logistic model: what it computes, what it finds, and what may not change a score."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.exact import Floats
from models.logistic import Input, Logistic, Squash

NAMES = ("a", "idle", "b")


def model(squash: Squash = "log2") -> Logistic:
    inputs = [Input("a", usual=3, low=0, high=1000, weight=0.5), Input("b", usual=0, low=-10, high=10, weight=-1.0)]
    return Logistic(inputs, -2.0, NAMES, squash)


rows = st.lists(st.tuples(*[st.floats(-1e12, 1e12)] * 3), min_size=1, max_size=30).map(lambda r: np.array(r))


def test_an_order_that_is_usual_in_everything_scores_the_bias() -> None:
    assert model().score(np.array([[3.0, 99.0, 0.0]])).tolist() == [round(1 / (1 + math.exp(2)), 6)]


def test_a_weight_is_what_doubling_adds_to_the_log_odds() -> None:
    once, twice = (model().contributions(np.array([[1.0 * 2**k - 1, 0, 0]]))[0, 0] for k in (3, 4))
    assert twice - once == 0.5


@settings(deadline=None)
@given(x=rows)
def test_a_score_is_a_rounded_probability_for_any_finite_input(x: Floats) -> None:
    score = model().score(x)
    assert ((score >= 0) & (score <= 1)).all()
    assert score.tolist() == [round(value, 6) for value in score.tolist()]


@settings(deadline=None)
@given(x=rows, more=st.floats(0, 1e9))
def test_more_of_what_is_fraud_like_never_scores_lower(x: Floats, more: float) -> None:
    shift = np.array([more, 0, -more])  # weights are above 0, none, below 0
    assert (model().score(x + shift) >= model().score(x)).all()


@settings(deadline=None)
@given(x=rows, cut=st.integers(0, 30))
def test_a_score_does_not_depend_on_its_batch(x: Floats, cut: int) -> None:
    parts = np.concatenate([model().score(x[:cut]), model().score(np.asfortranarray(x[cut:]))])
    assert model().score(x).tobytes() == parts.tobytes()


@settings(deadline=None)
@given(x=rows)
def test_an_input_beyond_the_range_of_training_counts_as_its_edge(x: Floats) -> None:
    assert model().score(np.clip(x, [0, -1e12, -10], [1000, 1e12, 10])).tobytes() == model().score(x).tobytes()


@settings(deadline=None)
@given(x=rows)
def test_contributions_add_up_to_the_log_odds(x: Floats) -> None:
    logit = model().bias + model().contributions(x).sum(axis=1)
    assert model().score(x) == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-6)


def test_a_model_without_inputs_scores_its_bias() -> None:
    assert Logistic([], 0.0, NAMES).score(np.zeros((2, 3))).tolist() == [0.5, 0.5]


def test_a_vector_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="a vector of 2 columns: this model reads vectors of 3"):
        model().score(np.zeros((1, 2)))


def test_a_line_may_bend_where_a_feature_comes_again() -> None:
    """`a` matters from 7 on only: below it the second input is clipped to where it starts."""
    bent = Logistic([Input("a", 7, 7, 1000, 1.0)], -2.0, NAMES)
    low, at, high = bent.score(np.array([[0.0, 0, 0], [7, 0, 0], [15, 0, 0]])).tolist()
    assert low == at < high


def test_what_a_feature_contributes_is_all_its_inputs_together() -> None:
    twice = Logistic([Input("a", 0, 0, 1000, 1.0), Input("a", 7, 7, 1000, 2.0), Input("b", 0, 0, 9, 1.0)], 0.0, NAMES)
    assert twice.reads == ("a", "b")
    assert twice.usual.tolist() == [0, 0]
    assert twice.contributions(np.array([[15.0, 0, 1]])).tolist() == [[4 + 2.0, 1.0]]
