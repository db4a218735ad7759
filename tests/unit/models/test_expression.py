"""The language of rules: what it computes, and what it says of a text that it cannot use."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.expression import MAX_LENGTH, ExpressionError, compile_expression

NAMES = ("a", "b", "card_count_10m", "card_count_1h", "order_amount")


def value(text: str, **row: float) -> float:
    columns = {name: np.array([number], dtype=np.float64) for name, number in row.items()}
    return float(compile_expression(text, NAMES, "number").of(columns, 1)[0])


def holds(text: str, **row: float) -> bool:
    columns = {name: np.array([number], dtype=np.float64) for name, number in row.items()}
    return bool(compile_expression(text, NAMES, "truth").of(columns, 1)[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b * 2", 13.0),
        ("(a + b) * 2", 16.0),
        ("-a + 1", -2.0),
        ("a - b - 1", -3.0),
        ("a / b", 0.6),
        ("min(a, b, 4)", 3.0),
        ("max(a, b) + abs(0 - a)", 8.0),
        ("1e3", 1000.0),
    ],
)
def test_arithmetic_is_that_of_mathematics(text: str, expected: float) -> None:
    assert value(text, a=3, b=5) == expected


@pytest.mark.parametrize(
    "text", ["a < b", "a <= 3", "2 < a < b", "a == 3 and not b == 3", "a > 9 or b != 4", "not a > b"]
)
def test_conditions_hold_that_should(text: str) -> None:
    assert holds(text, a=3, b=5)


@pytest.mark.parametrize("text", ["a > b", "3 < a < 9", "a == 3 and b == 3", "a > 9 or b < 4", "1 > 2"])
def test_conditions_fail_that_should(text: str) -> None:
    assert not holds(text, a=3, b=5)


def test_and_binds_before_or() -> None:
    assert holds("a == 3 or a == 4 and b == 0", a=3, b=5)


def test_a_division_by_zero_is_no_evidence() -> None:
    assert value("a / b", a=3, b=0) == 0
    assert not holds("a / b > 2", a=3, b=0)


def test_a_batch_is_computed_row_by_row() -> None:
    columns = {"a": np.array([1.0, 2.0, 3.0]), "b": np.array([3.0, 2.0, 0.0])}
    assert compile_expression("a / b >= 1", NAMES, "truth").of(columns, 3).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("card_cuont_10m > 1", "unknown feature 'card_cuont_10m' at column 1; near: card_count_10m"),
        ("zebra > 1", "unknown feature 'zebra' at column 1; there are: a, b,"),
        ("a >", "is not an expression: "),
        ("", "is not an expression: "),
        ("a", "is a number: want a truth"),
        ("a and b > 1", "'a' at column 1 is a number: `and` wants a truth"),
        ("(a > 1) + 2 > 1", "is a truth: `+` wants a number"),
        ("a > (b > 1)", "is a truth: a comparison wants a number"),
        ("not a", "'a' at column 5 is a number: `not` wants a truth"),
        ("a ** 2 > 1", "is not part of the language: want names, numbers, + - * /"),
        ("a % 2 == 1", "is not part of the language"),
        ("a // 2 == 1", "is not part of the language"),
        ("~a > 1", "is not part of the language"),
        ("a in b", "is not part of the language"),
        ("a is b", "is not part of the language"),
        ("a if b > 1 else a", "is not part of the language"),
        ("a.real > 1", "is not part of the language"),
        ("[a][0] > 1", "is not part of the language"),
        ("(lambda: a)() > 1", "the functions are min"),
        ("__import__('os').system('true') > 1", "the functions are min"),
        ("eval(a) > 1", "the functions are min"),
        ("min(a, key=b) > 1", "the functions are min"),
        ("min(a) > 1", "has 1 argument(s): min() wants two or more arguments"),
        ("min(*a, b) > 1", "is not part of the language"),
        ("abs(a, b) > 1", "has 2 argument(s): abs() wants one argument"),
        ("'a' > 1", "'a' at column 1 is no number"),
        ("True", "True at column 1 is no number"),
        ("1j > a", "is no number"),
        ("a > 1e999", "too large: want at most"),
        ("a > 1" + "0" * 400, "too large: want at most"),
        ("-" * 1500 + "a > 1", "cannot be parsed"),
        ("a > 1\x00", "is not an expression"),
    ],
)
def test_an_error_names_the_place_the_value_and_the_remedy(text: str, says: str) -> None:
    with pytest.raises(ExpressionError) as error:
        compile_expression(text, NAMES, "truth")
    assert says in str(error.value)


def test_an_endless_text_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(ExpressionError, match=f"want at most {MAX_LENGTH}"):
        compile_expression("a + " * MAX_LENGTH + "a > 1", NAMES, "truth")


@pytest.mark.parametrize("same", ["a>1 and b<2", "  ( a > 1.0 )  and(b < 2)", "a > 1e0 and b < 2"])
def test_the_canonical_form_is_the_meaning(same: str) -> None:
    assert compile_expression(same, NAMES, "truth").canonical == "(and (> a 1.0) (< b 2.0))"


def test_names_come_once_and_in_order_of_appearance() -> None:
    assert compile_expression("b > a and b > order_amount", NAMES, "truth").names == ("b", "a", "order_amount")


# An oracle that shares no code: the text is run by Python itself, one row at a time, division guarded by hand.
numbers = st.sampled_from(["a", "b", "0", "1", "2.5", "1000"])
arithmetic = st.recursive(
    numbers,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*"), inner),
        st.builds("div({}, {})".format, inner, inner),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), inner, inner),
        st.builds("abs({})".format, inner),
        st.builds("(-{})".format, inner),
    ),
    max_leaves=8,
)
comparisons = st.builds(
    "({} {} {})".format, arithmetic, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), arithmetic
)
conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner),
        st.builds("(not {})".format, inner),
    ),
    max_leaves=5,
)


def by_python(text: str, row: Mapping[str, float]) -> bool:
    functions = {"div": lambda x, y: x / y if y else 0.0, "min": min, "max": max, "abs": abs}
    return bool(eval(text, {"__builtins__": {}}, {**functions, **row}))


def as_rule(text: str) -> str:
    """`div(x, y)` of the oracle is `((x) / (y))` in the language."""
    while (start := text.rfind("div(")) >= 0:
        depth, comma, end = 0, 0, start + 4
        while depth >= 0:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            comma = end if text[end] == "," and not depth else comma
            end += 1
        text = f"{text[:start]}(({text[start + 4 : comma]}) / ({text[comma + 1 : end - 1]})){text[end:]}"
    return text


@settings(deadline=None)
@given(text=conditions, a=st.floats(-1e6, 1e6), b=st.integers(-3, 1000))
def test_a_condition_means_what_python_means_by_it(text: str, a: float, b: int) -> None:
    assert holds(as_rule(text), a=a, b=b) == by_python(text, {"a": a, "b": float(b)})


@settings(deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_either_compiles_or_says_why_not(text: str) -> None:
    with contextlib.suppress(ExpressionError):
        names = compile_expression(text, NAMES, "number").names
        value(text, **dict.fromkeys(names, 1.0))
