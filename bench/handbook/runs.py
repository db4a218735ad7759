"""Three whole runs and what they differ by: docs/figures/handbook.json.

    python -m bench.handbook runs --out DIR

Each run is `make handbook` of its own, in DIR/1, DIR/2 and DIR/3; one whose figures.json is there already is taken as
it is, so that a machine that went down goes on. Two workers take partitions as they come, so runs are not equal to the
last digit: how far apart they are is part of the figure. The price: three times a run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench import figure
from bench.handbook.run import TARGET, run

TIMES: Final = 3
APART: Final = 0.005  # in AUC, average precision and CP@100


def runs(data: Path, out: Path, times: int = TIMES) -> Path:
    """Does what is not done yet and writes the figure."""
    return write([_one(data, out / str(number)) for number in range(1, times + 1)])


def _one(data: Path, out: Path) -> Mapping[str, Any]:
    path = out / "figures.json"
    if not path.exists():
        run(data, out)
    found: Mapping[str, Any] = json.loads(path.read_text())
    return found


def apart(found: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """How far the highest of the runs is from the lowest, by metric."""
    values = {name: [one["value"][name]["value"] for one in found] for name in TARGET}
    return {name: round(max(of) - min(of), 4) for name, of in values.items()}


def write(found: Sequence[Mapping[str, Any]]) -> Path:
    """The figure: the first run with its members, and how far the others are from it."""
    first, between = found[0], apart(found)
    met = [one["value"][name]["value"] >= least for one in found for name, least in TARGET.items()]
    return figure.write(
        "handbook",
        value={
            **first["value"],
            "members": first["members"],
            "runs": [{name: one["value"][name]["value"] for name in TARGET} for one in found],
            "apart": between,
        },
        target=f"each run: {TARGET}; at most {APART} between them; every audit holds",
        command="python -m bench.handbook runs --out DIR",
        data_hash=first["data_hash"],
        holds=all(met) and max(between.values()) <= APART and all(one["audit"].get("holds") for one in found),
        audits=[one["audit"] for one in found],
        model=first["model"],
        days=first["days"],
        broker=[one["broker"] for one in found],
        seconds=[one["seconds"] for one in found],
        revisions=[one["revision"] for one in found],
    )
