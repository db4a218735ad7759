"""Which column goes to which encoder, and what is learned of each. Needs no torch."""

from __future__ import annotations

import numpy as np
import pytest

from features.shop import shop_definitions
from models.exact import inverse_log2_line
from tests.support.training import NAMES, STEPS, orders
from training.network.columns import PREFIXES, learn, part_of


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("order_amount", "transaction"),
        ("merchant_risk_7d", "transaction"),
        ("shop_count_1h", "transaction"),
        ("user_mean_30d", "user"),
        ("user_recent_gap_s_8", "recent"),
        ("user_recent_same_device_1", "recent"),
        ("user_recent_orders", "user"),
        ("card_count_1h", "device"),
        ("ip_pace_1h", "device"),
        ("session_events", "device"),
        ("anything_else", "transaction"),
    ],
)
def test_a_name_says_whose_a_column_is(name: str, part: str) -> None:
    assert part_of(name) == part


def test_every_column_of_the_shop_has_a_line_of_the_table() -> None:
    names = shop_definitions().vector.names
    assert [name for name in names if not name.startswith(tuple(prefix for prefix, _ in PREFIXES))] == []


def test_a_column_that_never_varies_is_left_out_and_so_is_a_channel() -> None:
    x, _, _ = orders()
    inputs = learn(x, NAMES)
    assert "user_idle" not in inputs.names
    assert not any("same_device" in name for name in inputs.names)
    assert (inputs.shape.steps, inputs.shape.channels) == (STEPS, 2)
    assert inputs.shape.parts == {"transaction": 2, "user": 1, "device": 1}


def test_inputs_are_standardised_and_bounded() -> None:
    x, _, _ = orders()
    inputs = learn(x, NAMES)
    z = inputs.of(x)[:, :4]
    assert z.dtype == np.float32
    assert np.abs(z.mean(axis=0)).max() < 0.2
    assert z.std(axis=0) == pytest.approx(np.ones(4), abs=0.1)
    assert inputs.of(1e6 * x)[:, :4].max() <= z.max()


def test_steps_of_a_channel_are_measured_together_over_orders_that_there_were() -> None:
    x, _, _ = orders()
    inputs = learn(x, NAMES)
    of = {one.name: one for one in inputs.reads}
    first, last = of["user_recent_amount_1"], of[f"user_recent_amount_{STEPS}"]
    assert (first.usual, first.spread, first.low, first.high) == (last.usual, last.spread, last.low, last.high)
    assert first.usual == pytest.approx(inverse_log2_line(np.log2(1 + np.exp(3))), rel=0.1)


def test_where_there_was_no_order_its_inputs_are_usual_and_it_says_so() -> None:
    x, _, _ = orders()
    inputs = learn(x, NAMES)
    steps = inputs.of(x)[:, 4:].reshape(len(x), STEPS, 3)
    none = x[:, 9 : 9 + STEPS] < 0
    assert (steps[none] == [0, 0, 1]).all()
    assert (steps[~none][:, 2] == 0).all()


def test_a_vector_without_last_orders_has_no_sequence() -> None:
    x, _, _ = orders()
    inputs = learn(x[:, :5], NAMES[:5])
    assert inputs.shape.steps == inputs.shape.recent == 0


def test_a_sequence_without_gaps_names_the_column_to_add() -> None:
    x, _, _ = orders()
    with pytest.raises(ValueError, match="has user_recent_amount_1 and not user_recent_gap_s_1"):
        learn(x[:, :9], NAMES[:9])


def test_rows_that_are_all_the_same_are_refused() -> None:
    with pytest.raises(ValueError, match="none of 2 columns varies over 9 rows"):
        learn(np.ones((9, 2)), ("a", "b"))
