"""`headrace worker`: one foreground process that consumes, scores and publishes until it is told to stop."""

from __future__ import annotations

from pathlib import Path

import click

from streams.cli.running import foreground, overrides
from streams.garbage import imports_that_stay

FILE = click.Path(exists=True, path_type=Path)


@click.command("worker")
@click.option("--slot", type=click.IntRange(min=0), help="Static membership: a number of its own for each worker.")
@click.option("--features", type=FILE, help="A definitions file; default: the shop's own features.")
@click.option("--rules", type=FILE, help="A TOML file of rules; default: the shop's own.")
@click.option("--model", type=FILE, help="A folder with model.json and manifest.json; default: the shop's own.")
@foreground
def command(
    slot: int | None,
    features: Path | None,
    rules: Path | None,
    model: Path | None,
    metrics_port: int | None,
    log_format: str | None,
) -> int:
    """One worker in the foreground, clean on SIGTERM.

    With --slot it is a static member of the group: started again after a crash it has its partitions back within
    seconds and the others never stop. Without, it is an ordinary member, as a pool that grows and shrinks wants it.
    """
    with imports_that_stay():
        from features.packed import kernel
        from schemas.settings import load
        from streams.wiring import run_worker

        kernel()
    settings = load(**overrides(metrics_port, log_format, slot=slot, features=features, rules=rules, model=model))
    return run_worker(settings, slot=settings.slot)
