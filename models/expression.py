"""Expressions: the small safe language that rules are written in.

A text such as `card_count_10m >= 5 and order_amount > 2 * user_mean_30d` is parsed by Python's own parser, held against
a list of what is allowed, and compiled once into calls on whole columns; nothing of it is ever executed as Python. It
has names, numbers, `+ - * /`, comparisons (also chained), `and or not`, `min(...)`, `max(...)` and `abs(x)`; see
docs/rules.md. Every value is a number or a truth, told apart when the text is compiled, so a rule cannot fail on a live
order.

The same answer on any CPU: each step is one IEEE operation on float64, never a fused or reordered one.
A division by zero gives 0: a ratio over nothing is no evidence.
The price: no short circuit, `a and b` computes both sides for the whole batch.
"""

from __future__ import annotations

import ast
import difflib
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]  # (n,) float64 for a number, (n,) bool for a truth; 0-d where no name occurs
Columns = Mapping[str, Values]  # name -> (n,)
Kind = Literal["number", "truth"]

MAX_LENGTH = 2_000  # characters of one expression: the parser recurses, and nobody reads a longer rule
NEAR_NAMES = 5  # suggestions in an error


class ExpressionError(ValueError):
    """The text is not an expression; the message says what, where and what to write instead."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled text. `canonical` is its meaning in prefix form, whatever the spaces and brackets."""

    kind: Kind
    canonical: str
    names: tuple[str, ...]  # distinct, in order of appearance
    evaluate: Callable[[Columns], Values]

    def of(self, columns: Columns, n: int) -> Values:
        """(n,) values, one a row. An overflow is an infinity, or no number at all, which only `!=` holds for."""
        with np.errstate(all="ignore"):
            values = self.evaluate(columns)
        return values if values.shape == (n,) else np.broadcast_to(values, (n,))


def compile_expression(text: str, names: Collection[str], kind: Kind) -> Expression:
    """The expression of `text` over `names`; raises ExpressionError where it is none or is not of this kind."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"{len(text)} characters: want at most {MAX_LENGTH}; split it into several")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        compiled = _compile(tree, frozenset(names))
    except SyntaxError as error:
        raise ExpressionError(f"{text!r} is not an expression: {error.msg} at column {error.offset}") from None
    except (RecursionError, MemoryError, ValueError) as error:
        if isinstance(error, ExpressionError):
            raise
        raise ExpressionError(f"{text[:60]!r}... cannot be parsed: {error or 'too deeply nested'}") from None
    if compiled.kind != kind:
        raise ExpressionError(f"{text!r} is a {compiled.kind}: want a {kind}, {_EXAMPLE[kind]}")
    return compiled


def near(name: str, names: Collection[str]) -> str:
    """`; near: a, b` for the names most like this one, or what there is to choose from."""
    close = difflib.get_close_matches(name, sorted(names), n=NEAR_NAMES, cutoff=0.5)
    if close:
        return f"; near: {', '.join(close)}"
    few = sorted(names)[:NEAR_NAMES]
    return (
        f"; there are: {', '.join(few)}{', ...' if len(names) > NEAR_NAMES else ''}" if few else "; there are none here"
    )


_EXAMPLE: dict[Kind, str] = {"truth": "such as `user_count_1h > 10`", "number": "such as `order_amount / 100`"}

_ARITHMETIC: dict[type[ast.operator], tuple[str, Callable[[Values, Values], Values]]] = {
    ast.Add: ("+", np.add),
    ast.Sub: ("-", np.subtract),
    ast.Mult: ("*", np.multiply),
    ast.Div: ("/", lambda a, b: _divide(a, b)),
}
_COMPARISONS: dict[type[ast.cmpop], tuple[str, Callable[[Values, Values], Values]]] = {
    ast.Lt: ("<", np.less),
    ast.LtE: ("<=", np.less_equal),
    ast.Gt: (">", np.greater),
    ast.GtE: (">=", np.greater_equal),
    ast.Eq: ("==", np.equal),
    ast.NotEq: ("!=", np.not_equal),
}
_CONNECTIVES: dict[type[ast.boolop], tuple[str, Callable[[Values, Values], Values]]] = {
    ast.And: ("and", np.logical_and),
    ast.Or: ("or", np.logical_or),
}
_FOLDS: dict[str, Callable[[Values, Values], Values]] = {"min": np.minimum, "max": np.maximum}
_ALLOWED = "names, numbers, + - * /, < <= > >= == !=, and or not, min(), max(), abs()"


def _divide(above: Values, below: Values) -> Values:
    ratio = np.asarray(np.divide(above, below))
    np.copyto(ratio, 0.0, where=np.equal(below, 0.0))  # half the price of dividing only where one may
    return ratio


def _compile(node: ast.expr, names: frozenset[str]) -> Expression:
    match node:
        case ast.Constant():
            return _constant(node)
        case ast.Name():
            return _name(node, names)
        case ast.UnaryOp():
            return _unary(node, names)
        case ast.BinOp():
            return _arithmetic(node, names)
        case ast.BoolOp():
            return _connective(node, names)
        case ast.Compare():
            return _comparison(node, names)
        case ast.Call():
            return _call(node, names)
    raise ExpressionError(f"{ast.unparse(node)!r} at {_at(node)} is not part of the language: want {_ALLOWED}")


def _at(node: ast.expr) -> str:
    return f"column {node.col_offset + 1}"


def _constant(node: ast.Constant) -> Expression:
    written = node.value
    if isinstance(written, bool) or not isinstance(written, int | float):
        raise ExpressionError(f"{written!r} at {_at(node)} is no number: want {_ALLOWED}")
    try:
        number = float(written)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ExpressionError(f"the number at {_at(node)} is too large: want at most 1.7e308")
    value = np.asarray(number)
    return Expression("number", repr(number), (), lambda _: value)


def _name(node: ast.Name, names: frozenset[str]) -> Expression:
    name = node.id
    if name not in names:
        raise ExpressionError(f"unknown feature {name!r} at {_at(node)}{near(name, names)}")
    return Expression("number", name, (name,), lambda columns: columns[name])


def _operand(node: ast.expr, names: frozenset[str], kind: Kind, of: str) -> Expression:
    compiled = _compile(node, names)
    if compiled.kind != kind:
        raise ExpressionError(f"{ast.unparse(node)!r} at {_at(node)} is a {compiled.kind}: {of} wants a {kind}")
    return compiled


def _joined(kind: Kind, word: str, parts: Sequence[Expression], evaluate: Callable[[Columns], Values]) -> Expression:
    canonical = f"({word} {' '.join(part.canonical for part in parts)})"
    return Expression(kind, canonical, _distinct(parts), evaluate)


def _distinct(parts: Iterable[Expression]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in parts for name in part.names))


def _folded(step: Callable[[Values, Values], Values], parts: Sequence[Expression]) -> Callable[[Columns], Values]:
    first, rest = parts[0].evaluate, [part.evaluate for part in parts[1:]]

    def evaluate(columns: Columns) -> Values:
        value = first(columns)
        for part in rest:
            value = step(value, part(columns))
        return value

    return evaluate


def _unary(node: ast.UnaryOp, names: frozenset[str]) -> Expression:
    if isinstance(node.op, ast.Not):
        truth = _operand(node.operand, names, "truth", "`not`")
        return _joined("truth", "not", [truth], lambda columns: np.logical_not(truth.evaluate(columns)))
    if isinstance(node.op, ast.USub):
        number = _operand(node.operand, names, "number", "`-`")
        return _joined("number", "neg", [number], lambda columns: np.negative(number.evaluate(columns)))
    raise ExpressionError(f"{ast.unparse(node)!r} at {_at(node)} is not part of the language: want {_ALLOWED}")


def _arithmetic(node: ast.BinOp, names: frozenset[str]) -> Expression:
    found = _ARITHMETIC.get(type(node.op))
    if found is None:
        raise ExpressionError(f"{ast.unparse(node)!r} at {_at(node)} is not part of the language: want {_ALLOWED}")
    word, step = found
    parts = [_operand(side, names, "number", f"`{word}`") for side in (node.left, node.right)]
    return _joined("number", word, parts, _folded(step, parts))


def _connective(node: ast.BoolOp, names: frozenset[str]) -> Expression:
    word, step = _CONNECTIVES[type(node.op)]
    parts = [_operand(part, names, "truth", f"`{word}`") for part in node.values]
    return _joined("truth", word, parts, _folded(step, parts))


def _comparison(node: ast.Compare, names: frozenset[str]) -> Expression:
    """`a < b <= c` is `a < b and b <= c`, as in mathematics."""
    sides = [_operand(side, names, "number", "a comparison") for side in (node.left, *node.comparators)]
    links = [_link(op, node, pair) for op, pair in zip(node.ops, pairwise(sides), strict=True)]
    return links[0] if len(links) == 1 else _joined("truth", "and", links, _folded(np.logical_and, links))


def _link(op: ast.cmpop, node: ast.Compare, pair: tuple[Expression, Expression]) -> Expression:
    found = _COMPARISONS.get(type(op))
    if found is None:
        raise ExpressionError(f"{ast.unparse(node)!r} at {_at(node)} is not part of the language: want {_ALLOWED}")
    word, step = found
    return _joined("truth", word, pair, _folded(step, pair))


def _call(node: ast.Call, names: frozenset[str]) -> Expression:
    word = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
    if word not in {*_FOLDS, "abs"} or node.keywords:
        raise ExpressionError(
            f"{ast.unparse(node)!r} at {_at(node)}: the functions are min(a, b, ...), max(a, b, ...), abs(a)"
        )
    parts = [_operand(part, names, "number", f"`{word}`") for part in node.args]
    if (len(parts) != 1) if word == "abs" else (len(parts) < 2):
        want = "one argument" if word == "abs" else "two or more arguments"
        raise ExpressionError(
            f"{ast.unparse(node)!r} at {_at(node)} has {len(parts)} argument(s): {word}() wants {want}"
        )
    if word == "abs":
        return _joined("number", word, parts, lambda columns: np.absolute(parts[0].evaluate(columns)))
    return _joined("number", word, parts, _folded(_FOLDS[word], parts))
