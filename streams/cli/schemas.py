"""`headrace schemas export`: the JSON Schemas of every event and record, for those who write or read them elsewhere."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("schemas")
def command() -> None:
    """The JSON Schemas of what travels."""


@command.command("export")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path("schemas/json"))
def export(folder: Path) -> int:
    """Write one schema per topic into FOLDER (default: schemas/json)."""
    from schemas import jsonschema

    for path in jsonschema.export(folder):
        click.echo(path)
    return 0
