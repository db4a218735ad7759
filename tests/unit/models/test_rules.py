"""Rules files: what they mean, and what is said of one that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.rules import NO_RULES, RulesError, hits, load, parse
from schemas.decisions import ReasonCode

NAMES = ("order_amount", "user_count_1h", "card_count_10m")
SESSION = ("session_events", "session_cart_value")

RULE = """
[[rule]]
name = "card_testing"
code = "CARD_TESTING"
text = "the card was used {card_count_10m} times"
when = "card_count_10m >= 5"
action = "block"
"""


def changed(key: str, line: str) -> str:
    """The one rule with a line replaced."""
    return "\n".join(line if row.startswith(f"{key} =") else row for row in RULE.splitlines())


def test_rules_stand_in_order_of_precedence_and_of_the_file_inside_it() -> None:
    one = '[[rule]]\nname="{}"\ncode="C"\ntext=""\nwhen="order_amount > 1"\naction="{}"\n'
    actions = [("a", "review"), ("b", "block"), ("c", "allow"), ("d", "block"), ("e", "review")]
    rules = parse("".join(one.format(*each) for each in actions), NAMES, SESSION)
    assert [rule.name for rule in rules.rules] == ["c", "b", "d", "a", "e"]


def test_a_batch_is_held_against_every_rule_at_once() -> None:
    rules = parse(
        RULE + changed("name", 'name = "dear"').replace("card_count_10m >= 5", "order_amount > 100"), NAMES, SESSION
    )
    columns = {"order_amount": np.array([50.0, 500.0]), "card_count_10m": np.array([9.0, 1.0])}
    assert hits(rules.rules, columns, 2).tolist() == [[True, False], [False, True]]


def test_a_rule_that_asks_for_the_score_is_silent_where_there_is_none() -> None:
    rules = parse(changed("when", 'when = "not score > 0.5"'), NAMES, SESSION)
    columns = {"score": np.zeros(1), "card_count_10m": np.zeros(1)}
    assert hits(rules.rules, columns, 1).tolist() == [[True]]
    assert hits(rules.rules, columns, 1, scored=False).tolist() == [[False]]


def test_a_condition_without_a_feature_speaks_of_every_row() -> None:
    assert hits(parse(changed("when", 'when = "1 > 0"'), NAMES, SESSION).rules, {}, 3).tolist() == [[True] * 3]


def test_an_empty_file_allows_everything() -> None:
    assert parse("", NAMES, SESSION) == NO_RULES


def test_the_value_of_a_reason_is_the_first_feature_of_the_condition_unless_the_rule_says_otherwise() -> None:
    columns, first = {"card_count_10m": np.array([7.0])}, np.array([0])
    (rule,) = parse(RULE, NAMES, SESSION).rules
    assert rule.reasons(columns, first) == [ReasonCode("CARD_TESTING", "the card was used 7 times", 7.0)]
    (rule,) = parse(RULE + 'value = "card_count_10m * 2"', NAMES, SESSION).rules
    assert rule.reasons(columns, first)[0].value == 14.0


@pytest.mark.parametrize(
    "same",
    [
        "# a comment\n" + RULE,
        changed("when", 'when   =   "(card_count_10m>=5.0)"'),
        "[session]\nunusual_at = 0.998" + RULE,
        changed("text", 'text = "the card was used { card_count_10m } times"'),
        "\n".join(["[[rule]]", *reversed(RULE.strip().splitlines()[1:])]),
    ],
)
def test_the_fingerprint_is_that_of_the_meaning(same: str) -> None:
    assert parse(same, NAMES, SESSION).fingerprint == parse(RULE, NAMES, SESSION).fingerprint == "8fbe1395719d3a80"


@pytest.mark.parametrize(
    "other",
    [
        changed("when", 'when = "card_count_10m >= 6"'),
        changed("action", 'action = "review"'),
        changed("code", 'code = "CARD"'),
        changed("text", 'text = "the card"'),
        changed("name", 'name = "other"'),
        RULE + 'value = "order_amount"',
        "[score]\nreview_at = 0.5" + RULE,
        "[score]\nblock_at = 0.5" + RULE,
        "[session]\nunusual_at = 0.99" + RULE,
        RULE.replace("rule]]", "session_rule]]")
        .replace('action = "block"', "")
        .replace("card_count_10m", "session_events"),
        "",
    ],
)
def test_another_meaning_has_another_fingerprint(other: str) -> None:
    assert parse(other, NAMES, SESSION).fingerprint != parse(RULE, NAMES, SESSION).fingerprint


def test_the_vector_may_gain_columns_without_changing_the_fingerprint() -> None:
    assert parse(RULE, ("new", *NAMES), SESSION).fingerprint == parse(RULE, NAMES, SESSION).fingerprint


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[rule]", "shop.toml: not TOML: "),
        (
            changed("when", 'when = "card_cuont_10m > 1"'),
            "rule 'card_testing': when: unknown feature 'card_cuont_10m' at column 1",
        ),
        (
            changed("when", 'when = "order_amount"'),
            "rule 'card_testing': when: 'order_amount' is a number: want a truth",
        ),
        (changed("when", "when = 5"), "rule 'card_testing': when = 5: want a text in quotes"),
        (changed("when", ""), "rule 'card_testing': when is missing: a rule has name, code, text, when, action"),
        (changed("name", ""), "rule number 1: name is missing"),
        (changed("name", 'name = "Card Testing"'), "name = 'Card Testing': want small letters"),
        (changed("code", 'code = "card"'), "code = 'card': want capitals"),
        (changed("code", 'code = "HIGH_RISK"'), "code = 'HIGH_RISK': codes that begin with HIGH_, LOW_, NO_MODEL"),
        (changed("action", 'action = "deny"'), "action = 'deny': want allow, block, review"),
        (changed("text", 'text = "used {card} times"'), "rule 'card_testing': text: unknown feature 'card'"),
        (changed("text", 'text = "used {card_count_10m:>9} times"'), "text: format '>9'"),
        (changed("text", 'text = "used { times"'), "text: a lone '{' at column 6"),
        (RULE + 'wehn = "1 > 0"', "rule 'card_testing': unknown key 'wehn'; near: when"),
        (RULE + RULE, "two rules are called 'card_testing'"),
        (RULE + 'value = "order_amount > 1"', "value: 'order_amount > 1' is a truth: want a number"),
        ("[scores]", "shop.toml: unknown key 'scores'; near: score"),
        ("[score]\nreview_at = 1.7", "shop.toml: [score] review_at = 1.7: want a number from 0 to 1"),
        ("[score]\nreview_at = nan", "[score] review_at = nan: want a number from 0 to 1"),
        ("[score]\nreview_at = 0.9\nblock_at = 0.5", "block_at = 0.5: want at least review_at = 0.9"),
        ("[score]\nrevue_at = 0.9", "[score]: unknown key 'revue_at'; near: review_at"),
        ("score = 1", "[score]: want a table"),
        ("session = 1", "[session]: want a table"),
        ("[session]\nunusual_at = 2", "[session] unusual_at = 2: want a number from 0 to 1; leave it out for 0.998"),
        ("[session]\nunusual = 0.9", "[session]: unknown key 'unusual'; near: unusual_at"),
        (
            "[[session_rule]]\nname='unusual_session'\ncode='A'\ntext=''\nwhen='session_events > 1'",
            "session_rule 'unusual_session': the model of sessions has that name",
        ),
        ("[rule]\nname = 'a'", "rule is dict: want a list of tables, each begun by [[rule]]"),
        (
            "[[session_rule]]\nname='a'\ncode='A'\ntext=''\nwhen='order_amount > 1'",
            "session_rule 'a': when: unknown feature",
        ),
        ("[[session_rule]]\naction='block'", "session_rule number 1: unknown key 'action'"),
    ],
)
def test_an_error_names_the_file_the_rule_the_value_and_the_remedy(text: str, says: str) -> None:
    with pytest.raises(RulesError) as error:
        parse(text, NAMES, SESSION, source="shop.toml")
    assert says in str(error.value)
    assert str(error.value).startswith("shop.toml: ")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match=r"rules file .*none\.toml: cannot be read"):
        load(tmp_path / "none.toml", NAMES, SESSION)
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9")
    with pytest.raises(RulesError, match=r"latin\.toml: cannot be read"):
        load(tmp_path / "latin.toml", NAMES, SESSION)
