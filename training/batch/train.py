"""Train: from labelled orders to a calibrated blend that was judged on days it had not seen.

The story, top to bottom: check the data, or refuse it; choose parameters on the oldest days; fit each kind there; weigh
them on newer days and calibrate on the newest, which no member has seen; then freeze parameters, weights and
calibration, fit the members once more on all training days, and judge that model, the one that will be served, on
held-out days after a gap. Nothing is fitted on the held-out days, and nothing that is judged is fitted again.

The same data and seed give the same artefact, unless a limit ended the job early: then it is the best there was.
The price: each member is fitted twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from models.blend import Blend
from models.scorer import Scorer
from training.batch import checks
from training.batch.checks import Finding
from training.batch.judge import CHAMPION, MODEL, Judged, gates, judge
from training.batch.members import UNLABELLED, Offer, fit
from training.batch.search import Found, search
from training.batch.spans import Spans, spans
from training.batch.step import Limit, Step, Tell
from training.batch.table import Table
from training.batch.weigh import Weights, calibration, log_odds, weights
from training.metrics import RESAMPLES

SEED: Final = 1
_SEARCHING: Final = 0.4  # of the time that is left, for all trials together


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for."""

    kinds: Sequence[str]
    seed: int = SEED
    held_days: float = 7.0
    gap_days: float | None = None  # None: as long as an order takes to mature
    trials: int = 0
    epochs: int | None = None
    threads: int = 1
    accepted: frozenset[str] = frozenset()
    resamples: int = RESAMPLES  # of the bootstrap
    checkpoints: Path | None = None  # folder in which a fit that was killed finds where it was


@dataclass(frozen=True)
class Trained:
    """A model with all that is told of it."""

    model: Blend
    judged: Judged
    spans: Spans
    findings: Sequence[Finding]
    params: Mapping[str, Found | None]
    seconds: Mapping[str, float]  # that each member took to fit, on all training days where it was refitted
    not_refitted: tuple[str, ...]  # for which there was no time
    left_out: tuple[str, ...]  # members for which there was no time at all
    weightless: tuple[str, ...]  # members that added nothing, and are not in the blend
    train: Table = field(repr=False)
    held: Table = field(repr=False)

    @property
    def beats_gate(self) -> bool:
        return self.judged.beats(self.judged.gate)


def planned(table: Table, job: Job) -> tuple[Spans, list[Finding]]:
    """How the days would be cut and what speaks against it; raises RefusedError and TooShortError."""
    checks.labelled(table)
    gap = table.mature_ms / 86_400_000 if job.gap_days is None else job.gap_days
    cut = spans(int(table.at_ms[0]), int(table.at_ms[-1]), held_days=job.held_days, gap_days=gap)
    return cut, checks.findings(table, cut)


def train(table: Table, job: Job, *, limit: Limit, tell: Tell, champion: Scorer | None = None) -> Trained:
    """Raises RefusedError and TooShortError where the data is not to be trained on."""
    cut, found = planned(table, job)
    checks.refuse(found, job.accepted)
    fit_days, weigh_days, calibrate_days = (table.between(*span) for span in (cut.fit, cut.weigh, cut.calibrate))
    train_days, held_days = table.between(*cut.train), table.between(*cut.held)
    offer = Offer(job.seed, limit, tell, job.epochs, job.threads, checkpoint=job.checkpoints)

    params = _searched(fit_days, job, offer)
    first, seconds = _fitted(job.kinds, fit_days, params, offer)
    told = {name: model.score(weigh_days.x) for name, model in first.items()}
    weighed = weights(told, weigh_days.fraud, UNLABELLED)
    raw = _raw({name: model.score(calibrate_days.x) for name, model in first.items()}, weighed)
    calibrated = calibration(raw, calibrate_days.fraud)

    last, again = _refitted(first, seconds, len(train_days) / len(fit_days), train_days, params, offer)
    heavy = {name: weight for name, weight in weighed.of.items() if weight} or weighed.of
    model = Blend({name: last[name] for name in heavy}, heavy, calibrated, table.names, weighed.bias)
    others = gates(train_days, last)
    if champion is not None:
        others[CHAMPION] = champion
    tell(Step("judging", 0, 1))
    beside = {name: one.score(held_days.x) for name, one in (last | others).items()}
    judged = judge({MODEL: model.of_members(beside)} | beside, frozenset(others), held_days, job.seed, job.resamples)
    tell(Step("judging", 1, 1, metric=judged.metrics[MODEL]["ap"].value))
    return Trained(
        model=model,
        judged=judged,
        spans=cut,
        findings=found,
        params=params,
        seconds=seconds | again,
        not_refitted=tuple(name for name in last if name not in again),
        left_out=tuple(name for name in job.kinds if name not in first),
        weightless=tuple(name for name in last if name not in heavy),
        train=train_days,
        held=held_days,
    )


def _searched(part: Table, job: Job, offer: Offer) -> dict[str, Found | None]:
    """Parameters of each kind; None: its own defaults."""
    limit = offer.limit.part(_SEARCHING)
    return {
        name: search(name, part, replace(offer, limit=limit.part(1 / (len(job.kinds) - at))), job.trials)
        for at, name in enumerate(job.kinds)
    }


def _fitted(
    kinds: Sequence[str], part: Table, params: Mapping[str, Found | None], offer: Offer
) -> tuple[dict[str, Scorer], dict[str, float]]:
    """Each kind while there is time, one at least; and how many seconds each took."""
    models, seconds = dict[str, Scorer](), dict[str, float]()
    offer = replace(offer, checkpoint=offer.checkpoint and offer.checkpoint / "fit")
    for at, name in enumerate(kinds):
        if models and offer.limit.left_s <= 0:
            break
        offer.tell(Step(f"fit {name}", at, len(kinds)))
        began = offer.limit.clock()
        models[name] = fit(name, part, _asked(offer, params[name], share=1 / (2 * (len(kinds) - at)))).model
        seconds[name] = offer.limit.clock() - began
        offer.tell(Step(f"fit {name}", at + 1, len(kinds)))
    return models, seconds


def _refitted(
    first: Mapping[str, Scorer],
    seconds: Mapping[str, float],
    growth: float,
    part: Table,
    params: Mapping[str, Found | None],
    offer: Offer,
) -> tuple[dict[str, Scorer], dict[str, float]]:
    """Members on all training days; where that would take longer than there is time, as they are."""
    models, took = dict(first), dict[str, float]()
    offer = replace(offer, checkpoint=offer.checkpoint and offer.checkpoint / "refit")
    for at, name in enumerate(first):
        if offer.limit.left_s < seconds[name] * growth:
            continue
        offer.tell(Step(f"refit {name}", at, len(first)))
        began = offer.limit.clock()
        model = fit(name, part, _asked(offer, params[name], share=1.0)).model
        if offer.limit.left_s <= 0:  # it was cut short: the one that was fitted on fewer days is whole
            break
        models[name], took[name] = model, offer.limit.clock() - began
        offer.tell(Step(f"refit {name}", at + 1, len(first)))
    return models, took


def _asked(offer: Offer, found: Found | None, share: float) -> Offer:
    return replace(offer, limit=offer.limit.part(share), params={} if found is None else found.params)


def _raw(told: Mapping[str, Any], weighed: Weights) -> Any:
    """The log-odds of the blend before it is calibrated."""
    return weighed.bias + sum(weighed.of[name] * log_odds(score) for name, score in told.items())
