"""Blend: several models as one, weighted by what each added on days that none of them had seen.

    log-odds = bias + sum of weight * logit(score of the member), then calibrated
    risk     = logistic of it, rounded to 1e-6

A member's score is kept inside 2.5e-7 to 1 - 2.5e-7 first: scores are rounded to 1e-6, and 0 has no logit. The files
of members are embedded as `<member>.<file>`, so a blend is one artefact that needs nothing else. A blend of one is that
member, calibrated. Weights and calibration are fitted by training/batch.

Contributions are those of the additive members, each times its weight. What rounding and clipping of a member's score
leave over goes to its columns by their size. A calibration bends the log-odds, so all of a row is scaled by the slope
of the chord from `base` to the row: the order and the signs of columns stay, and they add up exactly. A blend is
`additive` where all members that weigh anything are. Else what the others say is left out of contributions, and reasons
name the columns by the members that can tell.
The price: a row costs all its members, and to be explained costs all of them once more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Final, Self

import numpy as np

from models.calibration import Calibration, bounded, calibration_of
from models.documents import ArtefactError, file_of, number, object_of, with_format
from models.exact import Floats, logistic, logit
from models.kinds import class_of
from models.scorer import Scorer
from schemas.decisions import SCORE_DECIMALS

FORMAT: Final = "blend 1"  # of blend.json: raise it when the same file comes to mean another score
FILE: Final = "blend.json"
CLIP: Final = 0.25 * 10.0**-SCORE_DECIMALS  # a score of 0 was below half a step: the middle of that

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")
_KEYS: Final = {"name", "kind", "weight"}
_HEAVIEST: Final = 100.0  # a weight beyond it is no weight
_STILL: Final = 1e-9  # log-odds this near to `base` have no chord


class Blend:
    """Members with their weights, bound to a vector. A value: nothing changes it after construction."""

    kind: ClassVar[str] = "blend"
    __slots__ = ("_base", "_places", "additive", "bias", "calibration", "names", "reads", "scorers", "usual", "weights")

    def __init__(
        self,
        members: Mapping[str, Scorer],
        weights: Mapping[str, float],
        calibration: Calibration,
        names: Sequence[str],
        bias: float = 0.0,
    ) -> None:
        """`names` are the columns of the vector that every member is bound to; raises ValueError."""
        if not members or members.keys() != weights.keys():
            raise ValueError(
                f"members {sorted(members)} and weights {sorted(weights)}: want a weight for each, and one"
            )
        for name, scorer in members.items():
            if not _NAME.fullmatch(name) or f"{name}.json" == FILE or scorer.kind == self.kind:
                raise ValueError(
                    f"member {name!r} of kind {scorer.kind}: want a name of small letters, digits, '-' and '_' "
                    "other than 'blend', and no blend inside a blend"
                )
            if not 0 <= weights[name] <= _HEAVIEST:
                raise ValueError(f"weight of {name} {weights[name]!r}: want 0 to {_HEAVIEST:g}")
        self.scorers, self.weights = dict(members), {name: float(weights[name]) for name in members}
        self.calibration, self.bias, self.names = calibration, float(bias), tuple(names)
        usual = {
            column: value
            for scorer in reversed(list(members.values()))
            for column, value in zip(scorer.reads, scorer.usual.tolist(), strict=True)
        }
        self.reads = tuple(name for name in names if name in usual)
        self.usual: Floats = np.array([usual[name] for name in self.reads], dtype=np.float64)
        self.additive = all(one.additive for name, one in self.scorers.items() if self.weights[name])
        place = {name: at for at, name in enumerate(self.reads)}
        self._places = {name: [place[column] for column in one.reads] for name, one in self.scorers.items()}
        self._base = self.bias + sum(self.weights[name] * one.base for name, one in self.scorers.items())

    def score(self, x: Floats) -> Floats:
        """(n, d) vectors -> (n,) risk in [0, 1], rounded to 1e-6."""
        return self.score_and_members(x)[0]

    def members(self, x: Floats) -> dict[str, Floats]:
        """(n, d) -> each member's own score, (n,)."""
        return {name: scorer.score(x) for name, scorer in self.scorers.items()}

    def score_and_members(self, x: Floats) -> tuple[Floats, dict[str, Floats]]:
        """The risk and the scores that it was made of; every member scores once."""
        told = self.members(x)
        return self.of_members(told), told

    def of_members(self, told: Mapping[str, Floats]) -> Floats:
        """The risk that members' scores make, (n,)."""
        risk = logistic(self.calibration.logit(self._sum({name: _logit(told[name]) for name in self.scorers})))
        rounded: Floats = np.round(risk, SCORE_DECIMALS)
        return rounded

    def contributions(self, x: Floats) -> Floats:
        """(n, d) -> (n, reads): what each column adds to the log-odds, by what the additive members say."""
        logits = {name: _logit(score) for name, score in self.members(x).items()}
        parts = np.zeros((len(x), len(self.reads)))
        for name, scorer in self.scorers.items():
            if scorer.additive:
                parts[:, self._places[name]] += self.weights[name] * _whole(scorer, x, logits[name])
        parts *= self._chord(self._sum(logits))[:, None]
        return parts

    @property
    def base(self) -> float:
        """The calibrated log-odds where every member is at its own base."""
        return float(self.calibration.logit(np.array([self._base]))[0])

    def with_member(self, name: str, scorer: Scorer) -> Blend:
        """The same blend with another model in a member's place, such as a newer snapshot of an online one."""
        if name not in self.scorers:
            raise ValueError(f"member {name!r}: this blend has {', '.join(self.scorers)}")
        return type(self)(self.scorers | {name: scorer}, self.weights, self.calibration, self.names, self.bias)

    def files(self) -> dict[str, bytes]:
        """blend.json and the members' own files."""
        members = [{"name": n, "kind": one.kind, "weight": self.weights[n]} for n, one in self.scorers.items()]
        document = {"format": FORMAT, "bias": self.bias, "calibration": self.calibration.document(), "members": members}
        files = {FILE: (json.dumps(document, indent=2) + "\n").encode()}
        for name, scorer in self.scorers.items():
            files |= {f"{name}.{file}": content for file, content in scorer.files().items()}
        return files

    @classmethod
    def of(cls, files: Mapping[str, bytes], names: Sequence[str]) -> Self:
        """The blend of `files`; raises ArtefactError."""
        document = object_of(file_of(files, FILE), FILE)
        with_format(document, FORMAT, FILE)
        listed = document.get("members")
        if not isinstance(listed, list) or not all(isinstance(one, dict) and set(one) == _KEYS for one in listed):
            raise ArtefactError(f"{FILE}: members = {listed!r}: want a list, each with {', '.join(sorted(_KEYS))}")
        if len({one["name"] for one in listed if isinstance(one["name"], str)}) < len(listed):
            raise ArtefactError(f"{FILE}: members = {listed!r}: want a name of its own for each")
        members = {str(one["name"]): _member(str(one["name"]), str(one["kind"]), files, names) for one in listed}
        weights = {str(one["name"]): number(one["weight"], f"{FILE}: weight of {one['name']}") for one in listed}
        calibration = calibration_of(document.get("calibration"), f"{FILE}: calibration")
        bias = bounded(document.get("bias"), f"{FILE}: bias")
        try:
            return cls(members, weights, calibration, names, bias)
        except ValueError as error:
            raise ArtefactError(f"{FILE}: {error}") from error

    def _sum(self, logits: Mapping[str, Floats]) -> Floats:
        """One after the other in the order of the members: always the same additions."""
        total = np.full(len(next(iter(logits.values()))), self.bias)
        for name, weight in self.weights.items():
            total += weight * logits[name]
        return total

    def _chord(self, total: Floats) -> Floats:
        """(n,) how steep the calibration is between the base and each row."""
        far = total - self._base
        still = np.abs(far) < _STILL
        slope: Floats = np.where(still, 1.0, (self.calibration.logit(total) - self.base) / np.where(still, 1.0, far))
        return slope


def members_in(files: Iterable[str]) -> set[str]:
    """The members of a blend that has these files."""
    return {file.partition(".")[0] for file in files if file != FILE}


def _logit(score: Floats) -> Floats:
    return logit(np.clip(score, CLIP, 1.0 - CLIP))


def _whole(scorer: Scorer, x: Floats, told: Floats) -> Floats:
    """(n, r) contributions of a member that make the logit it was blended with: rounded and clipped."""
    parts = scorer.contributions(x)
    size = np.abs(parts)
    total = size.sum(axis=1)
    left = told - scorer.base - parts.sum(axis=1)
    whole: Floats = parts + size * (left / np.where(total > 0.0, total, 1.0))[:, None]
    return whole


def _member(name: str, kind: str, files: Mapping[str, bytes], names: Sequence[str]) -> Scorer:
    own = {file.removeprefix(f"{name}."): content for file, content in files.items() if file.startswith(f"{name}.")}
    if kind == Blend.kind:
        raise ArtefactError(f"{FILE}: member {name!r} is a blend: want no blend inside a blend")
    try:
        return class_of(kind).of(own, names)
    except ArtefactError as error:
        raise ArtefactError(f"member {name!r}: {error}") from error
