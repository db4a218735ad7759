"""Checks: what speaks against training on a set, each with its number and what to do.

A finding that refuses ends the job (exit code 3) unless it is accepted by name (`--accept rate`); a warning goes to the
model card. What is looked at:
    labels    there are some, of both kinds, enough of them in the days to fit, to weigh, to calibrate and to judge on
    finite    no value is NaN or infinite
    rate      the share of frauds is stable: days whose labels have not come look like days without fraud
    drift     the newest training days against the older ones, and the held-out days against training (PSI)
    constant  columns that never vary say nothing
    too_good  one column alone tells nearly all frauds: mostly it knows what was known only later

The price: thresholds are rules of thumb; each is written here once, and in docs/training.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from features.columns import Floats
from schemas.timestamps import rfc3339
from training.batch import drift
from training.batch.spans import Spans
from training.batch.table import Table

Level = Literal["refuse", "warn"]

LEAST_ROWS: Final = 500  # to learn from
LEAST_FRAUDS: Final = {"fit": 30, "weigh": 5, "calibrate": 5, "held": 20}
LEAST_OWNERS: Final = 10  # whose orders the frauds to judge on are: the bootstrap draws owners
RATE_WARN, RATE_REFUSE = 2.0, 5.0  # times more or fewer frauds in a stretch than in all
SURPRISE: Final = 3.0  # standard errors: less is chance
STRETCHES: Final = 8
DRIFT_WARN: Final = drift.MUCH
DRIFT_REFUSE: Final = 0.5  # of the columns that vary, beyond much
TOO_GOOD: Final = 0.98  # AUC of one column alone
_GOODS: Final = 20_000  # that a column alone must tell from frauds
_NAMED: Final = 5  # columns that a finding names


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that speaks against training."""

    check: str
    level: Level
    text: str

    def about(self) -> dict[str, Any]:
        return {"check": self.check, "level": self.level, "text": self.text}


class RefusedError(ValueError):
    """The data is not to be trained on; `findings` say why."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(one.text for one in findings if one.level == "refuse"))


def labelled(table: Table) -> None:
    """Raises RefusedError for a set without labels, or with one kind of them: nothing else can be asked of it."""
    frauds = int(table.fraud.sum())
    if not len(table):
        raise RefusedError(
            [
                _refuse(
                    "labels",
                    f"none of {table.left_out:,} orders has a label that has matured: build the set with a later "
                    "--labels-as-of or fewer --mature-days",
                )
            ]
        )
    if not frauds or frauds == len(table):
        raise RefusedError(
            [
                _refuse(
                    "labels",
                    f"{frauds:,} of {len(table):,} orders are frauds: want some and some that are not; do chargebacks "
                    "reach the topic `labels`?",
                )
            ]
        )


def findings(table: Table, spans: Spans) -> list[Finding]:
    """All that speaks against it."""
    parts = {name: table.between(*getattr(spans, name)) for name in LEAST_FRAUDS}
    train, held = table.between(*spans.train), parts["held"]
    few = list(_enough(parts, train))
    if any(one.level == "refuse" for one in few):
        return few
    return [*few, *_finite(table), *_rate(train, held), *_columns(train, held)]


def refuse(found: Sequence[Finding], accepted: frozenset[str]) -> None:
    """Raises RefusedError where something refuses that was not accepted by name."""
    if any(one.level == "refuse" and one.check not in accepted for one in found):
        raise RefusedError(found)


def rates(part: Table, stretches: int = STRETCHES) -> list[tuple[int, int, int]]:
    """(first ms, orders, frauds) of stretches of equal length."""
    edges = np.linspace(part.at_ms[0], part.at_ms[-1] + 1, stretches + 1).astype(np.int64)
    cuts = np.searchsorted(part.at_ms, edges).tolist()
    return [
        (int(edge), end - begin, int(part.fraud[begin:end].sum()))
        for edge, begin, end in zip(edges.tolist(), cuts, cuts[1:], strict=False)
    ]


def _enough(parts: Mapping[str, Table], train: Table) -> Iterator[Finding]:
    if len(train) < LEAST_ROWS:
        yield _refuse("labels", f"{len(train):,} labelled orders to learn from: want {LEAST_ROWS:,}; take more days")
    for name, part in parts.items():
        frauds, goods = int(part.fraud.sum()), int((~part.fraud).sum())
        if min(frauds, goods) < LEAST_FRAUDS[name]:
            text = f"{frauds} frauds and {goods:,} good orders among the days to {name} ({_days(part)})"
            yield _refuse("labels", f"{text}: want {LEAST_FRAUDS[name]} of each; take more days")
    owners = len(np.unique(parts["held"].owner[parts["held"].fraud]))
    if owners < LEAST_OWNERS:
        yield _refuse(
            "labels", f"the frauds to judge on are those of {owners} cards: want {LEAST_OWNERS}; take more days"
        )


def _finite(table: Table) -> Iterator[Finding]:
    for at, name in enumerate(table.names):
        if bad := int((~np.isfinite(table.x[:, at])).sum()):
            yield _refuse("finite", f"column {name} has {bad:,} values that are NaN or infinite: build the set again")


def _rate(train: Table, held: Table) -> Iterator[Finding]:
    """Stretches of training, and the held-out days, against all of training."""
    usual = float(train.fraud.mean())
    stretches = [(f"from {rfc3339(at)[:10]}", n, k) for at, n, k in rates(train)]
    for where, n, frauds in [*stretches, ("of the held-out days", len(held), int(held.fraud.sum()))]:
        expected = usual * n
        if abs(frauds - expected) < SURPRISE * max(expected, 1.0) ** 0.5:
            continue
        times = max(frauds, 0.5) / expected
        if not 1 / RATE_WARN < times < RATE_WARN:
            much = not 1 / RATE_REFUSE < times < RATE_REFUSE
            text = (
                f"{frauds} frauds among the {n:,} orders {where}, where training has {expected:.0f} among as many: "
                "labels that came late, that stopped, or another fraud; look at those days"
            )
            yield Finding("rate", "refuse" if much else "warn", text)


def _columns(train: Table, held: Table) -> Iterator[Finding]:
    still = [name for at, name in enumerate(train.names) if not np.ptp(train.x[:, at])]
    if still:
        yield Finding("constant", "warn", f"{len(still)} columns never vary in training: {_named(still)}")
    half = (len(train) * 3) // 4
    for what, old, new in (
        ("the newest quarter of training", train.x[:half], train.x[half:]),
        ("the held-out days", train.x, held.x),
    ):
        moved = [name for name, value in drift.drifts(old, new, train.names).items() if value > DRIFT_WARN]
        if moved:
            much = len(moved) > DRIFT_REFUSE * (len(train.names) - len(still))
            text = f"{len(moved)} of {len(train.names)} columns moved much (PSI above {DRIFT_WARN}) in {what}"
            yield Finding("drift", "refuse" if much else "warn", f"{text}: {_named(moved)}")
    some = train.fraud.copy()
    some[:: 1 + len(train) // _GOODS] = True  # all frauds, and as many of the others as it takes
    rows = np.flatnonzero(some)
    told = {name: alone(train.x[rows, at], train.fraud[rows]) for at, name in enumerate(train.names)}
    if leaks := [f"{name} (AUC {value:.3f})" for name, value in told.items() if value >= TOO_GOOD]:
        text = f"alone nearly tells who is a fraud: {_named(leaks)}: does it know of what came after the decision?"
        yield Finding("too_good", "warn", text)


def alone(values: Floats, fraud: Any) -> float:
    """AUC of a column by itself, whichever way it points; ties count half."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2  # the mean rank of equal values
    frauds = int(fraud.sum())
    above = rank[place][fraud].sum() - frauds * (frauds + 1) / 2
    auc = float(above / (frauds * (len(fraud) - frauds)))
    return max(auc, 1 - auc)


def _refuse(check: str, text: str) -> Finding:
    return Finding(check, "refuse", text)


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _days(part: Table) -> str:
    return f"{rfc3339(int(part.at_ms[0]))[:10]} to {rfc3339(int(part.at_ms[-1]))[:10]}" if len(part) else "no orders"
