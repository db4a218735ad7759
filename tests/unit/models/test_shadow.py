"""Shadow: challengers are heard and can do no harm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.decide import Decider
from models.exact import Floats
from models.rules import NO_RULES
from models.shadow import Shadow, proved
from tests.support.models import NAMES, blend, scoring

X = np.zeros((3, len(NAMES)))


class Saying:
    """A model that gives whatever it is told to, or raises it."""

    def __init__(self, said: Any) -> None:
        self.said = said

    def score(self, _: Floats) -> Any:
        if isinstance(self.said, Exception):
            raise self.said
        return self.said

    def contributions(self, x: Floats) -> Floats:
        return np.zeros((len(x), 0))


def shadow(**models: Any) -> Shadow:
    return Shadow(models)


def test_each_challenger_says_its_score() -> None:
    said = shadow(one=scoring(0.25), two=scoring(0.75)).score(X)
    assert {name: score.tolist() for name, score in said.scores.items()} == {"one": [0.25] * 3, "two": [0.75] * 3}
    assert not said.failed


@pytest.mark.parametrize(
    "said",
    [ValueError("no"), MemoryError(), np.array([0.1, np.nan, 0.2]), np.array([0.1, 1.1, 0.2]), np.zeros(2), None],
)
def test_one_that_fails_is_named_and_the_others_are_heard(said: Any) -> None:
    found = shadow(good=scoring(0.25), bad=Saying(said)).score(X)
    assert found.scores.keys() == {"good"}
    assert found.failed.keys() == {"bad"}


def test_without_challengers_nothing_is_said() -> None:
    assert not Shadow().score(X).scores


def test_a_model_that_cannot_score_is_found_out_before_any_order_depends_on_it() -> None:
    proved(scoring(0.5), len(NAMES))
    with pytest.raises(ValueError, match=r"its scores of 2 orders are none"):
        proved(Saying(np.array([np.nan, 0.5])), len(NAMES))  # type: ignore[arg-type]  # it is no whole scorer


def test_a_decision_tells_what_each_member_of_a_blend_said() -> None:
    mixed = blend({"trees": 0.2, "fast": 0.4})
    decided = Decider(NO_RULES, mixed, NAMES, called="shop").decide(X)
    assert decided.score is not None
    assert decided.score.tolist() == mixed.score(X).tolist()
    assert {name: score.tolist() for name, score in decided.members.items()} == {"trees": [0.2] * 3, "fast": [0.4] * 3}


def test_a_model_of_no_members_is_its_own() -> None:
    decided = Decider(NO_RULES, scoring(0.25), NAMES, called="shop").decide(X)
    assert {name: score.tolist() for name, score in decided.members.items()} == {"shop": [0.25] * 3}
    assert not Decider(NO_RULES, None, NAMES).decide(X).members
