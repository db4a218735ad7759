"""`headrace train`: from a training set to a judged model, in a folder and in the registry."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.cli.replay import Moment
from streams.cli.table import print_table

if TYPE_CHECKING:
    from training.batch.checks import Finding
    from training.batch.spans import Spans
    from training.batch.table import Table
    from training.batch.train import Job

REFUSED = 3


@click.command("train")
@click.argument("model")
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True,
              help="A set of `headrace features build`: FILE.parquet or its folder.")  # fmt: skip
@click.option("--from", "since", type=Moment(), help="Orders from here on (UTC); default: all of the set.")
@click.option("--to", "until", type=Moment(), help="Orders before this (UTC).")
@click.option("--held-days", type=click.FloatRange(min=1), default=7.0, show_default=True,
              help="The newest days, which judge and are learned from by nothing.")  # fmt: skip
@click.option("--gap-days", type=click.FloatRange(min=0), help="Between training and those; default: as long as an "
              "order of the set takes to mature.")  # fmt: skip
@click.option("--trials", type=click.IntRange(min=0), default=0, show_default=True,
              help="Parameters to try of each kind, beside its defaults.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of all that is drawn.")
@click.option("--epochs", type=click.IntRange(min=1), help="Of a network; default: its own.")
@click.option(
    "--limit-s", type=click.FloatRange(min=0, min_open=True), help="End after so many seconds, with the best so far."
)
@click.option("--threads", type=click.IntRange(min=1), help="Default: as many as this process may use.")
@click.option("--accept", multiple=True, metavar="CHECK", help="Train although this check refuses: rate or drift.")
@click.option("--lost-good", type=click.FloatRange(min=0), default=0.1, show_default=True,
              help="What a good order that is stopped costs, as a share of its amount.")  # fmt: skip
@click.option("--name", help="The model's name; default: MODEL, of several `shop`.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path),
              help="Folder to keep it in; default: `trained` where there is no registry.")  # fmt: skip
@click.option("--checkpoints", type=click.Path(file_okay=False, path_type=Path),
              help="Folder in which a network that was killed finds where it was.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Check the data, say how its days would be cut, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of tables.")
def command(
    model: str,
    data: Path,
    since: int | None,
    until: int | None,
    held_days: float,
    gap_days: float | None,
    trials: int,
    seed: int,
    epochs: int | None,
    limit_s: float | None,
    threads: int | None,
    accept: Sequence[str],
    lost_good: float,
    name: str | None,
    out: Path | None,
    checkpoints: Path | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Train MODEL (a kind, several with commas, or `all`) and judge it on days it has not seen.

    Exit codes: 0 it beats its cheap gate beyond noise, 1 it does not, 2 it could not run, 3 the data is not to be
    trained on; the reasons are told.
    """
    from streams.cli.trained import kinds_of
    from training.batch.train import Job

    job = Job(
        kinds=kinds_of(model),
        seed=seed,
        held_days=held_days,
        gap_days=gap_days,
        trials=trials,
        epochs=epochs,
        threads=threads or os.cpu_count() or 1,
        accepted=frozenset(accept),
        checkpoints=checkpoints,
    )
    asked = _Asked(data, since, until, limit_s, lost_good, name, out, dry_run, as_json)
    return _refusing(lambda: _train(job, asked), as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked for beside the job."""

    data: Path
    since: int | None
    until: int | None
    limit_s: float | None
    lost_good: float
    name: str | None
    out: Path | None
    dry_run: bool
    as_json: bool


def _train(job: Job, asked: _Asked) -> int:
    """From the set to what is told of the model."""
    from schemas.settings import load
    from streams.cli import DOES_NOT, HOLDS
    from streams.cli.trained import SHOP, About, champion_of, keep, read, show, telling, told
    from training.batch.step import Limit
    from training.batch.train import planned, train

    settings, limit = load(), Limit.of(time.monotonic, asked.limit_s)
    with telling() as tell:
        table = read(settings, asked.data, asked.since, asked.until, tell)
        if asked.dry_run:
            return _planned(table, *planned(table, job), job.accepted, as_json=asked.as_json)
        champion = champion_of(settings)
        trained = train(table, job, limit=limit, tell=tell, champion=champion.model if champion else None)
    if os.environ.get("RANK", "0") == "0":  # of several under torchrun the first keeps what all of them have
        name = asked.name or (job.kinds[0] if len(job.kinds) == 1 else SHOP)
        about = About(name, job.seed, champion.label if champion else None, asked.lost_good)
        kept = keep(settings, trained, table, about, asked.out)
        if asked.as_json:
            click.echo(json.dumps(told(trained, kept)))
        else:
            show(trained, kept)
    return HOLDS if trained.beats_gate else DOES_NOT


def _refusing(work: Callable[[], int], *, as_json: bool) -> int:
    """What the work comes to; data that is not to be trained on is refused with reasons."""
    from streams.cli import CouldNotRun
    from training.batch.checks import RefusedError
    from training.batch.members import NotInstalledError
    from training.batch.spans import TooShortError
    from training.batch.table import BadSetError

    try:
        return work()
    except RefusedError as error:
        return _refused([one.about() for one in error.findings], as_json=as_json)
    except (BadSetError, TooShortError) as error:
        return _refused([{"check": "set", "level": "refuse", "text": str(error)}], as_json=as_json)
    except NotInstalledError as error:
        raise CouldNotRun(str(error)) from error


def _planned(table: Table, cut: Spans, findings: Sequence[Finding], accepted: frozenset[str], *, as_json: bool) -> int:
    """What a training would be, and whether the data is refused."""
    refuses = any(one.level == "refuse" and one.check not in accepted for one in findings)
    parts = {
        name: table.between(*getattr(cut, name)).about() for name in ("fit", "weigh", "calibrate", "train", "held")
    }
    if as_json:
        body = {"refused": refuses, "spans": cut.about(), "orders": parts, "findings": [f.about() for f in findings]}
        click.echo(json.dumps(body))
    else:
        print_table([{"span": name, **part} for name, part in parts.items()], right=("orders", "frauds"))
        _tell([one.about() for one in findings])
    return REFUSED if refuses else 0


def _refused(findings: Sequence[dict[str, Any]], *, as_json: bool) -> int:
    if as_json:
        click.echo(json.dumps({"refused": True, "findings": findings}))
    else:
        click.echo("Refused:", err=True)
        _tell(findings)
    return REFUSED


def _tell(findings: Sequence[dict[str, Any]]) -> None:
    for one in findings:
        click.echo(f"  {one['level']} {one['check']}: {one['text']}", err=True)
