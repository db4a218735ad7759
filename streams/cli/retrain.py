"""`headrace retrain`: a new model when there is a reason for one, in force when it is better beyond noise."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import click

from streams.cli import DOES_NOT, HOLDS, CouldNotRun
from streams.cli.announced import announced
from streams.cli.newest_set import source
from streams.cli.retrained import tell_done, tell_due, tell_history

if TYPE_CHECKING:
    from models.registry import Registry
    from schemas.settings import Settings
    from training.batch.table import Table
    from training.batch.train import Trained
    from training.retrain.observe import Champion
    from training.retrain.retrain import Asked, Done

REFUSED = 3


@click.command("retrain")
@click.option("--check", "mode", flag_value="check", help="Say what is due, and train nothing. Code 1: something is.")
@click.option("--once", "mode", flag_value="once", help="Train if something is due.")
@click.option("--watch", "mode", flag_value="watch", help="Look every HEADRACE_RETRAIN__LOOK_S until stopped.")
@click.option("--history", "mode", flag_value="history", help="What became of earlier runs, newest first.")
@click.option("--force", "mode", flag_value="force", help="Train whether something is due or not.")
@click.option("--data", type=click.Path(exists=True, path_type=Path),
              help="A set of `headrace features build`; default: one is made from the archive.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of all that is drawn.")
@click.option(
    "--trials", type=click.IntRange(min=0), default=0, show_default=True, help="Parameters to try of each kind."
)
@click.option("--threads", type=click.IntRange(min=1), help="Default: as many as this machine has.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of lines: one object a run.")
def command(mode: str | None, data: Path | None, seed: int, trials: int, threads: int | None, as_json: bool) -> int:
    """Train anew when it is due, and promote what is better beyond noise on days that neither has learned from.

    One process at a time over all that share the registry. What is due, and what it takes, is set by
    HEADRACE_RETRAIN__...; exit codes of a run: 0 promoted or nothing due, 1 no better, 3 the data was refused.
    """
    from schemas.settings import load
    from streams.cli.trained import registry_of

    if mode is None:
        raise click.UsageError("want one of --check, --once, --watch, --history, --force")
    settings = load()
    registry = registry_of(settings)
    if registry is None:
        raise CouldNotRun("no registry is set, and a model that is promoted must be somewhere: HEADRACE_REGISTRY__URL")
    registry.place.check()
    if mode == "history":
        return tell_history(registry, as_json=as_json)
    asked = asked_of(settings, seed=seed, trials=trials, threads=threads)
    if mode == "check":
        return _check(settings, registry, asked, data, as_json=as_json)
    if mode == "watch":
        return _watch(settings, registry, asked, data, as_json=as_json)
    return _once(settings, registry, asked, data, force=mode == "force", as_json=as_json)


def asked_of(settings: Settings, *, seed: int, trials: int, threads: int | None) -> Asked:
    """What the settings say of retraining."""
    from streams.cli.trained import kinds_of
    from training.batch.train import Job
    from training.retrain.retrain import Asked
    from training.retrain.triggers import Policy

    said = settings.retrain
    policy = Policy(
        every_days=said.every_days,
        new_frauds=said.new_frauds,
        drift_share=said.drift_share,
        least_orders=said.least_orders,
        least_frauds=said.least_frauds,
        least_hours=said.least_hours,
    )
    job = Job(
        kinds_of(said.model),
        seed=seed,
        held_days=said.held_days,
        trials=trials,
        threads=threads or os.cpu_count() or 1,
    )
    return Asked(said.name, job, policy, f"retrain on {socket.gethostname()} ({os.getpid()})", said.limit_s)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _champion(settings: Settings, registry: Registry) -> Champion | None:
    """None also where it is cut or for other features: then rules decide alone, and any model is a gain."""
    from models.documents import ArtefactError
    from streams.space import definitions_of
    from training.retrain.observe import champion

    vector = definitions_of(settings).vector
    try:
        return champion(registry, lambda ref: registry.of(ref, vector.names, vector.hash))
    except ArtefactError as error:
        click.echo(f"the champion cannot be used: {error}", err=True)
        return None


def _check(settings: Settings, registry: Registry, asked: Asked, data: Path | None, *, as_json: bool) -> int:
    from training.batch.table import BadSetError
    from training.retrain.retrain import check

    with source(settings, data, _now_ms()) as orders:
        try:
            found, _ = check(orders, registry, _champion(settings, registry), asked, _now_ms())
        except BadSetError as error:
            click.echo(f"Refused: {error}", err=True)
            return REFUSED
    tell_due(found, as_json=as_json)
    return DOES_NOT if found.now else HOLDS


def _once(
    settings: Settings, registry: Registry, asked: Asked, data: Path | None, *, force: bool, as_json: bool
) -> int:
    from training.batch.members import NotInstalledError
    from training.batch.table import BadSetError
    from training.retrain.lock import HeldError, LostError

    try:
        done = _retrained(settings, registry, asked, data, force=force)
    except (HeldError, LostError, NotInstalledError) as error:
        raise CouldNotRun(str(error)) from error
    except BadSetError as error:
        click.echo(f"Refused: {error}", err=True)
        return REFUSED
    if done.deployment is not None:
        announced(settings, done.deployment)
    tell_done(done, as_json=as_json)
    outcome = "promoted" if done.run is None else done.run.outcome
    return {"promoted": HOLDS, "kept": DOES_NOT, "refused": REFUSED}[outcome]


def _watch(settings: Settings, registry: Registry, asked: Asked, data: Path | None, *, as_json: bool) -> int:
    """Until it is stopped. What went wrong is told, and it is tried again: the next look may find it mended."""
    from streams.cli import expected

    while True:
        try:
            _once(settings, registry, asked, data, force=False, as_json=as_json)
        except Exception as error:
            if not isinstance(error, (CouldNotRun, *expected())):
                raise
            click.echo(f"not now: {error}", err=True)
        time.sleep(settings.retrain.look_s)


def _retrained(settings: Settings, registry: Registry, asked: Asked, data: Path | None, *, force: bool) -> Done:
    from streams.cli.trained import telling
    from training.retrain.lock import Lock
    from training.retrain.retrain import retrain

    lock = Lock(registry.place, by=asked.by, token=token_hex(8), now_ms=_now_ms)
    with source(settings, data, _now_ms()) as orders, telling() as tell:
        return retrain(
            orders,
            registry,
            lambda: _champion(settings, registry),
            lock,
            asked,
            _keeper(registry, asked),
            force=force,
            tell=tell,
            clock=time.monotonic,
            now_ms=_now_ms,
        )


def _keeper(registry: Registry, asked: Asked) -> Any:
    """Puts a model with its card into the registry."""

    def keep(trained: Trained, table: Table, parent: str | None) -> str:
        from training.batch import card
        from training.provenance import revision

        said = card.about(trained, table) | {"seed": asked.job.seed, "revision": revision(), "parent": parent}
        files = card.card(trained, table, title=asked.name)
        return registry.put(trained.model, name=asked.name, card=files, **said).version

    return keep
