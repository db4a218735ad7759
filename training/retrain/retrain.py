"""Retrain: a new model where there is a reason for one, in force where it is better beyond noise.

The story: under the lock, look at what there is to see; where nothing is due, say so; train; keep what came out; hold
it against the champion on the same held-out orders; promote it only if the whole interval of its gain in average
precision is above 0. Without a champion it must beat its cheap gate so. Each run is recorded with reason, cost and
outcome, also one that was refused or failed. Promoting is one change of the registry, so a process that dies is in the
way of nothing.

The price: nothing is promoted for being newer. A champion that stays is one that the new model could not beat.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from models.deployments import promoted
from models.registry import Registry
from schemas.deployments import Deployment
from training.batch.checks import RefusedError
from training.batch.judge import CHAMPION
from training.batch.spans import TooShortError
from training.batch.step import Limit, Tell
from training.batch.table import Table
from training.batch.train import Job, Trained, train
from training.retrain import looks, runs
from training.retrain.lock import Lock
from training.retrain.observe import Champion, seen
from training.retrain.runs import Outcome, Run
from training.retrain.triggers import Due, Policy, due

log = logging.getLogger("headrace")


@dataclass(frozen=True, slots=True)
class Source:
    """Where orders come from: both read anew each time."""

    labelled: Callable[[], Table]
    newest: Callable[[], Table]  # of the last days, labels or not


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be trained, and how."""

    name: str
    job: Job
    policy: Policy
    by: str
    limit_s: float | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What a retraining came to. `run` is None where none was due."""

    due: Due
    run: Run | None = None
    deployment: Deployment | None = None


Keep = Callable[[Trained, Table, str | None], str]
"""Puts a model with its card into the registry; its version."""


def check(
    source: Source, registry: Registry, champion: Champion | None, asked: Asked, now_ms: int
) -> tuple[Due, Table]:
    """What is due, and the orders that say so; what was seen is written down. Raises BadSetError."""
    labelled = source.labelled()
    found = seen(now_ms, labelled, source.newest(), champion, runs.last(registry.place), asked.job.seed)
    to_do = due(found, asked.policy)
    looks.keep(registry.place, found, to_do)
    return to_do, labelled


def retrain(
    source: Source,
    registry: Registry,
    champion: Callable[[], Champion | None],
    lock: Lock,
    asked: Asked,
    keep: Keep,
    *,
    force: bool,
    tell: Tell,
    clock: Callable[[], float],
    now_ms: Callable[[], int],
) -> Done:
    """Raises HeldError where somebody else retrains, LostError where somebody took over."""
    with lock.held():
        holds, began_s, at_ms = champion(), clock(), now_ms()
        found, table = check(source, registry, holds, asked, at_ms)
        if not force and not found.now:
            return Done(found)
        run = _begun(found, asked, at_ms, len(table), holds)
        deployment = None
        try:
            limit = Limit.of(clock, asked.limit_s)
            trained = train(table, asked.job, limit=limit, tell=tell, champion=holds.artefact.model if holds else None)
            lock.renew()  # from here on something is changed: it must still be ours
            version = keep(trained, table, holds.ref.label if holds else None)
            outcome, why = judged(trained)
            run = replace(_ended(run, trained), model=f"{asked.name}/{version}", outcome=outcome, why=why)
            if outcome == "promoted":
                lock.renew()
                said = f"retrained ({run.reason}): {why}"
                deployment = registry.deploy(promoted(registry.ref(asked.name, version)), why=said, by=asked.by)
        except (RefusedError, TooShortError) as error:
            run = replace(run, outcome="refused", why=str(error))
        except Exception as error:
            runs.record(registry.place, replace(run, outcome="failed", why=repr(error), seconds=clock() - began_s))
            raise
        run = runs.record(registry.place, replace(run, seconds=round(clock() - began_s, 1)))
    log.info("retrained", extra={"outcome": run.outcome, "reason": run.reason, "model": run.model})
    return Done(found, run, deployment)


def judged(trained: Trained) -> tuple[Outcome, str]:
    """Whether a model is to be put in force, and the figures that say so."""
    against = CHAMPION if CHAMPION in trained.judged.gains else trained.judged.gate
    gain = trained.judged.gains[against]["ap"]
    figures = f"average precision {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}) over the {against}"
    if trained.judged.beats(against):
        return "promoted", figures
    return "kept", f"no gain beyond noise: {figures}"


def _begun(found: Due, asked: Asked, at_ms: int, orders: int, holds: Champion | None) -> Run:
    return Run(
        at_ms=at_ms,
        by=asked.by,
        triggers=tuple(one.about() for one in found.triggers),
        outcome="failed",
        why="",
        seconds=0.0,
        orders=orders,
        champion=holds.ref.label if holds else None,
    )


def _ended(run: Run, trained: Trained) -> Run:
    """With what came out of training."""
    against = CHAMPION if CHAMPION in trained.judged.gains else trained.judged.gate
    gain = {name: one.as_json() for name, one in trained.judged.gains[against].items()}
    return replace(run, gain=gain, to_ms=trained.spans.to_ms)
