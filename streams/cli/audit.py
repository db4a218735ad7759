"""`headrace audit`: does everything in the topics add up?"""

from __future__ import annotations

import asyncio
import json

import click


@click.command("audit")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def command(as_json: bool) -> int:
    """Reads inputs, `applied`, `fraud` and dead letters whole, and compares them.

    consumed = decided + duplicate + conflict + dead + too_late + future + other. Exit 0: it holds; 1: it does not.
    """
    from schemas.decode import decode_batch
    from schemas.settings import load
    from streams.audit import audit
    from streams.space import definitions_of, plain_of
    from streams.transport.link import Link
    from streams.transport.log import LogReader

    settings = load()
    plain = plain_of(settings)
    flows = definitions_of(settings, plain).flows
    read = decode_batch if plain is None else plain.decode_topic
    scored = [flow.topic for flow in flows if flow.scored and flow.outputs is None]

    async def run() -> dict[str, object]:
        reader = LogReader(Link.of(settings.kafka))
        try:
            return (await audit(reader, [flow.topic for flow in flows], scored, read)).as_dict()
        finally:
            await reader.stop()

    report = asyncio.run(run())
    if as_json:
        click.echo(json.dumps(report))
    else:
        _show(report)
    return 0 if report["holds"] else 1


def _show(report: dict[str, object]) -> None:
    """The sums as a table, then what does not fit."""
    problems = report.pop("problems")
    for name, value in report.items():
        click.echo(f"{name.replace('_', ' '):>14}  {value}")
    if isinstance(problems, list):
        for problem in problems:
            click.echo(f"  ! {problem}")
