"""Where retraining has its orders from: a set that is named, or one of the archive's newest days.

A set is of the newest moment of which the archive holds all, and that is told. Only where that is longer ago than the
archive may be behind (HEADRACE_RETRAIN__BEHIND_S) none is made: what a model would not know then is told with its age.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams.cli import CouldNotRun

if TYPE_CHECKING:
    from schemas.settings import Settings
    from training.batch.table import Table
    from training.retrain.retrain import Source
    from training.sets.asked import Asked
    from training.sets.moment import Moment

DAY_MS = 86_400_000
NEWEST_DAYS = 7.0
TOPIC = "orders"


@contextmanager
def source(settings: Settings, data: Path | None, now_ms: int) -> Iterator[Source]:
    """Where orders come from, for one look at `now_ms`; `data`: a set that is there."""
    from streams.space import definitions_of
    from training.batch import table
    from training.retrain.retrain import Source

    vector = definitions_of(settings).vector
    with tempfile.TemporaryDirectory(prefix="headrace-retrain-") as folder:
        built = list[Path]()

        def path() -> Path:
            if not built:
                built.append(data or _built(settings, Path(folder) / "set.parquet", now_ms))
            return built[0]

        def newest() -> Table:
            since = table.end_ms(path()) - round(NEWEST_DAYS * DAY_MS)
            return table.read(path(), vector.names, vector.hash, from_ms=since, labelled=False)

        yield Source(lambda: table.read(path(), vector.names, vector.hash), newest)


def _built(settings: Settings, out: Path, now_ms: int) -> Path:
    """A set of the archive's newest days; raises CouldNotRun where those are too old, ArchiveError for a hole."""
    from streams.archive.run import archive_of
    from streams.cli.sets import replayed
    from streams.space import definitions_of
    from training.sets.build import build
    from training.sets.moment import newest_whole

    definitions, place = definitions_of(settings), archive_of(settings)
    moment = newest_whole(place, TOPIC, now_ms)
    _check(moment, now_ms, settings.retrain.behind_s)
    asked = _asked(settings, moment.at_ms, now_ms)
    build(
        place,
        definitions,
        asked,
        out,
        rebuild=lambda upto: replayed(place, definitions, asked, settings.retrain.behind_s, upto),
        tell=lambda step, done, total: None,  # noqa: ARG005 - nobody watches
    )
    return out


def _asked(settings: Settings, at_ms: int, now_ms: int) -> Asked:
    """Orders from so far back that decisions are archived too, with what was known of them at the moment."""
    from streams.space import limits_of
    from training.sets.asked import Asked

    said = settings.retrain
    to_ms = min(at_ms, now_ms - round(said.behind_s * 1000))
    mature_ms, future_ms = round(said.mature_days * DAY_MS), limits_of(settings).future_ms
    return Asked(to_ms - round(said.days * DAY_MS), to_ms, at_ms, mature_ms, TOPIC, future_ms=future_ms)


def _check(moment: Moment, now_ms: int, behind_s: float) -> None:
    """Says of which moment the set is, where that is not now; raises CouldNotRun where it is too old."""
    from schemas.timestamps import rfc3339

    if not moment.why:
        return
    age = timedelta(seconds=(now_ms - moment.at_ms) // 1000)
    said = f"the archive is whole as of {rfc3339(moment.at_ms)}, {age} ago ({moment.why})"
    if age.total_seconds() > behind_s:
        raise CouldNotRun(
            f"{said}: want {timedelta(seconds=round(behind_s))} at most. Are the workers and `headrace archive` "
            "running? Try again when they have caught up, or allow more (HEADRACE_RETRAIN__BEHIND_S)"
        )
    click.echo(said, err=True)
