"""Runs: what each retraining was for, what it cost and what became of it, one file each in the registry.

Nothing is ever changed there; the number is taken as the file is made. `outcome`: promoted; kept (no better than the
champion beyond noise; it is in the registry, not in force); refused (the data); failed (an error).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

from storage.places import Place

FOLDER: Final = "_retrain/runs"
TRIES: Final = 1000
Outcome = Literal["promoted", "kept", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Run:
    """One retraining."""

    at_ms: int
    by: str
    triggers: tuple[dict[str, Any], ...]  # most urgent first; none where it was forced
    outcome: Outcome
    why: str  # the outcome is that
    seconds: float
    orders: int
    model: str | None = None  # name/version that came out
    champion: str | None = None  # that it was held against
    gain: dict[str, dict[str, float]] | None = None  # over the champion, else over the gate
    to_ms: int | None = None  # the end of the training span
    number: int = 0

    @property
    def reason(self) -> str:
        return str(self.triggers[0]["trigger"]) if self.triggers else "forced"


def record(place: Place, run: Run) -> Run:
    """Keeps it, under the next number."""
    for number in range(_last(place) + 1, _last(place) + 1 + TRIES):
        numbered = replace(run, number=number)
        try:
            place.commit(_path(number), json.dumps(asdict(numbered), indent=2).encode(), new=True)
        except FileExistsError:
            continue
        return numbered
    raise RuntimeError(f"{place.shown}: {TRIES} numbers of runs were taken, one after the other")


def history(place: Place) -> Iterator[Run]:
    """Newest first."""
    for number in sorted(_numbers(place), reverse=True):
        with place.open(_path(number)) as raw:
            told = json.loads(raw.read())
        yield Run(**told | {"triggers": tuple(told["triggers"])})


def last(place: Place) -> Run | None:
    """The newest run."""
    return next(history(place), None)


def _numbers(place: Place) -> list[int]:
    stems = (path.rpartition("/")[2].removesuffix(".json") for path, _ in place.list(FOLDER))
    return [int(stem) for stem in stems if stem.isdigit()]


def _last(place: Place) -> int:
    return max(_numbers(place), default=0)


def _path(number: int) -> str:
    return f"{FOLDER}/{number:08d}.json"
