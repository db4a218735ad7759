"""What a run found, drawn: ROC, precision and recall, calibration of the decisions of the test days.

    python -m bench.handbook plots --run DIR        docs/figures/handbook-{roc,precision-recall,calibration}.svg

The same plots as a model card's, from `fraud.ndjson`, so they show what went out of Kafka.
"""

from __future__ import annotations

import json
from pathlib import Path

from bench import figure
from bench.handbook.run import BOOK, scores_of, test_of
from training.batch import plots
from training.metrics import Scored


def draw(data: Path, run: Path) -> list[Path]:
    """Writes the plots of a run; returns their paths."""
    label = json.loads((run / "figures.json").read_text())["model"]["label"]
    test = test_of(data, BOOK)
    scored = Scored(scores_of(test, run / "fraud.ndjson", label), test.fraud, test.customer, test.day)
    files = plots.drawn(
        {
            "handbook-roc": lambda: plots.roc({"blend": scored}),
            "handbook-precision-recall": lambda: plots.precision_recall({"blend": scored}),
            "handbook-calibration": lambda: plots.calibration(scored.score, scored.fraud),
        },
        "svg",
    )
    written = []
    for name, content in files.items():
        path = figure.FIGURES / name
        path.write_bytes(content)
        written.append(path)
    return written
