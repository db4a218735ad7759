"""Decisions: precedence, reasons, and the same answer whatever the batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.decide import Decided, Decider, unusual_sessions
from models.exact import Floats
from models.logistic import Input, Logistic
from models.rules import Rules, parse
from schemas.decisions import ReasonCode

NAMES = ("order_amount", "user_count_1h", "card_count_10m")
RULES = """
[score]
review_at = 0.5
block_at = 0.9

[[rule]]
name = "many_orders"
code = "MANY_ORDERS"
text = "{user_count_1h} orders in an hour"
when = "user_count_1h >= 5"
action = "review"

[[rule]]
name = "card_testing"
code = "CARD_TESTING"
text = "{card_count_10m} times in ten minutes"
when = "card_count_10m >= 5"
action = "block"

[[rule]]
name = "tiny"
code = "TINY"
text = "only {order_amount}"
when = "order_amount < 100"
action = "allow"

[[rule]]
name = "card_worn"
code = "CARD_WORN"
text = "worn"
when = "card_count_10m >= 9"
action = "block"
"""


def rules(text: str = RULES) -> Rules:
    return parse(text, NAMES, ())


def model(weight: float = 1.0) -> Logistic:
    """The log-odds are those of the order's amount in hundreds, doubled: 50 % at 100."""
    return Logistic([Input("order_amount", usual=127, low=0, high=1e6, weight=weight)], 0.0, NAMES)


def decide(*rows: Sequence[float], by: Logistic | None = None, of: Rules | None = None) -> Decided:
    return Decider(of or rules(), by, NAMES).decide(np.array(rows, dtype=np.float64).reshape(-1, len(NAMES)))


def test_what_matches_nothing_is_allowed_without_a_word() -> None:
    decided = decide([120, 1, 1], by=model())
    assert (decided.action, decided.rules, decided.reasons) == (["allow"], [()], [()])


def test_block_goes_before_review() -> None:
    decided = decide([200, 9, 5])
    assert decided.action == ["block"]
    assert decided.rules == [("card_testing", "many_orders")]


def test_allow_goes_before_block_and_still_names_every_rule_that_holds() -> None:
    decided = decide([50, 9, 9])
    assert decided.action == ["allow"]
    assert decided.rules == [("tiny", "card_testing", "card_worn", "many_orders")]
    assert decided.reasons[0][0] == ReasonCode("TINY", "only 50", 50.0)


def test_the_first_rule_of_the_file_gives_the_first_reason_inside_an_action() -> None:
    assert [reason.code for reason in decide([200, 0, 9]).reasons[0]] == ["CARD_TESTING", "CARD_WORN", "NO_MODEL"]


@pytest.mark.parametrize(("amount", "action"), [(127, "review"), (126, "allow"), (1e4, "block")])
def test_the_score_decides_from_its_thresholds_on(amount: float, action: str) -> None:
    assert decide([amount, 1, 1], by=model()).action == [action]


def test_the_scores_reasons_are_the_inputs_that_raised_it() -> None:
    decided = decide([10_000, 1, 1], by=model())
    assert decided.reasons == [(ReasonCode("HIGH_ORDER_AMOUNT", "order_amount: 10000, usually 127", 10_000.0),)]


def test_an_input_is_called_by_its_words_where_it_has_some() -> None:
    decider = Decider(rules(), model(), NAMES, {"order_amount": "amount of the order"})
    (reason,) = decider.decide(np.array([[10_000.0, 1.0, 1.0]])).reasons[0]
    assert (reason.code, reason.text) == ("HIGH_ORDER_AMOUNT", "amount of the order: 10000, usually 127")


def test_an_input_that_is_lower_than_usual_may_raise_the_score() -> None:
    decided = decide([100, 1, 1], by=model(weight=-1))
    assert decided.reasons[0][0].code == "LOW_ORDER_AMOUNT"


def test_a_block_by_score_comes_before_a_review_by_rule_and_after_a_block_by_rule() -> None:
    codes = [reason.code for reason in decide([10_000, 9, 9], by=model()).reasons[0]]
    assert codes == ["CARD_TESTING", "CARD_WORN", "HIGH_ORDER_AMOUNT", "MANY_ORDERS"]


def test_without_a_model_rules_decide_and_every_order_says_so() -> None:
    decided = decide([120, 1, 1], [120, 9, 1])
    assert decided.score is None
    assert decided.action == ["allow", "review"]
    assert [reasons[-1].code for reasons in decided.reasons] == ["NO_MODEL", "NO_MODEL"]


def test_without_thresholds_the_score_decides_nothing() -> None:
    assert decide([1e6, 1, 1], by=model(), of=rules("")).action == ["allow"]


def test_a_rule_may_ask_for_the_score() -> None:
    text = '[[rule]]\nname="a"\ncode="A"\ntext="{score:.3f}"\nwhen="score > 0.4 and user_count_1h > 2"\naction="block"'
    decided = decide([127, 3, 1], [127, 1, 1], by=model(), of=rules(text))
    assert decided.action == ["block", "allow"]
    assert decided.reasons[0] == (ReasonCode("A", "0.500", 0.5),)


@pytest.mark.parametrize("by", [None, model()])
def test_an_empty_batch_has_no_decisions(by: Logistic | None) -> None:
    decided = decide(by=by)
    assert (decided.action, decided.rules, decided.reasons) == ([], [], [])


def test_a_vector_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="a vector of 2 columns: these rules read vectors of 3"):
        Decider(rules(), None, NAMES).decide(np.zeros((1, 2)))


vectors = st.lists(st.tuples(*[st.integers(-1, 20_000)] * 3), max_size=12).map(
    lambda rows: np.array(rows, dtype=np.float64).reshape(-1, 3)
)


@settings(deadline=None)
@given(x=vectors, cut=st.integers(0, 12))
def test_a_decision_does_not_depend_on_its_batch(x: Floats, cut: int) -> None:
    decider = Decider(rules(), model(), NAMES)
    whole, parts = decider.decide(x), [decider.decide(x[:cut]), decider.decide(np.asfortranarray(x[cut:]))]
    assert whole.action == [action for part in parts for action in part.action]
    assert whole.rules == [names for part in parts for names in part.rules]
    assert whole.reasons == [reasons for part in parts for reasons in part.reasons]
    assert whole.score is not None
    assert whole.score.tolist() == [score for part in parts if part.score is not None for score in part.score.tolist()]


def naive(row: Sequence[float], score: float) -> str:
    """The sentence of docs/rules.md, one order at a time."""
    amount, orders, tries = row
    if amount < 100:
        return "allow"
    if tries >= 5 or score >= 0.9:
        return "block"
    return "review" if orders >= 5 or score >= 0.5 else "allow"


@settings(deadline=None)
@given(x=vectors)
def test_the_action_is_the_first_match_in_order_of_precedence(x: Floats) -> None:
    decided = Decider(rules(), model(), NAMES).decide(x)
    assert decided.score is not None
    assert decided.action == [naive(row, score) for row, score in zip(x.tolist(), decided.score.tolist(), strict=True)]


def test_a_score_that_no_input_raised_is_its_own_reason() -> None:
    """An order that is usual in everything, at a threshold as low as the score of one."""
    decided = decide([127, 0, 0], by=model(weight=0.0))
    assert decided.action == ["review"]
    assert decided.reasons == [(ReasonCode("HIGH_SCORE", "the model's score is 0.50", 0.5),)]


@settings(deadline=None)
@given(x=vectors)
def test_what_is_stopped_has_a_reason_and_reasons_name_their_rules(x: Floats) -> None:
    decided = Decider(rules(), model(), NAMES).decide(x)
    for action, names, reasons in zip(decided.action, decided.rules, decided.reasons, strict=True):
        assert action == "allow" or reasons
        assert len([reason for reason in reasons if not reason.code.startswith("HIGH_")]) == len(names)


def test_session_rules_say_which_row_is_unusual_and_why() -> None:
    names = ("session_events", "session_cart_value")
    text = (
        '[[session_rule]]\nname="bot"\ncode="BOT"\ntext="{session_events} events"\nwhen="session_events > 9"\n'
        '[[session_rule]]\nname="stuffed"\ncode="FULL"\ntext="{session_cart_value}"\nwhen="session_cart_value > 99"\n'
    )
    found = unusual_sessions(parse(text, (), names), names, np.array([[1.0, 500.0], [1.0, 1.0], [10.0, 100.0]]))
    assert [(one.row, one.rule, one.reasons[0].text) for one in found] == [
        (0, "stuffed", "500"),
        (2, "bot", "10 events"),
        (2, "stuffed", "100"),
    ]
