"""Observe: what is to be seen of the champion in data that came after it.

Its card in the registry says where its training data lay (reference.json) and how well it did; a set says how newer
orders are and, of those that have matured, what became of them. The newest days are held against the reference whether
they have labels or not.
The price: a set is read twice, and without a card there is no drift to be told.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from models.artefact import Artefact
from models.deployments import champion_since_ms
from models.registry import Registry
from schemas.deployments import Ref
from schemas.timestamps import epoch_ms
from training.batch import drift
from training.batch.card import REFERENCE_FILE
from training.batch.judge import scored_on
from training.batch.table import Table
from training.metrics import Measured, measure
from training.retrain import runs
from training.retrain.triggers import Seen

WINDOW_DAYS: Final = 7.0  # of orders that are held against the champion's
_LEAST_FRAUDS: Final = 20  # to say how well it does
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Champion:
    """What is in force."""

    artefact: Artefact
    ref: Ref
    since_ms: int
    reference: dict[str, Any] | None


def champion(registry: Registry, load: Callable[[Ref], Artefact]) -> Champion | None:
    """The champion with what its card keeps; None where there is none. Raises ArtefactError as `load` does."""
    now = registry.deployed()
    if now.champion is None:
        return None
    kept = registry.card(now.champion.name, now.champion.version).get(REFERENCE_FILE)
    since_ms = champion_since_ms(registry.history(), now)
    return Champion(load(now.champion), now.champion, since_ms, json.loads(kept) if kept else None)


def seen(now_ms: int, labelled: Table, newest: Table, of: Champion | None, last: runs.Run | None, seed: int) -> Seen:
    """`labelled` are orders that have matured, `newest` those of the last days, labels or not."""
    known = Seen(now_ms, len(labelled), int(labelled.fraud.sum()), run_ms=last.at_ms if last else None)
    if of is None:
        return known
    to_ms = max(_trained_to(of.artefact), (last.to_ms or 0) if last else 0)
    after = labelled.between(to_ms, 2**62)
    return replace(
        known,
        champion=of.ref.label,
        since_ms=of.since_ms,
        drift=drift.since(of.reference, newest.x, newest.names) if of.reference and len(newest) else {},
        then=_measured(of.artefact.manifest.metrics.get("ap")),
        newer=_newer(of.artefact, labelled, seed),
        new_frauds=int(after.fraud.sum()),
    )


def _newer(of: Artefact, labelled: Table, seed: int) -> Measured | None:
    """The champion's average precision on the newest days that it did not learn from and was not judged on."""
    begin = max(_judged_to(of), int(labelled.at_ms[-1]) - round(WINDOW_DAYS * _DAY_MS)) if len(labelled) else 0
    part = labelled.between(begin, 2**62)
    if int(part.fraud.sum()) < _LEAST_FRAUDS or part.fraud.all():
        return None
    return measure(scored_on(part, of.model.score(part.x)), seed)["ap"]


def _trained_to(of: Artefact) -> int:
    return _end(of, "train")


def _judged_to(of: Artefact) -> int:
    return max(_end(of, "train"), _end(of, "held"))


def _end(of: Artefact, span: str) -> int:
    """The end of one of the spans that a manifest tells of; 0 where it does not."""
    text = of.manifest.data.get("spans", {}).get(span, {}).get("to")
    at_ms, bad = epoch_ms([str(text)])
    return 0 if bad[0] else int(at_ms[0])


def _measured(told: Any) -> Measured | None:
    """A metric as a manifest has it; None where it has none."""
    try:
        return Measured(float(told["value"]), float(told["low"]), float(told["high"]))
    except (KeyError, TypeError, ValueError):
        return None
