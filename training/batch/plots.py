"""Plots of a model card, by matplotlib: what a score finds, whether it holds, what it costs, what it looks at.

Each is a function from numbers to a figure; `drawn` makes files of them, with neither a clock nor a random id in them.
The price: matplotlib takes a second to import, so nothing here is imported before a card is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any, Final, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from features.columns import Floats
from training.batch.cost import Cost
from training.metrics import BINS, Bools, Scored

Format = Literal["svg", "png"]
SIZE: Final = (6.0, 4.2)
INK, ACCENT, OTHERS = (
    "#1d2733",
    "#0b6e99",
    ("#b4532a", "#6a8532", "#7a5195", "#8d8d8d", "#c7a02c", "#3f7f7f", "#aa4a7a"),
)
_POINTS: Final = 600  # of a curve: more would only weigh
_STYLE: Final[Any] = {  # matplotlib types it by every key that there is
    "svg.hashsalt": "headrace",
    "font.size": 10,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": True,
    "legend.framealpha": 0.85,  # a curve may run behind it
    "legend.edgecolor": "none",
    "legend.fontsize": 8,
}


def drawn(plots: Mapping[str, Callable[[], Figure]], kind: Format) -> dict[str, bytes]:
    """The files of plots, by name."""
    files = dict[str, bytes]()
    with mpl.rc_context(_STYLE):
        for name, plot in plots.items():
            into = BytesIO()
            about = {"Date": None} if kind == "svg" else {"Software": None}
            plot().savefig(into, format=kind, dpi=120, metadata=about)
            files[f"{name}.{kind}"] = into.getvalue()
    return files


def roc(scored: Mapping[str, Scored]) -> Figure:
    """Frauds found over goods stopped, on a logarithmic axis: what a shop can bear is on the left."""
    figure, axes = _axes("ROC", "good orders stopped (share, logarithmic)", "frauds found (share)")
    for (name, one), style in zip(scored.items(), _styles(), strict=False):
        frauds, goods = one.found(np.ones(one.cards))
        share, found = _thin(goods / goods[-1], frauds / frauds[-1])
        axes.plot(np.maximum(share, 1e-5), found, label=f"{name}: AUC {one.auc():.3f}", **style)
    axes.set_xscale("log")
    axes.set_xlim(1e-4, 1)
    axes.set_ylim(0, 1.02)
    axes.axvline(0.01, color=INK, linewidth=0.8, linestyle=":")
    axes.legend(loc="lower right")
    return figure


def precision_recall(scored: Mapping[str, Scored]) -> Figure:
    """How many of those stopped are frauds, over how many of the frauds are stopped."""
    figure, axes = _axes("Precision and recall", "frauds found (recall)", "frauds among those stopped (precision)")
    for (name, one), style in zip(scored.items(), _styles(), strict=False):
        frauds, goods = one.found(np.ones(one.cards))
        recall, precision = _thin(frauds / frauds[-1], frauds / (frauds + goods))
        axes.step(recall, precision, where="pre", label=f"{name}: AP {one.average_precision():.3f}", **style)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.legend(loc="lower left")
    return figure


def calibration(score: Floats, fraud: Bools) -> Figure:
    """Share of frauds over the mean score, in bins of as many orders; the top bin in five parts."""
    figure, axes = _axes("Calibration", "mean score (logarithmic)", "share of frauds (logarithmic)")
    order = np.argsort(score, kind="stable")
    bins = np.array_split(order, BINS)
    every = [*bins[:-1], *np.array_split(bins[-1], 5)]
    said = np.array([score[rows].mean() for rows in every if len(rows)])
    was = np.array([fraud[rows].mean() for rows in every if len(rows)])
    count = np.array([len(rows) for rows in every if len(rows)])
    least = min(0.3 / count.max(), max(said.min(), 1e-6))  # where a bin without frauds is drawn
    shown, (low, high) = np.maximum(was, least), _wilson(was, count)
    bars = np.stack([shown - np.clip(low, least, shown), np.maximum(high - shown, 0)])
    axes.errorbar(np.maximum(said, least), shown, yerr=bars, fmt="o", color=ACCENT, markersize=4, capsize=2)
    axes.plot([least, 1], [least, 1], color=INK, linewidth=0.8, linestyle=":", label="as it should be")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.legend(loc="upper left")
    return figure


def costs(of: Cost, review_at: float | None = None, block_at: float | None = None) -> Figure:
    """What it costs to stop orders from a score on."""
    best = of.best
    title = f"Cost over thresholds: least, {of.total[best]:,.0f}, from {of.at[best]:.4f} on"
    figure, axes = _axes(title, "orders are stopped from this score on (logarithmic)", of.unit)
    at = np.maximum(of.at, 1e-6)
    for name, values, style in zip(("all", "missed frauds", "lost good orders"), (of.total, of.missed, of.lost),
                                   _styles(), strict=False):  # fmt: skip
        x, y = _thin(at, values)
        axes.plot(x, y, label=name, **style)
    axes.plot([at[best]], [of.total[best]], "o", color=ACCENT)
    for where, name in ((review_at, "review"), (block_at, "block")):
        if where is not None:
            axes.axvline(where, color=INK, linewidth=0.8, linestyle=":")
            axes.text(where, axes.get_ylim()[1], name, rotation=90, va="top", ha="right", fontsize=8)
    axes.set_xscale("log")
    axes.set_ylim(0, max(1.6 * of.total[-1], 1.2 * of.total[best], 1e-9))
    axes.legend(loc="upper left")
    return figure


def importance(columns: Sequence[tuple[str, float]]) -> Figure:
    """How much each column moves the log-odds, in the mean."""
    figure, axes = _axes("What it looks at", "mean size of the contribution to the log-odds", "")
    names, values = [name for name, _ in columns][::-1], [value for _, value in columns][::-1]
    axes.barh(names, values, color=ACCENT)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", labelsize=8)
    return figure


def _wilson(share: Floats, n: Any) -> tuple[Floats, Floats]:
    """95 % intervals of shares, also where there is none."""
    z = 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    wide = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return middle - wide, middle + wide


def _axes(title: str, x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


def _styles() -> list[dict[str, Any]]:
    return [{"color": ACCENT, "linewidth": 2.2, "zorder": 3}, *({"color": one, "linewidth": 1.1} for one in OTHERS)]


def _thin(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """At most _POINTS of a curve: half of them where it begins."""
    if len(x) <= _POINTS:
        return x, y
    near = np.unique(np.geomspace(1, len(x), _POINTS // 2).astype(np.int64) - 1)
    far = np.linspace(0, len(x) - 1, _POINTS // 2).astype(np.int64)
    keep = np.unique(np.concatenate([near, far]))
    return x[keep], y[keep]
