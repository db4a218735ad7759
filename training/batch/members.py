"""Members: the kinds of model that can be trained on a set, and the one way in which each is fitted.

A kind is a file training/fits/<kind>.py with `fit(x, fraud, names, *, seed, ...)`; what there is to choose about it is
here, with the range that a search tries. An online kind is what its learner has learned from the same orders, one after
the other: in a blend its newer snapshots take its place. Of what a job has to offer (whose an order is, a later slice
to stop by) a fit is given what its signature names. Its library is imported when it is fitted and not before; one that
is not installed is named with the extra that has it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from models.scorer import Scorer
from training.batch.step import Limit, Step, Tell
from training.batch.table import Table

_AT_ONCE: Final = 2_048  # orders that a learner takes between two looks at the clock
Suggest = Callable[[Any], Mapping[str, Any]]  # of an optuna trial


class NotInstalledError(ValueError):
    """A kind whose library is not installed; the message names the extra."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What it takes to fit a kind."""

    libraries: tuple[str, ...] = ()
    labelled: bool = True  # it learns from labels
    options: str | None = None  # the class of its module that holds parameters; None: they are arguments of `fit`
    counts: str | None = None  # the parameter that a later slice finds by itself: it ends when it gets no better
    suggest: Suggest | None = None
    online: bool = False  # it learns from one order after the other (training/online)
    slow: bool = False  # of `all` only where it is asked for by name

    @property
    def missing(self) -> str | None:
        return next((library for library in self.libraries if find_spec(library) is None), None)


def _logistic(trial: Any) -> Mapping[str, Any]:
    bends = trial.suggest_categorical("bends", ["none", "0.9 0.99", "0.5 0.9 0.99"])
    quantiles = () if bends == "none" else tuple(map(float, bends.split()))
    return {"l2": trial.suggest_float("l2", 0.1, 1000.0, log=True), "bends": quantiles}


def _boosted(trial: Any) -> Mapping[str, Any]:
    return {
        "trees": 1000,
        "leaves": trial.suggest_int("leaves", 7, 63, log=True),
        "rate": trial.suggest_float("rate", 0.02, 0.2, log=True),
        "least_rows": trial.suggest_int("least_rows", 10, 300, log=True),
        "columns": trial.suggest_float("columns", 0.2, 1.0),
        "rows": trial.suggest_float("rows", 0.5, 1.0),
        "ridge": trial.suggest_float("ridge", 0.1, 100.0, log=True),
    }


def _forest(trial: Any) -> Mapping[str, Any]:
    return {
        "depth": trial.suggest_int("depth", 6, 24),
        "least_rows": trial.suggest_int("least_rows", 2, 50, log=True),
        "columns": trial.suggest_float("columns", 0.03, 0.5, log=True),
    }


def _network(trial: Any) -> Mapping[str, Any]:
    return {
        "dropout": trial.suggest_float("dropout", 0.1, 0.5),
        "rate": trial.suggest_float("rate", 5e-4, 5e-3, log=True),
        "decay": trial.suggest_float("decay", 0.01, 3.0, log=True),
        "batch": trial.suggest_categorical("batch", [256, 512, 1024]),
    }


def _isolation(trial: Any) -> Mapping[str, Any]:
    return {"sample": trial.suggest_int("sample", 128, 4096, log=True)}


KINDS: Final[Mapping[str, Kind]] = {  # the cheap ones first: they are there when time runs out
    "logistic": Kind(suggest=_logistic),
    "boosted": Kind(("lightgbm",), options="Boosting", counts="trees", suggest=_boosted),
    "isolation": Kind(("sklearn",), labelled=False, options="Cutting", suggest=_isolation),
    "forest": Kind(("sklearn",), options="Growing", suggest=_forest),
    "online_logistic": Kind(("river",), online=True),
    "network": Kind(("torch", "onnx", "onnxruntime"), options="Config", counts="epochs", suggest=_network),
    "half_space": Kind(("river",), labelled=False, online=True, slow=True),
    "adaptive_forest": Kind(("river",), online=True, slow=True),
}
UNLABELLED: Final = frozenset(name for name, kind in KINDS.items() if not kind.labelled)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a fit may ask for."""

    seed: int
    limit: Limit
    tell: Tell
    epochs: int | None = None
    threads: int = 1
    params: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: Path | None = None  # where a fit that can goes on if it was killed


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model, and where a later slice was looked at, the count that was best on it."""

    model: Scorer
    count: int | None


def check(kind: str) -> None:
    """Raises NotInstalledError where a kind cannot be fitted here."""
    if (library := KINDS[kind].missing) is not None:
        raise NotInstalledError(f"{kind} needs {library}, which is not installed: pip install 'headrace[train]'")


def fit(kind: str, part: Table, offer: Offer, later: Table | None = None) -> Fitted:
    """A model of the kind, fitted on these orders (by time); it ends early by `later` where the kind can."""
    check(kind)
    about, watch = KINDS[kind], _Watch(kind, offer)
    if about.online:
        return Fitted(_learned(kind, part, offer), None)
    module = import_module(f"training.fits.{kind}")
    left_s = offer.limit.left_s
    have: dict[str, Any] = {"seed": offer.seed, "owner": part.owner, "types": part.types, "progress": watch}
    have |= {
        "checkpoint": _checkpoint(kind, offer),
        "limit_s": max(left_s, 0.0),
        "about": {"features": part.feature_hash},
    }
    if later is not None:
        have["validation"] = (later.x, later.fraud)
    wanted = inspect.signature(module.fit).parameters
    given = {name: value for name, value in have.items() if name in wanted}
    if about.options is None:
        given |= offer.params
    else:
        counted = {"epochs": offer.epochs} if about.counts == "epochs" and offer.epochs else {}
        options = getattr(module, about.options)
        given["options"] = options(**{"threads": offer.threads, **counted, **offer.params})
    model: Scorer = module.fit(part.x, part.fraud, part.names, **given)
    return Fitted(model, watch.best)


def _checkpoint(kind: str, offer: Offer) -> Path | None:
    """The file of this fit; its folder is made."""
    if offer.checkpoint is None:
        return None
    offer.checkpoint.mkdir(parents=True, exist_ok=True)
    return offer.checkpoint / f"{kind}.safetensors"


def _learned(kind: str, part: Table, offer: Offer) -> Scorer:
    """What a learner of the kind makes of the orders, oldest first; of as many as there is time for."""
    from training.online.learner import learner_of

    learner = learner_of(kind)(part.names, seed=offer.seed)
    for begin in range(0, len(part), _AT_ONCE):
        rows = slice(begin, begin + _AT_ONCE)
        learner.learn_many(part.x[rows], part.fraud[rows])
        offer.tell(Step(kind, min(begin + _AT_ONCE, len(part)), len(part)))
        if offer.limit.left_s <= 0:
            break
    return learner.scorer(part.names)


class _Watch:
    """Passes on what a fit tells of its steps, ends it when time is up, and knows which step was best on `later`.

    By the metric of those that tell one, else by the loss.
    """

    def __init__(self, kind: str, offer: Offer) -> None:
        self._kind, self._offer = kind, offer
        self.best: int | None = None
        self._least = float("inf")

    def __call__(self, step: Any) -> bool:
        metric = getattr(step, "metric", None)
        told = step.loss if metric is None else -metric
        if told is not None and told < self._least:
            self.best, self._least = step.done, told
        self._offer.tell(Step(self._kind, step.done, step.total, step.loss, metric))
        return self._offer.limit.left_s > 0
