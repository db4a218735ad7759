"""Card: what a model is, for people: what it was fitted on, how well it did beside what, and what speaks against it.

`card` gives the files of `card/` in a registry: card.md, the plots, and reference.json, which later data is held
against to see drift. The same training gives the same bytes: no clock is asked; how long fits took is not in it.
The price: plots ask for matplotlib (the extra `train`); without it there is no card, and no training either.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from models.blend import Blend
from training.batch import drift
from training.batch.cost import LOST_GOOD, Cost, cost
from training.batch.judge import CHAMPION, MODEL, scored_on
from training.batch.search import Found
from training.batch.table import Table
from training.batch.train import Trained
from training.metrics import Measured

CARD_FILE, REFERENCE_FILE = "card.md", "reference.json"
PLOTS: Final = {
    "roc": "How many frauds are found at how many good orders stopped; the dotted line is 1 %.",
    "precision_recall": "How many of those stopped are frauds, at how many of the frauds found.",
    "calibration": "Of orders with a score, how many are frauds; twenty bins, the highest in five parts, 95 % bars.",
    "cost": "What it costs to stop orders from a score on, on the held-out days.",
    "importance": "How much each column moves the log-odds, as far as members can tell why.",
}
METRICS: Final = {
    "auc": "AUC",
    "ap": "average precision",
    "cp100": "CP@100",
    "recall": "recall at 1 % FP",
    "calibration": "calibration error",
    "top_gap": "gap in the top 1 %",
    "top_rate": "frauds in the top 1 %",
}
SPANS: Final = ("fit", "weigh", "calibrate", "train", "held")
_EXPLAINED: Final = 2_000  # held-out orders whose contributions are asked
_SHOWN: Final = 15  # columns


def about(trained: Trained, table: Table, lost_good: float = LOST_GOOD) -> dict[str, Any]:
    """The parts of a manifest that training knows: features, metrics, data, seed apart."""
    return {
        "feature_hash": table.feature_hash,
        "metrics": {
            **trained.judged.about(),
            "weights": dict(trained.model.weights),
            "bias": trained.model.bias,
            "calibrated": trained.model.calibration.document(),
            "parameters": {name: _chosen(found) for name, found in trained.params.items()},
            "cost": _cost(trained, lost_good).about(),
        },
        "data": {
            "name": "training set",
            "hash": table.hash,
            "mature_days": table.mature_ms / 86_400_000,
            "left_out": table.left_out,
            "spans": trained.spans.about(),
            "train": trained.train.about(),
            "held": trained.held.about(),
            "findings": [one.about() for one in trained.findings],
            "not_refitted": list(trained.not_refitted),
            "members_left_out": list(trained.left_out),
            "members_of_no_weight": list(trained.weightless),
        },
    }


def card(
    trained: Trained, table: Table, *, title: str, lost_good: float = LOST_GOOD, with_png: bool = False
) -> dict[str, bytes]:
    """The files, by name."""
    from training.batch import plots

    judged, held = trained.judged, trained.held
    scored = {name: scored_on(held, score) for name, score in judged.scores.items()}
    money, columns = _cost(trained, lost_good), importance(trained.model, held)
    figures = {
        "roc": partial(plots.roc, scored),
        "precision_recall": partial(plots.precision_recall, scored),
        "calibration": partial(plots.calibration, judged.scores[MODEL], held.fraud),
        "cost": partial(plots.costs, money),
        "importance": partial(plots.importance, columns),
    }
    text = "\n".join(_text(trained, table, money, columns, title, lost_good)) + "\n"
    reference = json.dumps(drift.reference(trained.train.x, table.names), separators=(",", ":"))
    drawn = plots.drawn(figures, "svg") | (plots.drawn(figures, "png") if with_png else {})
    return {CARD_FILE: text.encode(), REFERENCE_FILE: reference.encode(), **drawn}


def importance(model: Blend, held: Table) -> list[tuple[str, float]]:
    """Columns with the mean size of their contributions over some held-out orders, largest first."""
    some = held.x[:: 1 + len(held) // _EXPLAINED]
    size = np.abs(model.contributions(some)).mean(axis=0)
    order = np.argsort(-size, kind="stable")[:_SHOWN]
    return [(model.reads[at], float(size[at])) for at in order.tolist() if size[at] > 0]


def rows(metrics: Mapping[str, Mapping[str, Measured]], names: Sequence[str] = tuple(METRICS)) -> list[dict[str, str]]:
    """A line a score: what was measured, with its interval."""
    return [
        {"score": score} | {METRICS[name]: interval(one[name]) for name in names if name in one}
        for score, one in metrics.items()
    ]


def interval(one: Measured) -> str:
    return f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"


def _text(
    trained: Trained, table: Table, money: Cost, columns: Sequence[tuple[str, float]], title: str, lost_good: float
) -> Iterator[str]:
    made_of = f"A blend of {', '.join(trained.model.scorers)}, fitted on set `{table.hash}`"
    yield from (f"# {title}", "", f"{made_of}, for features `{table.feature_hash}`.")
    yield from ("", "## Days", "", *_days(trained, table))
    yield from ("", "## On the held-out days", "", *_measured(trained))
    yield from ("", "## Money", "", *_money(money, lost_good))
    yield from ("", "## What it is made of", "", *_made_of(trained, columns))
    yield from ("", "## What speaks against it", "", *_against(trained, table))


def _days(trained: Trained, table: Table) -> Iterator[str]:
    spans = trained.spans.about()
    parts = {name: table.between(*getattr(trained.spans, name)) for name in SPANS}
    yield from _table(
        [
            {
                "span": name,
                "from": spans[name]["from"][:16],
                "to": spans[name]["to"][:16],
                "orders": f"{len(part):,}",
                "frauds": f"{int(part.fraud.sum()):,}",
            }
            for name, part in parts.items()
        ]
    )
    yield ""
    yield (
        f"Between training and the held-out days lie {spans['gap_days']:g} days, for labels to mature in. Parameters "
        "were chosen and members fitted on `fit`, weights found on `weigh`, calibrated on `calibrate`; then all of "
        "that was frozen, and the members were fitted once more on `train`. What is judged is what is served."
    )
    if trained.not_refitted:
        yield f"For want of time not fitted again: {', '.join(trained.not_refitted)}."
    if trained.left_out:
        yield f"For want of time not fitted at all: {', '.join(trained.left_out)}."


def _measured(trained: Trained) -> Iterator[str]:
    judged = trained.judged
    yield from _table(rows(judged.metrics))
    yield from ("", "In brackets 95 % of a bootstrap over cards. Gains, on the same resamples:", "")
    yield from _table(rows({f"over {name}": one for name, one in judged.gains.items()}, ("auc", "ap")))
    yield ""
    yield f"It {'beats' if trained.beats_gate else 'does not beat'} its cheap gate ({judged.gate}) by more than noise."
    if CHAMPION in judged.metrics:
        yield "The champion may have learned from some of these days, which flatters it."
    for name in ("roc", "precision_recall", "calibration"):
        yield from ("", f"![{PLOTS[name]}]({name}.svg)")


def _money(money: Cost, lost_good: float) -> Iterator[str]:
    best = money.about()
    yield f"A missed fraud costs its amount, a good order that is stopped {lost_good:g} of its own ({money.unit})."
    if best["stop_from"] is None:
        yield f"On these days nothing is cheaper than stopping none: {best['cost']:,.0f}."
    else:
        yield (
            f"Cheapest on these days: stop from {best['stop_from']} on ({best['orders_stopped']:,} orders), "
            f"{best['cost']:,.0f} in place of {best['cost_of_stopping_none']:,.0f}."
        )
    yield from ("", f"![{PLOTS['cost']}](cost.svg)")


def _made_of(trained: Trained, columns: Sequence[tuple[str, float]]) -> Iterator[str]:
    model = trained.model
    yield from _table(
        [
            {
                "member": name,
                "kind": one.kind,
                "weight": f"{model.weights[name]:g}",
                "parameters": json.dumps(_chosen(trained.params[name])),
            }
            for name, one in model.scorers.items()
        ]
    )
    if trained.weightless:
        yield from ("", f"Of no weight on `weigh`, and left out: {', '.join(trained.weightless)}.")
    yield from ("", f"Bias {model.bias:g}, calibration `{json.dumps(model.calibration.document())}`.")
    if not model.additive:
        yield "Some members cannot tell why: contributions are those of the others."
    yield from ("", f"![{PLOTS['importance']}](importance.svg)", "")
    yield from _table([{"column": name, "mean size of its contribution": f"{size:.4f}"} for name, size in columns])


def _against(trained: Trained, table: Table) -> Iterator[str]:
    if table.left_out:
        yield f"- {table.left_out:,} orders of the window had not matured and were left out."
    yield from (f"- {one.check}: {one.text}." for one in trained.findings)
    if not trained.findings and not table.left_out:
        yield "Nothing was found."


def _chosen(found: Found | None) -> dict[str, Any]:
    return {} if found is None else dict(found.params)


def _cost(trained: Trained, lost_good: float) -> Cost:
    return cost(trained.judged.scores[MODEL], trained.held, lost_good)


def _table(lines: Sequence[Mapping[str, str]]) -> Iterator[str]:
    if not lines:
        return
    yield "| " + " | ".join(lines[0]) + " |"
    yield "|" + " --- |" * len(lines[0])
    for line in lines:
        yield "| " + " | ".join(line.values()) + " |"
