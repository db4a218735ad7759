"""Page: how a model that is there does on a set, as one HTML file that needs nothing else.

Unlike a card it is about any days: also those that the model learned from, where its figures flatter it; the page says
so. Plots stand in it as SVG. The price: matplotlib, and half a megabyte.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any, Final

from models.artefact import Artefact
from models.blend import Blend
from schemas.timestamps import epoch_ms
from training.batch.card import PLOTS, importance, rows
from training.batch.cost import LOST_GOOD, cost
from training.batch.judge import CHAMPION, MODEL, Judged, judge, scored_on
from training.batch.table import Table
from training.metrics import RESAMPLES

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;color:#1d2733;max-width:62rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto}"
    "th,td{padding:.25rem .8rem .25rem 0;text-align:left;border-bottom:1px solid #dde3e8;white-space:nowrap}"
    "figure{display:inline-block;margin:0 1rem 1rem 0;max-width:30rem}svg{max-width:100%;height:auto}"
    "figcaption{font-size:.85rem;color:#5a6672}"
)


@dataclass(frozen=True)
class Evaluated:
    """A model on the orders of a set."""

    label: str
    model: Any
    judged: Judged
    orders: Table
    learned_from: int  # of the orders: they lie in its training span

    def about(self) -> dict[str, Any]:
        return {
            "model": self.label,
            "orders": self.orders.about(),
            "learned_from": self.learned_from,
            "metrics": self.judged.about(),
        }


def evaluated(
    artefact: Artefact, orders: Table, *, champion: Artefact | None, seed: int, resamples: int = RESAMPLES
) -> Evaluated:
    """How a model does, beside its members and the champion where that is another; raises ValueError without frauds."""
    model = artefact.model
    members = model.members(orders.x) if isinstance(model, Blend) else {}
    scores = {MODEL: model.score(orders.x), **members}
    if champion is not None and champion.manifest.model_hash != artefact.manifest.model_hash:
        scores[CHAMPION] = champion.model.score(orders.x)
    judged = judge(scores, frozenset({CHAMPION}), orders, seed, resamples)
    return Evaluated(artefact.label, model, judged, orders, _learned_from(artefact, orders))


def page(of: Evaluated, lost_good: float = LOST_GOOD) -> bytes:
    """The HTML file."""
    return "\n".join(_parts(of, lost_good)).encode()


def _parts(of: Evaluated, lost_good: float) -> Iterator[str]:
    about = of.orders.about()
    yield "<!doctype html>"
    yield f'<html lang="en"><meta charset="utf-8"><title>{escape(of.label)}</title><style>{_STYLE}</style>'
    yield f"<h1>{escape(of.label)}</h1>"
    yield (
        f"<p>{about['orders']:,} orders, {about['frauds']:,} of them frauds, from {about['from']} to {about['to']}; "
        f"set {escape(of.orders.hash)}, features {escape(of.orders.feature_hash)}.</p>"
    )
    if of.learned_from:
        yield f"<p><b>It has learned from {of.learned_from:,} of these orders: the figures flatter it.</b></p>"
    yield from _table(rows(of.judged.metrics))
    if of.judged.gains:
        yield "<p>Gain over the champion, on the same resamples:</p>"
        yield from _table(rows(of.judged.gains, ("auc", "ap")))
    yield "<p>In brackets 95 % of a bootstrap over cards.</p>"
    for name, drawing in _drawings(of, lost_good).items():
        yield f"<figure>{drawing}<figcaption>{escape(PLOTS[name])}</figcaption></figure>"
    best = cost(of.judged.scores[MODEL], of.orders, lost_good).about()
    yield f"<p>A missed fraud costs its amount, a good order that is stopped {lost_good:g} of its own ({best['unit']}):"
    yield f"{best['cost']:,.0f} at the best threshold ({best['stop_from']}),"
    yield f"{best['cost_of_stopping_none']:,.0f} where none is stopped.</p></html>"


def _drawings(of: Evaluated, lost_good: float) -> dict[str, str]:
    from training.batch import plots

    score, fraud = of.judged.scores[MODEL], of.orders.fraud
    scored = {name: scored_on(of.orders, one) for name, one in of.judged.scores.items()}
    figures = {
        "roc": partial(plots.roc, scored),
        "precision_recall": partial(plots.precision_recall, scored),
        "calibration": partial(plots.calibration, score, fraud),
        "cost": partial(plots.costs, cost(score, of.orders, lost_good)),
        "importance": partial(plots.importance, importance(of.model, of.orders)),
    }
    drawn = plots.drawn(figures, "svg")
    return {name: _svg(drawn[f"{name}.svg"], name) for name in figures}


def _svg(content: bytes, name: str) -> str:
    """The drawing alone, with ids that no other drawing of the page has."""
    text = content[content.index(b"<svg") :].decode()
    for before in ('id="', 'href="#', "url(#"):
        text = text.replace(before, f"{before}{name}-")
    return text


def _table(lines: Sequence[Mapping[str, str]]) -> Iterator[str]:
    yield "<table><tr>" + "".join(f"<th>{escape(name)}</th>" for name in lines[0]) + "</tr>"
    for line in lines:
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line.values()) + "</tr>"
    yield "</table>"


def _learned_from(artefact: Artefact, orders: Table) -> int:
    """How many of the orders lie in the training span that the manifest tells of."""
    span = artefact.manifest.data.get("spans", {}).get("train", {})
    at_ms, bad = epoch_ms([str(span.get("from")), str(span.get("to"))])
    return 0 if bad.any() else len(orders.between(int(at_ms[0]), int(at_ms[1])))
