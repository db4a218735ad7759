"""Learner: what learns from labels one by one, and what all of them share.

A learner changes with each case; what scores is a snapshot of it, a value of models/ that never learns. So learning
never slows scoring, and a score's model can be named. Cases are whole vectors, of which a learner reads some columns.

    learner = learner_of("adaptive_forest")(names, seed=7)
    learner.learn_many(x, fraud)
    scorer = learner.scorer(names)
    again = type(learner).of_state(learner.state())  # as if it had never stopped
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from importlib import import_module
from typing import Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt

from models.exact import Floats
from models.scorer import Scorer, checked_width
from training.online.sampling import Sampler
from training.online.state import StateError, encoded, graph, object_of, parsed

Bools = npt.NDArray[np.bool_]

FORMAT: Final = "online learner 1"  # raise it when the same state comes to mean another learner
SEED: Final = 7

_KINDS: Final[Mapping[str, str]] = {
    "online_logistic": "training.online.logistic:LogisticLearner",
    "adaptive_forest": "training.online.adaptive_forest:ForestLearner",
    "half_space": "training.online.half_space:HalfSpaceLearner",
    "sessions": "training.online.sessions:SessionLearner",
}


class Learner(ABC):
    """What learns. `names` are the columns of the vectors it is given, `reads` those that it looks at."""

    kind: ClassVar[str]  # of its scorers, as in models/kinds.py
    told: ClassVar[Callable[..., Any]]  # its settings: a frozen dataclass of numbers, `rate` among them

    def __init__(
        self,
        names: Sequence[str],
        reads: Sequence[str] | None = None,
        *,
        seed: int = SEED,
        settings: Any = None,
    ) -> None:
        """`reads` None: all columns. Raises ValueError for a column that `names` lacks."""
        self.names, self.reads = tuple(names), tuple(names if reads is None else reads)
        if unknown := set(self.reads) - set(names):
            raise ValueError(f"column {sorted(unknown)[0]!r}: the vector has no such column")
        self.seed, self.settings = seed, self.told() if settings is None else settings
        self.sampler = Sampler(self.settings.rate, seed)
        self._columns = np.array([self.names.index(name) for name in self.reads], dtype=np.int64)
        self.model = self._new()

    def learn_one(self, x: Floats, fraud: bool, weight: float = 1.0) -> None:
        """(d,) a vector and what became of it."""
        self.learn_many(x[None, :], np.array([fraud]), np.array([weight]))

    def learn_many(self, x: Floats, fraud: Bools, weight: Floats | None = None) -> None:
        """(n, d) vectors and their labels, one after the other: the same as learning each alone."""
        checked_width(x, len(self.names))
        weights = [1.0] * len(x) if weight is None else weight.tolist()
        times = np.array(
            [self.sampler.times(bad, worth) for bad, worth in zip(fraud.tolist(), weights, strict=True)],
            dtype=np.int64,
        )
        rows = np.repeat(np.arange(len(x)), times)
        if len(rows):
            self._learn(x[rows][:, self._columns], fraud[rows].tolist())

    @property
    def seen(self) -> int:
        """How many cases it was given."""
        return self.sampler.seen

    @abstractmethod
    def scorer(self, names: Sequence[str]) -> Scorer:
        """What it knows now, as a value, for vectors with these columns."""

    @abstractmethod
    def _new(self) -> Any:
        """An untaught model of River's, or several in a tuple."""

    @abstractmethod
    def _learn(self, x: Floats, fraud: list[bool]) -> None:
        """(n, len(reads)) cases that were drawn."""

    def state(self) -> bytes:
        """All that it is; equal learners have equal bytes."""
        models = self.model if isinstance(self.model, tuple) else (self.model,)
        return encoded(
            {
                "format": FORMAT,
                "kind": self.kind,
                "names": self.names,
                "reads": self.reads,
                "seed": self.seed,
                "seen": self.seen,
                "settings": asdict(self.settings),
                "models": [graph(model) for model in models],
            }
        )

    @classmethod
    def of_state(cls, written: bytes) -> Self:
        """The learner of a `state`; raises StateError. Runs nothing of it."""
        document = parsed(written)
        if document.get("format") != FORMAT or document.get("kind") != cls.kind:
            raise StateError(
                f"a state of format {document.get('format')!r} and kind {document.get('kind')!r}: "
                f"want {FORMAT!r} and {cls.kind!r}; begin anew, from the first label"
            )
        try:
            learner = cls(
                _names(document["names"]),
                _names(document["reads"]),
                seed=_whole(document["seed"]),
                settings=_settings(cls.told, document["settings"]),
            )
            learner.sampler.seen = _whole(document["seen"])
            written_models = list(document["models"])
        except (KeyError, TypeError, ValueError) as error:
            raise error if isinstance(error, StateError) else StateError(f"a damaged state: {error}") from error
        models = tuple(object_of(one) for one in written_models)
        fresh = learner.model if isinstance(learner.model, tuple) else (learner.model,)
        if [type(model) for model in models] != [type(model) for model in fresh]:
            raise StateError(f"a state of other models than {', '.join(type(model).__name__ for model in fresh)}")
        learner.model = models if isinstance(learner.model, tuple) else models[0]
        return learner


def learner_of(kind: str) -> type[Learner]:
    """The class of a kind; imports River with it. Raises ValueError for an unknown kind."""
    if kind not in _KINDS:
        raise ValueError(f"online model {kind!r}: there are {', '.join(_KINDS)}")
    module, _, name = _KINDS[kind].partition(":")
    found: type[Learner] = getattr(import_module(module), name)
    return found


def kinds() -> tuple[str, ...]:
    """The names of all online models."""
    return tuple(_KINDS)


def of_state(written: bytes) -> Learner:
    """The learner of a state, of whatever kind it is; raises StateError."""
    kind = str(parsed(written).get("kind"))
    if kind not in _KINDS:
        raise StateError(f"a state of kind {kind!r}: there are {', '.join(_KINDS)}")
    return learner_of(kind).of_state(written)


def _settings(told: Callable[..., Any], written: Mapping[str, Any]) -> Any:
    """Settings whose values are of the kinds that the defaults are of."""
    default = told()
    if set(written) != {field.name for field in fields(default)}:
        raise StateError(f"settings {', '.join(written)}: want {', '.join(field.name for field in fields(default))}")
    written = {name: tuple(value) if isinstance(value, list) else value for name, value in written.items()}
    for name, value in written.items():
        if type(value) is not type(getattr(default, name)):
            raise StateError(f"setting {name} = {value!r}: want a {type(getattr(default, name)).__name__}")
    return told(**written)


def _names(written: Any) -> list[str]:
    if not isinstance(written, list) or not all(isinstance(name, str) for name in written):
        raise StateError("columns that are no names")
    return written


def _whole(written: Any) -> int:
    if type(written) is not int:
        raise StateError(f"{written!r}: want a whole number")
    return written
