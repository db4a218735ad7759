"""Rules: decisions as data, in a TOML file that an outsider can write (docs/rules.md has the grammar).

A rule has a name, a reason code and text, a condition over the features of the vector and an action. All conditions of
a batch are computed at once, column by column, so twenty rules cost a fraction of a microsecond an order.

Precedence: allow, then block, then review; the first match inside each gives the first reason. The thresholds of the
score stand in the same file and take part as the last block rule and the last review rule. What matches nothing is
allowed. Session rules look at the session's features and say when a session is unusual; they decide nothing about
orders.

The price: every rule is computed for every order, also when an earlier one has already decided.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.expression import Columns, Expression, ExpressionError, compile_expression, near
from models.reasons import RESERVED, Template, compile_template, values_of
from schemas.decisions import Action, ReasonCode

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

PRECEDENCE: Final[tuple[Action, ...]] = ("allow", "block", "review")
SCORE: Final = "score"  # the name by which a condition may ask for the model's score
UNUSUAL_SESSION: Final = "unusual_session"  # what an anomaly is called that a score tells of, and no rule
UNUSUAL_AT: Final = 0.998  # where a file does not say it: one in 500. Another number is another GRAMMAR
GRAMMAR: Final = "rules 1"  # part of the fingerprint: raise it when the same text comes to mean something else

# Key -> whether it must be there.
_RULE_KEYS = {"name": True, "code": True, "text": True, "when": True, "action": True, "value": False}
_SESSION_KEYS = {"name": True, "code": True, "text": True, "when": True, "value": False}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


class RulesError(ValueError):
    """A rules file that cannot be used; the message names the file, the rule, the value and the remedy."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One named condition. `action` is None for a session rule."""

    name: str
    code: str
    text: Template
    when: Expression  # a truth
    value: Expression  # the number that goes with the reason
    action: Action | None

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.when.names, *self.value.names, *self.text.names)

    def reasons(self, columns: Columns, rows: Ints) -> list[ReasonCode]:
        """Why, for each of the rows that the rule holds for."""
        if not len(rows):
            return []
        mine = {name: columns[name][rows] for name in self.names}
        texts, values = self.text.render(mine, len(rows)), values_of(self.value, mine, len(rows))
        return [ReasonCode(self.code, text, value) for text, value in zip(texts, values, strict=True)]

    @property
    def meaning(self) -> tuple[str | None, ...]:
        return self.name, self.action, self.code, self.text.canonical, self.when.canonical, self.value.canonical


@dataclass(frozen=True)
class Rules:
    """A compiled rules file. `rules` stand in order of precedence, session rules in the order of the file."""

    rules: tuple[Rule, ...] = ()
    session_rules: tuple[Rule, ...] = ()
    review_at: float | None = None  # score from which an order is reviewed; None: never by score
    block_at: float | None = None
    unusual_at: float = UNUSUAL_AT  # score from which a session is told of; none reaches 1

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of what the file means: comments, spaces, brackets and the order of keys do not change it."""
        rules = [r.meaning for r in (*self.rules, *self.session_rules)]
        meaning = [GRAMMAR, self.review_at, self.block_at, rules]
        meaning += [] if self.unusual_at == UNUSUAL_AT else [self.unusual_at]  # what does not say it is what it was
        return hashlib.sha256(json.dumps(meaning).encode()).hexdigest()[:16]


NO_RULES: Final = Rules()


def load(path: Path, names: Collection[str], session_names: Collection[str]) -> Rules:
    """The rules of a file, over the names of the order vector and of the session vector; raises RulesError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(f"rules file {path}: cannot be read: {error}") from error
    return parse(text, names, session_names, source=str(path))


def parse(text: str, names: Collection[str], session_names: Collection[str], source: str = "rules") -> Rules:
    """As `load`, from the text of a file."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulesError(f"{source}: not TOML: {error}") from error
    _known(document, {"score", "session", "rule", "session_rule"}, source)
    review_at, block_at = _thresholds(document.get("score", {}), f"{source}: [score]")
    unusual_at = _unusual_at(document.get("session", {}), f"{source}: [session]")
    rules = [_rule(t, {*names, SCORE}, where, _RULE_KEYS) for t, where in _tables(document, "rule", source)]
    sessions = [_rule(t, session_names, where, _SESSION_KEYS) for t, where in _tables(document, "session_rule", source)]
    _distinct((rule.name for rule in (*rules, *sessions)), source)
    if any(rule.name == UNUSUAL_SESSION for rule in sessions):
        raise RulesError(
            f"{source}: session_rule {UNUSUAL_SESSION!r}: the model of sessions has that name: give it another"
        )
    ordered = sorted(rules, key=lambda rule: PRECEDENCE.index(rule.action or "allow"))  # stable: file order inside
    return Rules(tuple(ordered), tuple(sessions), review_at, block_at, unusual_at)


def hits(rules: Sequence[Rule], columns: Columns, n: int, *, scored: bool = True) -> Bools:
    """(r, n) whether a rule holds for a row. A rule that asks for the score holds for none where there is no score."""
    held = np.zeros((len(rules), n), dtype=np.bool_)
    with np.errstate(all="ignore"):  # once for all: the price of a short range
        for row, rule in zip(held, rules, strict=True):
            if scored or SCORE not in rule.when.names:
                row[:] = rule.when.evaluate(columns)
    return held


def _tables(document: Mapping[str, Any], key: str, source: str) -> list[tuple[Mapping[str, Any], str]]:
    tables = document.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise RulesError(f"{source}: {key} is {type(tables).__name__}: want a list of tables, each begun by [[{key}]]")
    return [
        (table, f"{source}: {key} {table['name']!r}" if "name" in table else f"{source}: {key} number {place}")
        for place, table in enumerate(tables, start=1)
    ]


def _rule(table: Mapping[str, Any], names: Collection[str], where: str, keys: Mapping[str, bool]) -> Rule:
    _known(table, keys, where)
    for key, required in keys.items():
        if required and key not in table:
            raise RulesError(f"{where}: {key} is missing: a rule has {', '.join(k for k in keys if keys[k])}")
        if key in table and not isinstance(table[key], str):
            raise RulesError(f"{where}: {key} = {table[key]!r}: want a text in quotes")
    when = _compiled(table, "when", names, where)
    return Rule(
        name=_matching(_NAME, table["name"], f"{where}: name", "small letters, digits and _, such as card_testing"),
        code=_code(table["code"], where),
        text=_template(table["text"], names, where),
        when=when,
        value=_value(table, when, names, where),
        action=_action(table["action"], where) if "action" in keys else None,
    )


def _compiled(table: Mapping[str, Any], key: str, names: Collection[str], where: str) -> Expression:
    try:
        return compile_expression(table[key], names, "truth" if key == "when" else "number")
    except ExpressionError as error:
        raise RulesError(f"{where}: {key}: {error}") from None


def _template(text: str, names: Collection[str], where: str) -> Template:
    try:
        return compile_template(text, names)
    except ExpressionError as error:
        raise RulesError(f"{where}: text: {error}") from None


def _value(table: Mapping[str, Any], when: Expression, names: Collection[str], where: str) -> Expression:
    """What the rule says, else the first feature that its condition names, else 0."""
    if "value" in table:
        return _compiled(table, "value", names, where)
    return compile_expression(when.names[0] if when.names else "0", names, "number")


def _action(written: str, where: str) -> Action:
    for action in PRECEDENCE:
        if written == action:
            return action
    raise RulesError(f"{where}: action = {written!r}: want {', '.join(PRECEDENCE)}")


def _code(written: str, where: str) -> str:
    code = _matching(_CODE, written, f"{where}: code", "capitals, digits and _, such as CARD_TESTING")
    if code.startswith(RESERVED):
        raise RulesError(f"{where}: code = {code!r}: codes that begin with {', '.join(RESERVED)} are the model's own")
    return code


def _matching(pattern: re.Pattern[str], written: str, where: str, want: str) -> str:
    if not pattern.fullmatch(written):
        raise RulesError(f"{where} = {written!r}: want {want}, at most 64 characters")
    return written


def _known(table: Mapping[str, Any], keys: Collection[str], where: str) -> None:
    for key in table:
        if key not in keys:
            raise RulesError(f"{where}: unknown key {key!r}{near(key, keys)}")


def _distinct(names: Iterable[str], source: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise RulesError(
                f"{source}: two rules are called {name!r}: decisions name their rules, so give one another name"
            )
        seen.add(name)


def _thresholds(table: object, where: str) -> tuple[float | None, float | None]:
    if not isinstance(table, dict):
        raise RulesError(f"{where}: want a table with review_at and block_at")
    _known(table, {"review_at", "block_at"}, where)
    review_at, block_at = (_threshold(table.get(key), f"{where} {key}") for key in ("review_at", "block_at"))
    if review_at is not None and block_at is not None and block_at < review_at:
        raise RulesError(f"{where} block_at = {block_at}: want at least review_at = {review_at}")
    return review_at, block_at


def _unusual_at(table: object, where: str) -> float:
    if not isinstance(table, dict):
        raise RulesError(f"{where}: want a table with unusual_at")
    _known(table, {"unusual_at"}, where)
    found = _threshold(table.get("unusual_at"), f"{where} unusual_at", f"for {UNUSUAL_AT}")
    return UNUSUAL_AT if found is None else found


def _threshold(written: object, where: str, without: str = "to decide by rules alone") -> float | None:
    if written is None:
        return None
    if isinstance(written, bool) or not isinstance(written, int | float) or not 0 <= written <= 1:
        raise RulesError(f"{where} = {written!r}: want a number from 0 to 1; leave it out {without}")
    return float(written)
