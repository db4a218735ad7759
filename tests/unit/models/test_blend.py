"""Blends: what they make of their members' scores, and what they say of why."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pytest

from models.blend import FILE, Blend
from models.calibration import UNCHANGED, Beta, Lines
from models.decide import Decider
from models.documents import ArtefactError
from models.exact import Floats
from models.logistic import Input, Logistic
from models.rules import Rules
from models.scorer import Scorer
from tests.support.scorers import EXAMPLES

NAMES = ("a", "b", "c")


def line(name: str, weight: float, bias: float = -2.0) -> Logistic:
    return Logistic([Input(name, 0.0, -100.0, 100.0, weight)], bias, NAMES, "none")


@dataclass(frozen=True)
class Mute:
    """A model that cannot say why: the risk is column c, which is one of the reads."""

    kind: ClassVar[str] = "mute"
    additive: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ("c",)
    base: ClassVar[float] = 0.0

    @property
    def usual(self) -> Floats:
        return np.zeros(1)

    def score(self, x: Floats) -> Floats:
        return np.clip(x[:, 2], 0, 1)

    def contributions(self, x: Floats) -> Floats:
        return np.zeros((len(x), 1))

    def files(self) -> dict[str, bytes]:
        return {"none": b""}

    @classmethod
    def of(cls, files: Mapping[str, bytes], names: Sequence[str]) -> Self:
        raise NotImplementedError


def odds(score: float) -> float:
    return math.log(score / (1 - score))


def orders() -> Floats:
    x = np.random.default_rng(3).normal(0, 2, (200, 3))
    x[:, 2] = np.random.default_rng(4).random(200)
    return x


def test_a_risk_is_the_weighted_log_odds_of_the_members_calibrated() -> None:
    blend = Blend(
        {"one": line("a", 1.0), "two": line("b", 1.0)}, {"one": 0.5, "two": 2.0}, Beta(0.5, 0.5, 1), NAMES, -1
    )
    risk, told = blend.score_and_members(np.array([[1.0, 0.5, 0.0]]))
    assert {name: score.tolist() for name, score in told.items()} == {"one": [0.268941], "two": [0.182426]}
    total = -1 + 0.5 * odds(0.268941) + 2.0 * odds(0.182426)
    assert risk[0] == pytest.approx(1 / (1 + math.exp(-(0.5 * total + 1))), abs=1e-6)


def test_a_blend_of_one_that_changes_nothing_is_that_one() -> None:
    blend = Blend({"one": line("a", 1.0)}, {"one": 1.0}, UNCHANGED, NAMES)
    assert blend.score(orders()) == pytest.approx(line("a", 1.0).score(orders()), abs=1.1e-6)


def test_a_score_of_none_and_a_score_of_all_have_log_odds_too() -> None:
    blend = Blend({"one": Mute()}, {"one": 1.0}, UNCHANGED, NAMES)
    assert blend.score(np.array([[0, 0, 0.0], [0, 0, 1e-6], [0, 0, 1.0]])).tolist() == [0.0, 1e-6, 1.0]


@pytest.mark.parametrize("calibration", [UNCHANGED, Beta(0.7, 2.0, 0.5), Lines((-4.0, -1.0), (-3.0, -2.5))])
def test_reasons_add_up_also_where_members_were_rounded_and_clipped(calibration: Any) -> None:
    steep = line("b", 9.0, bias=-8.0)
    blend = Blend({"one": line("a", 1.0), "two": steep}, {"one": 0.5, "two": 0.8}, calibration, NAMES, 3.0)
    assert blend.additive
    log_odds = blend.base + blend.contributions(orders()).sum(axis=1)
    assert 1 / (1 + np.exp(-log_odds)) == pytest.approx(blend.score(orders()), abs=1e-6)


def test_where_a_member_cannot_tell_why_reasons_are_those_of_the_others() -> None:
    """An order stopped by a blend names its top columns through the members that can tell."""
    telling = Blend({"one": line("a", 1.0), "mute": Mute()}, {"one": 0.5, "mute": 2.0}, UNCHANGED, NAMES)
    alone = Blend({"one": line("a", 1.0)}, {"one": 0.5}, UNCHANGED, NAMES)
    assert not telling.additive
    assert telling.reads == ("a", "c")
    parts = telling.contributions(orders())
    assert parts[:, 0] == pytest.approx(alone.contributions(orders())[:, 0])
    assert not parts[:, 1].any()


def test_an_order_that_a_blend_stops_is_told_why_by_the_members_that_can() -> None:
    blend = Blend({"one": line("a", 3.0), "mute": Mute()}, {"one": 0.5, "mute": 2.0}, UNCHANGED, NAMES)
    decided = Decider(Rules(review_at=0.5), blend, NAMES, {"a": "how much"}).decide(np.array([[9.0, 0.0, 0.9]]))
    assert decided.action == ["review"]
    assert [(reason.code, reason.text) for reason in decided.reasons[0]] == [("HIGH_A", "how much: 9, usually 0")]


def test_boosted_trees_tell_why_by_their_own_exact_shares() -> None:
    """Also beside a member that cannot tell: LightGBM's exact SHAP, times the weight."""
    names = ("amount", "idle", "count", "risk")
    boosted, isolation = EXAMPLES["boosted"](names), EXAMPLES["isolation"](names)
    blend = Blend({"b": boosted, "i": isolation}, {"b": 0.5, "i": 1.0}, UNCHANGED, names)
    x = np.random.default_rng(5).lognormal(2, 1, (50, 4))
    places = [blend.reads.index(name) for name in boosted.reads]
    assert blend.contributions(x)[:, places] == pytest.approx(0.5 * boosted.contributions(x), rel=1e-3, abs=1e-3)
    stopped = Decider(Rules(review_at=0.0), blend, names).decide(x[:1])
    top = boosted.reads[int(np.argmax(boosted.contributions(x[:1])[0]))]
    assert stopped.reasons[0][0].code.endswith(top.upper())


def test_a_member_of_no_weight_takes_nothing_from_the_reasons() -> None:
    assert Blend({"one": line("a", 1.0), "mute": Mute()}, {"one": 0.5, "mute": 0.0}, UNCHANGED, NAMES).additive


def test_a_newer_member_takes_the_place_of_an_older_one() -> None:
    blend = Blend({"one": line("a", 1.0), "two": line("b", 1.0)}, {"one": 1.0, "two": 1.0}, UNCHANGED, NAMES, 0.5)
    newer = blend.with_member("two", line("c", -1.0))
    assert newer.reads == ("a", "c")
    assert newer.members(orders())["one"].tobytes() == blend.members(orders())["one"].tobytes()
    assert (newer.bias, newer.weights, newer.calibration) == (blend.bias, blend.weights, blend.calibration)
    with pytest.raises(ValueError, match="member 'three': this blend has one, two"):
        blend.with_member("three", line("c", 1.0))


@pytest.mark.parametrize(
    ("members", "weights", "why"),
    [
        ({}, {}, "want a weight for each, and one"),
        ({"one": line("a", 1)}, {"two": 1.0}, "want a weight for each"),
        ({"one.two": line("a", 1)}, {"one.two": 1.0}, "member 'one.two' of kind logistic: want a name of small"),
        ({"blend": line("a", 1)}, {"blend": 1.0}, "other than 'blend'"),
        ({"one": line("a", 1)}, {"one": -0.1}, "weight of one -0.1: want 0 to 100"),
        ({"one": line("a", 1)}, {"one": math.nan}, "weight of one nan: want 0 to 100"),
    ],
)
def test_what_is_no_blend_is_refused(members: dict[str, Scorer], weights: dict[str, float], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Blend(members, weights, UNCHANGED, NAMES)


def changed(**fields: Any) -> dict[str, bytes]:
    files = Blend({"one": line("a", 1.0)}, {"one": 1.0}, UNCHANGED, NAMES).files()
    return files | {FILE: json.dumps(json.loads(files[FILE]) | fields).encode()}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"format": "blend 0"}, "this release reads 'blend 1'"),
        ({"members": []}, "want a weight for each, and one"),
        ({"members": [{"name": "one"}]}, "want a list, each with kind, name, weight"),
        ({"members": [{"name": "one", "kind": "blend", "weight": 1}]}, "no blend inside a blend"),
        ({"members": [{"name": "one", "kind": "mute", "weight": 1}]}, "member 'one': a model of kind 'mute'"),
        ({"members": [{"name": "two", "kind": "logistic", "weight": 1}]}, "member 'two': model.json is missing"),
        ({"members": [{"name": "one", "kind": "logistic", "weight": 1}] * 2}, "want a name of its own for each"),
        ({"members": [{"name": "one", "kind": "logistic", "weight": 1e9}]}, "want 0 to 100"),
        ({"bias": "much"}, "bias = 'much': want a finite number"),
        ({"calibration": None}, "calibration: kind None"),
    ],
)
def test_files_of_no_blend_are_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ArtefactError, match=why):
        Blend.of(changed(**fields), NAMES)
