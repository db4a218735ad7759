"""Report: what was fitted, as an artefact, as a table for people and as a figure for the docs.

The price: figures are rounded to four digits, which is more than the intervals support.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models import artefact
from training.fit import RIDGE, SEED, Fitted
from training.handbook import PUBLISHED
from training.metrics import Measured
from training.provenance import machine, revision


def save(fitted: Fitted, out: Path, *, name: str, version: str) -> Path:
    """Writes the artefact and returns its folder."""
    return artefact.save(
        out,
        fitted.model,
        name=name,
        version=version,
        feature_hash=fitted.feature_hash,
        metrics=_metrics(fitted),
        data=fitted.data,
        seed=SEED,
        revision=revision(),
    )


def table(fitted: Fitted) -> str:
    """What was measured, for a terminal."""
    rows = [
        ("", "AUC", "AP", "CP@100"),
        ("this model", *map(_interval, fitted.metrics.values())),
        ("the amount alone", *map(_interval, fitted.gate.values())),
        ("  gain over it in 28 days", *map(_interval, fitted.gain.values()), ""),
        ("this model, had the shop opened", *map(_interval, fitted.opening.values())),
        ("the book's features, here", *map(_interval, fitted.published.values())),
        ("the book's features, published", *(f"{value:.3f}" for value in PUBLISHED.values())),
    ]
    lines = [f"{label:30}" + "".join(f"{cell:>26}" for cell in cells) for label, *cells in rows]
    lines += ["", f"{'from score':32}{'orders a day':>24}{'precision':>24}{'recall':>24}"]
    lines += [
        f"{t['score']:<32}{t['orders_a_day']:>24}{t['precision']:>24}{t['recall']:>24}" for t in fitted.thresholds
    ]
    return "\n".join(lines)


def write_figure(fitted: Fitted, path: Path, *, command: str) -> None:
    """Writes the figure that the docs quote."""
    body = {
        "name": path.stem,
        "value": _json(fitted.metrics),
        "target": "gain in AUC over the amount alone in 28 days of test: the interval is above 0",
        "gain": _json(fitted.gain),
        "holds": fitted.beats_gate,
        "command": command,
        "data_hash": fitted.data["hash"],
        "revision": revision(),
        "machine": machine(),
        "amount_alone": _json(fitted.gate),
        "opening_week": _json(fitted.opening),
        "reproduction": {"value": _json(fitted.published), "target": PUBLISHED},
        "thresholds": fitted.thresholds,
        "data": fitted.data,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")


def _metrics(fitted: Fitted) -> dict[str, Any]:
    return {
        **_json(fitted.metrics),
        "amount_alone": _json(fitted.gate),
        "gain": _json(fitted.gain),
        "opening_week": _json(fitted.opening),
        "published_features": _json(fitted.published),
        "ridge": RIDGE,
        "thresholds": fitted.thresholds,
    }


def _json(measured: Mapping[str, Measured]) -> dict[str, dict[str, float]]:
    return {name: one.as_json() for name, one in measured.items()}


def _interval(one: Measured) -> str:
    return f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"
