"""Logistic regression over the vector: risk = 1 / (1 + e^-(bias + sum of weights times squashed inputs)).

Amounts and counts have heavy tails, so each input is clipped to the range that training saw and then squashed by a
signed logarithm to base 2 (`exact.log2_line`): a ratio such as "this order over the usual one" becomes a difference,
which a linear model can see, and no single input can run away on a shop unlike the data. A model reads as
    usual  the input of an ordinary order: it contributes nothing there
    weight what is added to the log-odds each time the input doubles (more exactly: 1 + input)
and `bias` is the log-odds of an order that is usual in everything. It is fitted by training/fits/logistic.py.

A feature may come several times, clipped from below at different values: its line then bends there, and an amount can
matter little up to 200 and much beyond.

Score and contributions have the same bytes on any CPU (see exact.py); columns are summed in one fixed tree, not by
BLAS. Scores are rounded to 1e-6 before anything compares or prints them. They are in [0, 1] and never NaN for finite
inputs. The price: what depends on two inputs together, other than as a ratio, is invisible to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, Self

import numpy as np
import numpy.typing as npt

from models.documents import ArtefactError, column, file_of, number, object_of, with_format
from models.exact import Floats, log2_line, logistic
from models.scorer import checked_width
from schemas.decisions import SCORE_DECIMALS

Squash = Literal["log2", "none"]
Ints = npt.NDArray[np.int64]

FORMAT: Final = "logistic 1"  # of model.json: raise it when the same file comes to mean another score
FILE: Final = "model.json"

_INPUT_KEYS: Final = ("name", "usual", "low", "high", "weight")
_CHUNK: Final = 512  # rows scored at a time: their inputs stay in the first cache levels


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a model, in the unit of its feature."""

    name: str
    usual: float
    low: float
    high: float
    weight: float


class Logistic:
    """A fitted model, bound to the vector whose columns it reads. A value: nothing changes it after construction."""

    kind: ClassVar[str] = "logistic"
    additive: ClassVar[bool] = True
    __slots__ = (
        "_center",
        "_high",
        "_low",
        "_weight",
        "bias",
        "columns",
        "inputs",
        "reads",
        "squash",
        "usual",
        "width",
    )

    def __init__(self, inputs: Sequence[Input], bias: float, names: Sequence[str], squash: Squash = "log2") -> None:
        """`names` are the columns of the vector, among which each input must be."""
        self.inputs, self.bias, self.squash, self.width = tuple(inputs), float(bias), squash, len(names)
        place = {name: at for at, name in enumerate(names)}
        self.columns: Ints = np.array([place[i.name] for i in inputs], dtype=np.int64)
        first = {one.name: one for one in reversed(self.inputs)}  # of a feature the input over the whole of its range
        self.reads: tuple[str, ...] = tuple(dict.fromkeys(one.name for one in self.inputs))
        self.usual: Floats = np.array([first[name].usual for name in self.reads], dtype=np.float64)
        self._low, self._high, self._weight = (
            np.array([getattr(i, key) for i in inputs], dtype=np.float64)[:, None] for key in ("low", "high", "weight")
        )
        usual = np.array([i.usual for i in inputs], dtype=np.float64)[:, None]
        self._center: Floats = self._squashed(np.clip(usual, self._low, self._high))

    def score(self, x: Floats) -> Floats:
        """(n, d) vectors -> (n,) risk in [0, 1], rounded to 1e-6."""
        checked_width(x, self.width)
        risk = np.empty(len(x))
        for start in range(0, len(x), _CHUNK):
            rows = slice(start, start + _CHUNK)
            risk[rows] = logistic(_sum_rows(self._parts(x[rows])) + self.bias)
        rounded: Floats = np.round(risk, SCORE_DECIMALS)
        return rounded

    def contributions(self, x: Floats) -> Floats:
        """(n, d) -> (n, reads): what each feature adds to the log-odds, all its inputs together."""
        checked_width(x, self.width)
        parts = dict.fromkeys(self.reads, 0.0 * x[:, 0])
        for one, part in zip(self.inputs, self._parts(x), strict=True):
            parts[one.name] = parts[one.name] + part
        return np.stack(list(parts.values()), axis=1) if parts else np.zeros((len(x), 0))

    @property
    def base(self) -> float:
        """The log-odds of an order that is usual in everything."""
        return self.bias

    def files(self) -> dict[str, bytes]:
        """One line an input, for people."""
        inputs = ",\n".join("    " + json.dumps({key: getattr(i, key) for key in _INPUT_KEYS}) for i in self.inputs)
        head = f'  "format": "{FORMAT}",\n  "squash": "{self.squash}",\n  "bias": {json.dumps(self.bias)},\n'
        return {FILE: f'{{\n{head}  "inputs": [\n{inputs}\n  ]\n}}\n'.encode()}

    @classmethod
    def of(cls, files: Mapping[str, bytes], names: Sequence[str]) -> Self:
        """The model of `files`; raises ArtefactError."""
        document = object_of(file_of(files, FILE), FILE)
        with_format(document, FORMAT, FILE)
        squash = document.get("squash")
        if squash not in ("log2", "none"):
            raise ArtefactError(f"{FILE}: squash = {squash!r}: want 'log2' or 'none'")
        if not isinstance(document.get("inputs"), list):
            raise ArtefactError(f"{FILE}: inputs is missing: want a list of inputs")
        places = {name: at for at, name in enumerate(names)}
        inputs = [_input(table, places) for table in document["inputs"]]
        return cls(inputs, number(document.get("bias"), f"{FILE}: bias"), names, squash)

    def _parts(self, x: Floats) -> Floats:
        """(n, d) -> (inputs, n), one contiguous row an input."""
        taken = np.ascontiguousarray(x.T[self.columns])  # not np.take: it would copy all of x first
        np.maximum(taken, self._low, out=taken)
        np.minimum(taken, self._high, out=taken)
        squashed = self._squashed(taken)
        squashed -= self._center
        squashed *= self._weight
        return squashed

    def _squashed(self, x: Floats) -> Floats:
        return log2_line(x) if self.squash == "log2" else x


def _input(table: Any, places: Mapping[str, int]) -> Input:
    if not isinstance(table, dict) or set(table) != set(_INPUT_KEYS):
        raise ArtefactError(f"{FILE}: input {table!r}: want exactly {', '.join(_INPUT_KEYS)}")
    name = table["name"]
    column(name, places, FILE)
    numbers = {key: number(table[key], f"{FILE}: input {name!r}: {key}") for key in _INPUT_KEYS[1:]}
    if numbers["low"] > numbers["high"]:
        raise ArtefactError(f"{FILE}: input {name!r}: low = {numbers['low']} is above high = {numbers['high']}")
    return Input(name, **numbers)


def _sum_rows(parts: Floats) -> Floats:
    """(d, n) -> (n,), halving the rows until one is left: always the same additions. Overwrites `parts`."""
    rows = len(parts)
    if not rows:
        return np.zeros(parts.shape[1])
    while rows > 1:
        half = (rows + 1) // 2
        parts[: rows - half] += parts[half:rows]
        rows = half
    total: Floats = parts[0]
    return total
