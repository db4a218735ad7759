"""Search: parameters of a kind, chosen on training days alone.

The days that a member is fitted on are cut once more: parameters are tried on the older part and compared by average
precision on the newer one, so the days of weights, calibration and judgement know nothing of it. How many trees or
epochs is found by the same newer part, also without trials. The sampler (optuna's TPE) is seeded and trials come one
after the other: the same question has the same answer, unless time ran out. The defaults are the first trial, so a
search can only find what is better there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from training.batch.judge import scored_on
from training.batch.members import KINDS, NotInstalledError, Offer, fit
from training.batch.step import Step
from training.batch.table import Table

OLDER: Final = 0.75  # of the orders
LEAST_FRAUDS: Final = 10  # in either part, to compare anything


@dataclass(frozen=True, slots=True)
class Found:
    """The best of the trials."""

    params: Mapping[str, Any]
    metric: float  # average precision on the newer part
    trials: int  # the defaults among them


def search(kind: str, part: Table, offer: Offer, trials: int) -> Found | None:
    """The best parameters of a kind; None (its defaults) where there is nothing to choose, or too few frauds to."""
    about, cut = KINDS[kind], round(len(part) * OLDER)
    trials = trials if about.suggest is not None else 0
    if not trials and about.counts is None:
        return None
    if min(int(part.fraud[:cut].sum()), int(part.fraud[cut:].sum())) < LEAST_FRAUDS:
        return None
    older, newer = part.between(int(part.at_ms[0]), int(part.at_ms[cut])), part.between(int(part.at_ms[cut]), _END_MS)
    study, best, done, longest = _study(offer.seed) if trials else None, None, 0, 0.0
    while done <= trials and (best is None or offer.limit.left_s > longest):
        began, trial = offer.limit.clock(), study.ask() if done and study is not None else None
        params = dict(about.suggest(trial)) if trial is not None and about.suggest is not None else {}
        kept = offer.checkpoint and offer.checkpoint / f"trial-{done}"
        fitted = fit(kind, older, replace(offer, params=params, tell=_silent, checkpoint=kept), later=newer)
        metric = scored_on(newer, fitted.model.score(newer.x)).average_precision()
        if trial is not None and study is not None:
            study.tell(trial, metric)
        if best is None or metric > best.metric:
            count = {about.counts: fitted.count} if about.counts and fitted.count else {}
            best = Found(params | count, metric, 0)
        done, longest = done + 1, max(longest, offer.limit.clock() - began)
        offer.tell(Step(f"choose {kind}", done, trials + 1, metric=best.metric))
    return None if best is None else replace(best, trials=done)


_END_MS: Final = 2**62


def _silent(step: Step) -> None:
    """Trials are told of as a whole."""
    del step


def _study(seed: int) -> Any:
    try:
        import optuna
    except ImportError as error:
        raise NotInstalledError("trials need optuna, which is not installed: pip install 'headrace[train]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed % 2**32))
