"""Reasons: why an order got its action, in words that are frozen with the decision.

A reason is a code to count by, a text to read and the number that mattered. Texts are templates over the features:
`the card was used {card_count_10m} times, {order_amount / 100:.2f} this time`. A template is compiled with the rule, by
the same language, and rendered only for the orders it is about.

Python prints floats correctly rounded, so a text has the same bytes everywhere.
The price: a template costs 1 to 2 us an order, which is why nothing is rendered for orders that pass.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.expression import Columns, Expression, ExpressionError, compile_expression
from schemas.decisions import NO_MODEL, ReasonCode

RESERVED = ("HIGH_", "LOW_", NO_MODEL)  # codes of the model's own reasons, with what HIGH_ and LOW_ begin

_HOLE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_FORMAT = re.compile(r",?(\.\d)?[f%]?")


NO_MODEL_REASON: Final = ReasonCode(NO_MODEL, "no model is in force: decided by rules alone")


@dataclass(frozen=True, slots=True)
class Hole:
    """A place of a template: what stands in it, and the Python format it is written in ("" for the plain one)."""

    expression: Expression
    format: str


@dataclass(frozen=True, slots=True)
class Template:
    """A text with holes, in order."""

    parts: tuple[str | Hole, ...]
    canonical: str

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for part in self.parts if isinstance(part, Hole) for name in part.expression.names)

    def render(self, columns: Columns, n: int) -> list[str]:
        """The texts of n orders."""
        pieces = [[part] * n if isinstance(part, str) else _written(part, columns, n) for part in self.parts]
        return ["".join(row) for row in zip(*pieces, strict=True)]


def compile_template(text: str, names: Collection[str]) -> Template:
    """The template of `text`; raises ExpressionError where a hole is no number over `names`."""
    parts = tuple(_parts(text, names))
    canonical = "".join(
        part.replace("{", "{{").replace("}", "}}")
        if isinstance(part, str)
        else f"{{{part.expression.canonical}:{part.format}}}"
        for part in parts
    )
    return Template(parts, canonical)


def values_of(expression: Expression, columns: Columns, n: int) -> list[float]:
    """The numbers of n orders; what overflowed is shown as 0, so that it can be written as JSON."""
    values = expression.of(columns, n) + 0.0  # + 0.0 turns -0.0 into 0.0
    finite: list[float] = np.where(np.isfinite(values), values, 0.0).tolist()
    return finite


def plain(value: float) -> str:
    """A number as people write it: whole numbers without a point, others with two digits behind it."""
    return str(int(value)) if value == int(value) else f"{value:.2f}"


def _parts(text: str, names: Collection[str]) -> Iterator[str | Hole]:
    done = 0
    for match in _HOLE.finditer(text):
        yield text[done : match.start()]
        done = match.end()
        if match[0] in ("{{", "}}"):
            yield match[0][0]
        elif match[1] is None:
            raise ExpressionError(
                f"a lone {match[0]!r} at column {match.start() + 1} of {text!r}: write {match[0] * 2}"
            )
        else:
            yield _hole(match[1], names)
    yield text[done:]


def _hole(text: str, names: Collection[str]) -> Hole:
    inside, _, form = text.partition(":")
    if not _FORMAT.fullmatch(form):
        raise ExpressionError(f"format {form!r} in {{{text}}}: want nothing, or such as .2f, ,.0f or .1%")
    return Hole(compile_expression(inside, names, "number"), form)


def _written(hole: Hole, columns: Columns, n: int) -> list[str]:
    values = values_of(hole.expression, columns, n)
    return [format(value, hole.format) if hole.format else plain(value) for value in values]
