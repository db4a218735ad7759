"""What `headrace retrain` says: what is due, what a run came to, and what became of earlier ones."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from streams.cli import HOLDS
from streams.cli.table import print_table

if TYPE_CHECKING:
    from models.registry import Registry
    from training.retrain.retrain import Done
    from training.retrain.runs import Run
    from training.retrain.triggers import Due


def tell_due(found: Due, *, as_json: bool) -> None:
    """What is to be done, and why not now."""
    if as_json:
        click.echo(json.dumps(_due(found)))
        return
    for one in found.triggers:
        click.echo(f"{one.priority:3} {one.name}: {one.text}")
    for why in found.blocked:
        click.echo(f"not yet: {why}")
    if not found.triggers:
        click.echo("nothing is due")


def tell_done(done: Done, *, as_json: bool) -> None:
    """What was done about it."""
    if as_json:
        click.echo(json.dumps(_due(done.due) | {"run": None if done.run is None else asdict(done.run)}))
    elif done.run is None:
        tell_due(done.due, as_json=False)
    else:
        click.echo(f"{done.run.model or 'no model'} {done.run.outcome} ({done.run.reason}): {done.run.why}")


def tell_history(registry: Registry, *, as_json: bool) -> int:
    """Every run, newest first."""
    from training.retrain import runs

    found = list(runs.history(registry.place))
    if as_json:
        for run in found:
            click.echo(json.dumps(asdict(run)))
    elif not found:
        click.echo("no run yet", err=True)
    else:
        print_table([_row(run) for run in found], right=("run", "took", "orders"))
    return HOLDS


def _row(run: Run) -> dict[str, Any]:
    from schemas.timestamps import rfc3339

    return {
        "run": run.number,
        "began": rfc3339(run.at_ms)[:16],
        "reason": run.reason,
        "took": str(timedelta(seconds=round(run.seconds))),
        "orders": f"{run.orders:,}",
        "model": run.model or "",
        "outcome": run.outcome,
        "why": run.why,
    }


def _due(found: Due) -> dict[str, Any]:
    return {"due": [one.about() for one in found.triggers], "blocked": list(found.blocked), "now": found.now}
