"""The door of `headrace evaluate --data`: a model that is there, on a set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams.cli import CouldNotRun
from streams.cli.table import print_table

if TYPE_CHECKING:
    from models.artefact import Artefact
    from schemas.settings import Settings

REFUSED = 3


def evaluate(
    data: Path, model: str, since: int | None, until: int | None, *, seed: int, report: Path | None, as_json: bool
) -> int:
    """Judges a model of the registry, or of a folder, on the labelled orders of a set."""
    from schemas.settings import load
    from streams.cli.trained import champion_of, read, telling
    from training.batch import card, page
    from training.batch.checks import RefusedError, labelled
    from training.batch.table import BadSetError

    settings = load()
    try:
        with telling() as tell:
            orders = read(settings, data, since, until, tell)
        labelled(orders)
    except (BadSetError, RefusedError) as error:
        click.echo(f"Refused: {error}", err=True)
        return REFUSED
    champion = champion_of(settings)
    found = page.evaluated(_model(settings, model, champion), orders, champion=champion, seed=seed)
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_bytes(page.page(found))
    if as_json:
        click.echo(json.dumps(found.about() | {"report": str(report) if report else None}))
        return 0
    print_table(card.rows(found.judged.metrics, ("auc", "ap", "cp100", "recall", "calibration")), right=())
    if found.learned_from:
        click.echo(f"{found.label} has learned from {found.learned_from:,} of these orders: the figures flatter it")
    if report is not None:
        click.echo(f"written to {report}")
    return 0


def _model(settings: Settings, model: str, champion: Artefact | None) -> Artefact:
    """`champion`, NAME/VERSION of the registry, or a folder."""
    from models import artefact
    from models.documents import ArtefactError
    from streams.cli.trained import registry_of
    from streams.space import definitions_of

    vector, registry = definitions_of(settings).vector, registry_of(settings)
    if model == "champion":
        if champion is None:
            raise CouldNotRun(
                "no champion is in force that can be used: name a model, NAME/VERSION or a folder (--model)"
            )
        return champion
    try:
        if Path(model).is_dir():
            return artefact.load(Path(model), vector.names, vector.hash)
        name, _, version = model.partition("/")
        if registry is None:
            raise CouldNotRun(f"--model {model}: no such folder, and no registry is set (HEADRACE_REGISTRY__URL)")
        return registry.load(name, version, vector.names, vector.hash)
    except ArtefactError as error:
        raise CouldNotRun(str(error)) from error
