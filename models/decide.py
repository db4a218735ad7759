"""Decide: vectors in, one action with its reasons for each order out.

The action is a pure function of the vector, the rules and the model, and the same bytes on any CPU: scores are rounded
to 1e-6 first (exact.py), conditions are single IEEE operations (expression.py), texts are printed correctly rounded
(reasons.py).

Reasons come in order of precedence, so the first one is why: allow rules, block rules, the score from `block_at` on,
review rules, the score from `review_at` on. A score's reasons are the inputs that raised it most, or where no input did
(a usual order at a low threshold, a model that cannot say) the score itself. Orders that pass have none. Without a
model the rules decide alone, there is no score, and every order says NO_MODEL.

The price: an order that passes costs array operations only, one that is stopped 10 to 20 us of Python.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from models.exact import Floats
from models.expression import Columns, Values
from models.reasons import NO_MODEL_REASON, plain
from models.rules import PRECEDENCE, SCORE, UNUSUAL_SESSION, Rule, Rules, hits
from models.scorer import Scorer
from models.sessions import Sessions
from schemas.decisions import Action, ReasonCode

Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int8]
Names = tuple[str, ...]
Reasons = tuple[ReasonCode, ...]

HIGH_SCORE: Final = "HIGH_SCORE"  # no input has this name: conditions call the model's score by it
RARE: Final = "UNUSUAL_SESSION"
TOP_INPUTS: Final = 3  # of the model's inputs that are named as reasons
_ALLOW, _REVIEW, _BLOCK = range(3)
_ACTIONS: Final[tuple[Action, ...]] = ("allow", "review", "block")


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided for n orders, in their order."""

    score: Floats | None  # (n,) in [0, 1], rounded to 1e-6; None without a model
    action: Sequence[Action]
    rules: Sequence[Names]  # names of all rules that hold, in order of precedence
    reasons: Sequence[Reasons]
    members: Mapping[str, Floats] = field(default_factory=dict)  # (n,) what each model said that the score is made of


@dataclass(frozen=True, slots=True)
class Unusual:
    """A session rule that holds for one row, or what a model says of it."""

    row: int
    rule: str
    reasons: Reasons


@runtime_checkable
class Mixed(Protocol):
    """A model that is made of others, and can say what each of them said."""

    def score_and_members(self, x: Floats) -> tuple[Floats, Mapping[str, Floats]]: ...


class Decider:
    """Rules and a model, made ready for one vector. It keeps nothing between calls."""

    def __init__(
        self,
        rules: Rules,
        model: Scorer | None,
        names: Sequence[str],
        words: Mapping[str, str] | None = None,
        called: str = "model",
    ) -> None:
        """`names` are the columns of the vector that `decide` is given, `words` what reasons call them.

        `called`: the model's own name among the members.
        """
        self._words, self._called = words or {}, called
        self._mixed = model if isinstance(model, Mixed) else None
        self.rules, self.model, self.width = rules, model, len(names)
        self._read = _read(rules.rules, names)
        self._places = {
            action: [place for place, rule in enumerate(rules.rules) if rule.action == action] for action in PRECEDENCE
        }
        self._reads = [(list(names).index(name), name) for name in (model.reads if model is not None else ())]
        self._usual = model.usual.tolist() if model is not None else []

    def decide(self, x: Floats) -> Decided:
        """(n, d) vectors, finite -> n decisions; n may be 0."""
        if x.shape[1] != self.width:
            raise ValueError(f"a vector of {x.shape[1]} columns: these rules read vectors of {self.width}")
        score, members = self._scored(x)
        columns = _columns(x, self._read)
        columns[SCORE] = np.zeros(len(x)) if score is None else score
        held = hits(self.rules.rules, columns, len(x), scored=score is not None)
        level = self._level(score, len(x))
        codes = level
        names: list[Names] = [()] * len(x)
        reasons: list[Reasons] = [()] * len(x)
        if held.any() or level.any():  # in short ranges mostly none: to find that out twelve times over costs more
            codes = self._codes(held, level)
            names, reasons = self._why(x, score, columns, held, level)
        if score is None:
            reasons = [(*found, NO_MODEL_REASON) for found in reasons]
        return Decided(score, [_ACTIONS[code] for code in codes.tolist()], names, reasons, members)

    def _scored(self, x: Floats) -> tuple[Floats | None, Mapping[str, Floats]]:
        """The score and what it is made of; each model scores once."""
        if self._mixed is not None:
            return self._mixed.score_and_members(x)
        if self.model is None:
            return None, {}
        score = self.model.score(x)
        return score, {self._called: score}

    def _level(self, score: Floats | None, n: int) -> Codes:
        """(n,) what the score alone would do."""
        level = np.full(n, _ALLOW, dtype=np.int8)
        if score is not None and self.rules.review_at is not None:
            level[score >= self.rules.review_at] = _REVIEW
        if score is not None and self.rules.block_at is not None:
            level[score >= self.rules.block_at] = _BLOCK
        return level

    def _codes(self, held: Bools, level: Codes) -> Codes:
        """(n,) actions: the highest of the score and the rules, unless a rule allows."""
        codes = level.copy()
        codes[self._any(held, "review") & (level == _ALLOW)] = _REVIEW
        codes[self._any(held, "block")] = _BLOCK
        codes[self._any(held, "allow")] = _ALLOW
        return codes

    def _any(self, held: Bools, action: Action) -> Bools:
        return np.asarray(held[self._places[action]].any(axis=0))

    def _why(
        self, x: Floats, score: Floats | None, columns: Columns, held: Bools, level: Codes
    ) -> tuple[list[Names], list[Reasons]]:
        """The names of the rules that hold and the reasons, for each row, in order of precedence."""
        names: list[Names] = [()] * len(x)
        reasons: list[Reasons] = [()] * len(x)
        for action in PRECEDENCE:
            for place in self._places[action]:
                rule, rows = self.rules.rules[place], np.flatnonzero(held[place])
                for row, reason in zip(rows.tolist(), rule.reasons(columns, rows), strict=True):
                    names[row] += (rule.name,)
                    reasons[row] += (reason,)
            if action != "allow" and score is not None:
                rows = np.flatnonzero(level == _ACTIONS.index(action))
                for row, found in zip(rows.tolist(), self._top_inputs(x[rows]), strict=True):
                    reasons[row] += found or (_score_reason(float(score[row])),)
        return names, reasons

    def _top_inputs(self, x: Floats) -> list[Reasons]:
        """For each row the inputs that raised its score most."""
        if self.model is None or not len(x):
            return []
        parts = self.model.contributions(x)
        order = np.argsort(-parts, axis=1, kind="stable")[:, :TOP_INPUTS]
        return [
            tuple(self._input_reason(place, row) for place in places.tolist() if part[place] > 0)
            for row, part, places in zip(x, parts, order, strict=True)
        ]

    def _input_reason(self, place: int, row: Floats) -> ReasonCode:
        column, name = self._reads[place]
        return _input_told(name, float(row[column]), self._usual[place], self._words)


def _input_told(name: str, value: float, usual: float, words: Mapping[str, str]) -> ReasonCode:
    """What is unusual about an input."""
    value += 0.0  # no -0.0
    side = "HIGH" if value > usual else "LOW"
    text = f"{words.get(name, name)}: {plain(value)}, usually {plain(usual)}"
    return ReasonCode(f"{side}_{name.upper()}", text, value)


def _score_reason(score: float) -> ReasonCode:
    return ReasonCode(HIGH_SCORE, f"the model's score is {score:.2f}", score)


def unusual_sessions(rules: Rules, names: Sequence[str], x: Floats) -> list[Unusual]:
    """The session rules that hold for (n, d) vectors whose columns are `names`: by row, then in the file's order."""
    columns = _columns(x, _read(rules.session_rules, names))
    held = hits(rules.session_rules, columns, len(x))
    found = []
    for place, rule in enumerate(rules.session_rules):
        rows = np.flatnonzero(held[place])
        reasons = rule.reasons(columns, rows)
        found += [Unusual(row, rule.name, (reason,)) for row, reason in zip(rows.tolist(), reasons, strict=True)]
    return sorted(found, key=lambda unusual: unusual.row)  # stable: the file's order inside a row


def rare_sessions(
    unusual_at: float, model: Sessions, words: Mapping[str, str], x: Floats, score: Floats
) -> list[Unusual]:
    """Those of (n, d) session vectors that are as unusual as that, by the model's `score` (n,)."""
    rows = np.flatnonzero(score >= unusual_at)
    if not len(rows):
        return []
    place = {name: at for at, name in enumerate(model.reads)}
    found = []
    for row, named in zip(rows.tolist(), model.most_unusual(x[rows], TOP_INPUTS), strict=True):
        rarity = float(score[row])
        whole = ReasonCode(RARE, f"more unusual than {100 * rarity:.2f} % of sessions of late", rarity)
        values = (
            (name, float(x[row, model.columns[place[name]]]), float(model.usual[place[name]])) for name, _ in named
        )
        found.append(Unusual(row, UNUSUAL_SESSION, (whole, *(_input_told(*one, words) for one in values))))
    return found


def _read(rules: Sequence[Rule], names: Sequence[str]) -> dict[str, int]:
    """The columns that rules read: name -> place in the vector."""
    wanted = {name for rule in rules for name in rule.names}
    return {name: place for place, name in enumerate(names) if name in wanted}


def _columns(x: Floats, read: Mapping[str, int]) -> dict[str, Values]:
    taken = np.ascontiguousarray(x.T[list(read.values())])
    return dict(zip(read, taken, strict=True))
