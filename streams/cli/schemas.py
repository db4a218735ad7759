"""`headrace schemas export`: what travels, as schemas, for those who write or read it elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

SCHEMAS = Path("schemas/json")


@click.group("schemas")
def command() -> None:
    """The schemas of what travels."""


@command.command("export")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), required=False)
@click.option(
    "--asyncapi",
    type=click.Path(dir_okay=False, path_type=Path),
    help="An AsyncAPI 3.0 document of all topics, as JSON.",
)
@click.option(
    "--avro", type=click.Path(file_okay=False, path_type=Path), help="Avro schemas of what the shop sends, one a topic."
)
def export(folder: Path | None, asyncapi: Path | None, avro: Path | None) -> int:
    """Write one JSON Schema per topic into FOLDER (default: schemas/json), or what the options ask for."""
    from schemas import avro as of_avro
    from schemas import jsonschema

    if asyncapi is not None:
        _asyncapi(asyncapi)
    if avro is not None:
        for path in of_avro.export(avro):
            click.echo(path)
    if folder is not None or asyncapi is avro is None:
        for path in jsonschema.export(folder or SCHEMAS):
            click.echo(path)
    return 0


def _asyncapi(file: Path) -> None:
    """With as many partitions and replicas as `headrace topics create` would make."""
    from importlib.metadata import version

    from schemas.asyncapi import document
    from schemas.jsonschema import written
    from schemas.settings import load

    settings = load()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(written(document(version("headrace"), settings.partitions, settings.replicas)))
    click.echo(file)
