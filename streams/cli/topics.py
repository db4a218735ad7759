"""`headrace topics create|ls`: the registry of topics beside what the broker has."""

from __future__ import annotations

import asyncio

import click


@click.group("topics")
def command() -> None:
    """Create the topics, or list them."""


@command.command("create")
def create() -> int:
    """Create the topics that are missing. Twice is once; no topic is ever deleted or made smaller.

    HEADRACE_PARTITIONS and HEADRACE_REPLICAS say how large; `applied` grows with the inputs.
    """
    from schemas.settings import load
    from streams.data.topics import create_topics

    for made in asyncio.run(create_topics(load())):
        click.echo(f"{made.name:<16} {made.partitions:>4} partitions  {made.what}")
    return 0


@command.command("ls")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def ls(as_json: bool) -> int:
    """List the registry beside what the broker has. Exit code 1: one is missing."""
    import orjson

    from schemas.settings import load
    from streams.data.topics import listed

    rows = asyncio.run(listed(load()))
    if as_json:
        for row in rows:
            click.echo(orjson.dumps(row).decode())
    else:
        _print_table(rows)
    return int(any(not row["partitions"] for row in rows))


def _print_table(rows: list[dict[str, object]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("topic", "partitions", "retention", "writer", "key"):
        table.add_column(column, justify="right" if column == "partitions" else "left", overflow="fold")
    for row in rows:
        shown = {**row, "partitions": row["partitions"] or "missing"}
        table.add_row(*(str(shown[str(column.header)]) for column in table.columns))
    Console().print(table)
