"""What `train` and `retrain` share: reading a set, telling of progress, keeping what was trained."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.cli.table import print_table

if TYPE_CHECKING:
    from models.artefact import Artefact
    from models.registry import Registry
    from schemas.settings import Settings
    from training.batch.step import Step, Tell
    from training.batch.table import Table
    from training.batch.train import Trained

ALL, SHOP = "all", "shop"
OUT = Path("trained")


@dataclass(frozen=True, slots=True)
class About:
    """What is said of a model beside what its training knows."""

    name: str
    seed: int
    parent: str | None
    lost_good: float


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a model went."""

    label: str
    folder: Path | None
    registry: str | None


def kinds_of(model: str) -> tuple[str, ...]:
    """The kinds that MODEL names, as they are fitted one after the other; `all`: those installed that are not slow."""
    from training.batch.members import KINDS

    if model == ALL:
        missing = {name: kind.missing for name, kind in KINDS.items() if kind.missing and not kind.slow}
        for name, library in missing.items():
            click.echo(f"without {name}: it needs {library} (pip install 'headrace[train]')", err=True)
        return tuple(name for name, kind in KINDS.items() if name not in missing and not kind.slow)
    asked = model.split(",")
    if unknown := [name for name in asked if name not in KINDS]:
        raise click.UsageError(f"no kind of model is called {unknown[0]!r}: want {', '.join(KINDS)}, or {ALL}")
    return tuple(name for name in KINDS if name in asked)


def read(settings: Settings, data: Path, since: int | None, until: int | None, tell: Tell) -> Table:
    """The labelled orders of a set, for this installation's features."""
    from streams.space import definitions_of
    from training.batch import table
    from training.batch.step import Step

    vector = definitions_of(settings).vector
    return table.read(
        data,
        vector.names,
        vector.hash,
        from_ms=since,
        to_ms=until,
        tell=lambda done, total: tell(Step("read", done, total)),
    )


def champion_of(settings: Settings) -> Artefact | None:
    """The model in force, where it is for these features: what is trained is held against it."""
    from models.documents import ArtefactError
    from streams.space import definitions_of

    registry = registry_of(settings)
    if registry is None:
        return None
    registry.place.check()  # makes a folder that is not there
    if (ref := registry.deployed().champion) is None:
        return None
    vector = definitions_of(settings).vector
    try:
        return registry.of(ref, vector.names, vector.hash)
    except ArtefactError as error:
        click.echo(f"not held against the champion: {error}", err=True)
        return None


def registry_of(settings: Settings) -> Registry | None:
    """None where no registry is set."""
    from models.registry import Registry

    return Registry.at(settings.registry.url) if settings.registry.url else None


def keep(settings: Settings, trained: Trained, table: Table, about: About, out: Path | None) -> Kept:
    """Puts model and card into the registry, where there is one, and into a folder, where one is named or is needed."""
    from models import artefact
    from training.batch import card
    from training.provenance import revision

    said: dict[str, Any] = card.about(trained, table, about.lost_good)
    said |= {"seed": about.seed, "revision": revision(), "parent": about.parent}
    files, registry = card.card(trained, table, title=about.name, lost_good=about.lost_good), registry_of(settings)
    version = None
    if registry is not None:
        version = registry.put(trained.model, name=about.name, card=files, **said).version
        if out is None:
            return Kept(f"{about.name}/{version}", None, registry.place.shown)
    root = out or OUT
    version = version or _next(root / about.name)
    folder = artefact.save(root, trained.model, name=about.name, version=version, **said)
    (folder / "card").mkdir(exist_ok=True)
    for file, content in files.items():
        (folder / "card" / file).write_bytes(content)
    return Kept(f"{about.name}/{version}", folder, registry.place.shown if registry else None)


def _next(folder: Path) -> str:
    """The next whole number among the versions of a folder."""
    taken = [int(one.name) for one in folder.iterdir() if one.name.isdigit()] if folder.is_dir() else []
    return str(max(taken, default=0) + 1)


def told(trained: Trained, kept: Kept) -> dict[str, Any]:
    """For `--json`."""
    return {
        "model": kept.label,
        "folder": str(kept.folder) if kept.folder else None,
        "registry": kept.registry,
        "beats_gate": trained.beats_gate,
        "metrics": trained.judged.about(),
        "weights": dict(trained.model.weights),
        "spans": trained.spans.about(),
        "findings": [one.about() for one in trained.findings],
        "seconds": {name: round(took, 2) for name, took in trained.seconds.items()},
        "not_refitted": list(trained.not_refitted),
        "members_left_out": list(trained.left_out),
    }


def show(trained: Trained, kept: Kept) -> None:
    """For people."""
    from training.batch import card

    shown = ("auc", "ap", "cp100", "recall", "calibration")
    print_table(card.rows(trained.judged.metrics, shown), right=())
    click.echo()
    print_table(card.rows({f"gain over {k}": v for k, v in trained.judged.gains.items()}, ("auc", "ap")), right=())
    click.echo()
    for one in trained.findings:
        click.echo(f"{one.level} {one.check}: {one.text}")
    for name in trained.not_refitted:
        click.echo(f"no time to fit {name} again: it knows the days of `fit` only")
    for name in trained.left_out:
        click.echo(f"no time for {name}")
    verdict = "beats" if trained.beats_gate else "does not beat"
    click.echo(f"{kept.label} {verdict} its cheap gate ({trained.judged.gate}) beyond noise")
    for where in (kept.folder, kept.registry):
        if where is not None:
            click.echo(f"written to {where}")


@contextmanager
def telling() -> Iterator[Tell]:
    """Bars on a terminal; in a pipe one line for each stage that is done."""
    if not sys.stderr.isatty():
        yield _line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:20}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(step: Step) -> None:
            if step.stage not in tasks:
                tasks[step.stage] = bars.add_task(step.stage, said="")
            bars.update(tasks[step.stage], completed=step.done, total=step.total, said=_said(step))

        yield tell


def _line(step: Step) -> None:
    if step.done and step.done >= step.total:
        click.echo(f"{step.stage}: {step.done:,} {_said(step)}".rstrip(), err=True)


def _said(step: Step) -> str:
    loss = "" if step.loss is None else f"loss {step.loss:.4f}"
    metric = "" if step.metric is None else f"AP {step.metric:.3f}"
    return " ".join(filter(None, (loss, metric)))
