"""`headrace worker`: one foreground process that consumes, scores and publishes until it is told to stop."""

from __future__ import annotations

import gc
from pathlib import Path

import click

FILE = click.Path(exists=True, path_type=Path)
SOME_OBJECTS = 50_000  # more than were let go, before new ones are looked through for garbage


@click.command("worker")
@click.option("--slot", type=click.IntRange(min=0), help="Static membership: a number of its own for each worker.")
@click.option("--features", type=FILE, help="A definitions file; default: the shop's own features.")
@click.option("--rules", type=FILE, help="A TOML file of rules; default: the shop's own.")
@click.option("--model", type=FILE, help="A folder with model.json and manifest.json; default: the shop's own.")
@click.option("--metrics-port", type=click.IntRange(0, 65535), help="Prometheus metrics; 0: any free port.")
def command(
    slot: int | None, features: Path | None, rules: Path | None, model: Path | None, metrics_port: int | None
) -> int:
    """One worker in the foreground, clean on SIGTERM.

    With --slot it is a static member of the group: started again after a crash it has its partitions back within
    seconds and the others never stop. Without, it is an ordinary member, as a pool that grows and shrinks wants it.
    """
    gc.disable()  # what imports make stays: looking through it again and again costs a tenth of the start
    from features.packed import kernel
    from schemas.settings import load
    from streams.wiring import run_worker

    kernel()

    gc.freeze()  # and 20 ms each time later, while orders wait
    gc.set_threshold(SOME_OBJECTS)  # Python's own 700 cost a twentieth of the core at 2,000 events/s, and pauses
    gc.enable()
    given = {"slot": slot, "features": features, "rules": rules, "model": model}
    overrides: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    if metrics_port is not None:
        overrides["metrics"] = {"port": metrics_port}
    settings = load(**overrides)
    return run_worker(settings, slot=settings.slot)
