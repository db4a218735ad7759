"""`headrace doctor`: a door to streams/doctor."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final

import click

from streams.cli import DOES_NOT, HOLDS

if TYPE_CHECKING:
    from streams.doctor.finding import Finding

MARKS: Final = {"ok": ("ok", "green"), "doubt": ("doubt", "yellow"), "fails": ("FAILS", "red"), "skipped": ("-", None)}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: holds, and each finding with its remedy.")
def command(as_json: bool) -> int:
    """Look at what a worker will need: this machine, broker, store, archive, registry, rules, model.

    Each finding that is not well comes with what mends it. Nothing is changed. Exit code 1: something fails; a doubt
    works today.
    """
    from schemas.settings import load
    from streams.doctor.examine import examine

    found = asyncio.run(examine(load()))
    holds = not any(one.state == "fails" for one in found)
    if as_json:
        from dataclasses import asdict

        click.echo(json.dumps({"holds": holds, "findings": [asdict(one) for one in found]}))
    else:
        _print(found)
    return HOLDS if holds else DOES_NOT


def _print(found: list[Finding]) -> None:
    wide = max(len(f"{one.area} {one.check}") for one in found)
    for one in found:
        mark, colour = MARKS[one.state]
        click.echo(f"{click.style(f'{mark:6}', fg=colour)} {f'{one.area} {one.check}':{wide}}  {one.said}")
        if one.remedy:
            click.echo(f"{'':{wide + 9}}{click.style('->', bold=True)} {one.remedy}")
    count = {state: sum(one.state == state for one in found) for state in ("fails", "doubt")}
    click.echo(f"{count['fails']} of {len(found)} fail, {count['doubt']} in doubt")
