"""`headrace status`: what is in force, since when, how good it was and is, and what became of the last retraining."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from streams.cli import HOLDS, CouldNotRun

if TYPE_CHECKING:
    from models.registry import Registry
    from schemas.deployments import Deployment

DAY_MS = 86_400_000
SHOWN = ("auc", "ap", "cp100", "recall", "calibration")


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
def command(as_json: bool) -> int:
    """What is in force, since when, its figures, the last retraining and its outcome, and drift as last looked at.

    Reads the registry alone: neither broker nor store must run.
    """
    from schemas.settings import load
    from streams.cli.trained import registry_of

    registry = registry_of(load())
    if registry is None:
        raise CouldNotRun("no registry is set: HEADRACE_REGISTRY__URL; the shop's own model decides")
    registry.place.check()
    said = told(registry, time.time_ns() // 1_000_000)
    if as_json:
        click.echo(json.dumps(said))
    else:
        _print(said)
    return HOLDS


def told(registry: Registry, now_ms: int) -> dict[str, Any]:
    """All of it."""
    from dataclasses import asdict

    from training.retrain import looks, runs

    now, run = registry.deployed(), runs.last(registry.place)
    return {
        "deployment": now.number,
        "champion": _champion(registry, now, now_ms),
        "rules_only": now.rules_only,
        "challengers": [ref.label for ref in now.challengers],
        "online": {member: ref.label for member, ref in now.online.items()},
        "retrain": None if run is None else asdict(run) | {"reason": run.reason},
        "look": looks.last(registry.place),
    }


def _champion(registry: Registry, now: Deployment, now_ms: int) -> dict[str, Any] | None:
    from models.deployments import champion_since_ms
    from models.documents import ArtefactError

    if now.champion is None:
        return None
    since = champion_since_ms(registry.history(), now)
    said = {"model": now.champion.label, "since_ms": since, "age_days": round((now_ms - since) / DAY_MS, 2)}
    try:
        manifest = registry.manifest(now.champion.name, now.champion.version)
    except ArtefactError as error:
        return said | {"error": str(error)}
    metrics = {name: manifest.metrics[name] for name in SHOWN if name in manifest.metrics}
    return said | {"kind": manifest.kind, "metrics": metrics, "trained_on": manifest.data.get("train"), "error": None}


def _print(said: dict[str, Any]) -> None:
    from schemas.timestamps import rfc3339

    champion = said["champion"]
    if champion is None:
        decides = "rules alone decide" if said["rules_only"] else "the shop's own decides"
        click.echo(f"champion    none was promoted: {decides}")
    else:
        since = rfc3339(champion["since_ms"])[:16]
        click.echo(f"champion    {champion['model']}, in force since {since}, {champion['age_days']:.1f} days")
        if champion["error"]:
            click.echo(f"            cannot be read: {champion['error']}")
        for name, one in champion.get("metrics", {}).items():
            click.echo(f"            {name} {one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f})")
    for name in ("challengers", "online"):
        if said[name]:
            every = said[name] if name == "challengers" else [f"{k} {v}" for k, v in said[name].items()]
            click.echo(f"{name:11} {', '.join(every)}")
    run, look = said["retrain"], said["look"]
    if run is None:
        click.echo("retrain     never")
    else:
        at = rfc3339(run["at_ms"])[:16]
        click.echo(f"retrain     run {run['number']} of {at} ({run['reason']}): {run['outcome']}, {run['why']}")
    if look is not None:
        moved, at = look["drift"], rfc3339(look["at_ms"])[:16]
        most = "".join(f", {name} {value:.2f}" for name, value in moved["most"].items())
        click.echo(f"drift       {moved['moved']} of {moved['columns']} columns moved much, by {at}{most}")
        for one in look["due"]:
            click.echo(f"due         {one['trigger']}: {one['text']}")
