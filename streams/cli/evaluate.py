"""`headrace evaluate`: how well a model would have done, as the stream would have shown it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.cli import CouldNotRun
from streams.cli.progress import progress
from streams.cli.replay import Moment, Span
from streams.cli.table import print_table

if TYPE_CHECKING:
    from training.labelled import Table
    from training.online.learner import Learner
    from training.prequential import Cases, Judged


class Wait(Span):
    """A span that may be nothing."""

    name = "7d"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return 0 if value == "0" else super().convert(value, param, ctx)


@click.command("evaluate")
@click.option("--data", type=click.Path(exists=True, path_type=Path),
              help="A set of `headrace features build`: how a model that is there does on it.")  # fmt: skip
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="With --data: also an HTML file.")
@click.option("--prequential", "path", type=click.Path(exists=True, path_type=Path),
              help="A labelled table: a Parquet or CSV file, or a folder of Parquet.")  # fmt: skip
@click.option("--model", "kind", metavar="NAME", help="online_logistic, adaptive_forest, half_space or sessions; "
              "with --data: `champion` (the default), NAME/VERSION of the registry, or a folder.")  # fmt: skip
@click.option("--delay", type=Wait(), help="After the case its label is due; 0: at once.")
@click.option("--from", "since", type=Moment(), help="Cases from here on count (UTC); else from the first label on.")
@click.option("--to", "until", type=Moment(), help="Cases before this count (UTC); none later is read.")
@click.option(
    "--refresh", type=Wait(), default="10m", show_default=True, help="The least time between two snapshots; 0: none."
)
@click.option("--time", "at", metavar="COLUMN", help="When a case came.  [default: event_time]")
@click.option("--id", "named", metavar="COLUMN", help="Its name.  [default: event_id]")
@click.option("--label", metavar="COLUMN", help="1 fraud, 0 good, null never known.  [default: label]")
@click.option("--owner", metavar="COLUMN", help="Whose it is, for intervals.  [default: user_id, where there is one]")
@click.option(
    "--feature", "features", metavar="COLUMN", multiple=True, help="Only these, and not all numbers; again for more."
)
@click.option("--without", metavar="COLUMN", multiple=True, help="Not this one; again for more.")
@click.option("--set", "told", metavar="NAME=VALUE", multiple=True, help="A setting of the model; again for more.")
@click.option("--seed", type=int, default=7, show_default=True, help="Of sampling, trees and intervals.")
@click.option("--shuffle", is_flag=True, help="Shuffle the labels first: an AUC away from .5 is then a leak.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def command(
    data: Path | None,
    report: Path | None,
    path: Path | None,
    kind: str | None,
    delay: int | None,
    since: int | None,
    until: int | None,
    refresh: int,
    at: str | None,
    named: str | None,
    label: str | None,
    owner: str | None,
    features: tuple[str, ...],
    without: tuple[str, ...],
    told: tuple[str, ...],
    seed: int,
    shuffle: bool,
    as_json: bool,
) -> int:
    """Judge a model: one that is there on a set (--data), or an online one as the stream would (--prequential).

    With --data: figures with intervals beside its members and the champion, --from, --to, --seed and --json as there.
    With --prequential: on any labelled table, test, then learn, with the delay of labels.

    Nothing is learned before it is due, and nothing that comes later changes a score. Exit code 2: the table cannot be
    judged, and why.
    """
    if (data is None) == (path is None):
        raise click.UsageError("want one of --data SET and --prequential TABLE")
    if data is not None:
        from streams.cli import reported

        return reported.evaluate(data, kind or "champion", since, until, seed=seed, report=report, as_json=as_json)
    if path is None or kind is None or delay is None:
        raise click.UsageError("--prequential wants --model NAME and --delay SPAN")
    from training.labelled import Asked, TableError, cases_of, read, shuffled
    from training.prequential import NothingToJudgeError, prequential

    try:
        table = read(path, Asked(at, named, label, owner, features, without))
        table = shuffled(table, seed) if shuffle else table
        learner = _learner(kind, table, seed, told)
        cases, began = _before(cases_of(table, delay, since, until), until), time.perf_counter()
        with progress() as tell:
            judged = prequential(cases, learner, refresh_ms=refresh, seed=seed, tell=partial(tell, kind))
    except (TableError, NothingToJudgeError) as error:
        raise CouldNotRun(f"{path}: {error}") from error
    said = _said(cases, judged, learner) | {"delay_ms": delay, "shuffled": shuffle}
    said |= {"table": str(path), "seconds": round(time.perf_counter() - began, 1)}
    if as_json:
        click.echo(json.dumps(said))
    else:
        _print(said)
    return 0


def _learner(kind: str, table: Table, seed: int, told: Sequence[str]) -> Learner:
    from training.online.learner import learner_of

    try:
        made = learner_of(kind)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return made(table.names, seed=seed, settings=_settings(made.told(), told))


def _settings(default: Any, told: Sequence[str]) -> Any:
    """The settings with what was told of them, each of the kind that it was."""
    known = {field.name for field in fields(default)}
    changed = dict[str, Any]()
    for one in told:
        name, equals, text = one.partition("=")
        if name not in known or not equals:
            raise click.UsageError(f"--set {one}: want NAME=VALUE, of {', '.join(sorted(known))}")
        kind = type(getattr(default, name))
        try:
            changed[name] = tuple(float(part) for part in text.split(",") if part) if kind is tuple else kind(text)
        except ValueError as error:
            raise click.UsageError(f"--set {one}: want a {kind.__name__}") from error
    return replace(default, **changed)


def _before(cases: Cases, until: int | None) -> Cases:
    """The cases before the end of the test: nothing later can matter."""
    if until is None:
        return cases
    keep = cases.at_ms < until
    return type(cases)(**{field.name: getattr(cases, field.name)[keep] for field in fields(cases)})


def _said(cases: Cases, judged: Judged, learner: Learner) -> dict[str, Any]:
    from schemas.timestamps import rfc3339

    counted = cases.at_ms[cases.judged]
    return {
        "model": learner.kind,
        "settings": asdict(learner.settings),
        "seed": learner.seed,
        "cases": len(cases),
        "learned": judged.learned,
        "frauds_learned": judged.frauds,
        "snapshots": judged.snapshots,
        "from": rfc3339(int(counted.min())),
        "to": rfc3339(int(counted.max())),
        "judged": len(counted),
        "frauds": int(cases.fraud[cases.judged].sum()),
        "metrics": {name: one.as_json() for name, one in judged.metrics.items()},
        "state": judged.state_hash,
    }


def _print(said: dict[str, Any]) -> None:
    days = said["delay_ms"] / 86_400_000
    click.echo(
        f"{said['model']}: {said['judged']:,} cases from {said['from']} to {said['to']}, {said['frauds']:,} frauds; "
        f"labels {days:g} days late" + ("; SHUFFLED labels" if said["shuffled"] else "")
    )
    print_table(
        [{"metric": name, "value": f"{one['value']:.4f}", "95 % interval": f"{one['low']:.4f} to {one['high']:.4f}"}
         for name, one in said["metrics"].items()]
    )  # fmt: skip
    click.echo(
        f"learned {said['learned']:,} labels ({said['frauds_learned']:,} frauds), {said['snapshots']:,} snapshots, "
        f"{said['seconds']} s; state {said['state'][:16]}"
    )
