"""`headrace learn`: the process that says when labels are due, and teaches online models what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from streams.cli import CouldNotRun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.settings import Learner as Learning
    from schemas.settings import Settings
    from streams.learner.online import Kind, Learner


@click.command("learn")
@click.option("--models", help="Online models, several with commas; default: HEADRACE_LEARNER__MODELS.")
@click.option("--once", is_flag=True, help="End when all is learned that is there now.")
@click.option("--metrics-port", type=click.IntRange(0, 65535), help="Prometheus metrics; 0: any free port.")
def command(models: str | None, once: bool, metrics_port: int | None) -> int:
    """Teach online models what became of orders, as soon as that is known.

    One foreground process, clean on SIGTERM, that can be killed at any time. It reads decisions and labels, writes
    topic `matured`, and puts snapshots of the models into the registry (HEADRACE_REGISTRY__URL) and in force. Of
    several one learns and the others stand by. Needs the extra `learn`.
    """
    from schemas.settings import load
    from streams.learner.run import Asked, run_learner
    from training.provenance import revision

    overrides: dict[str, object] = {}
    if metrics_port is not None:
        overrides["metrics"] = {"port": metrics_port}
    if models is not None:
        overrides["learner"] = {"models": models}
    settings = load(**overrides)
    kinds = [_checked(kind_of(name, settings.learner), settings) for name in settings.learner.names]
    return run_learner(Asked(settings, kinds, revision(), once))


def kind_of(name: str, told: Learning) -> Kind:
    """An online model by its name, with what the settings say; raises Stop for an unknown one."""
    from streams.learner import stops
    from streams.learner.online import Kind
    from training.online.learner import kinds, learner_of

    if name not in kinds():
        raise stops.unknown_model(name, ", ".join(kinds()))
    try:
        made = learner_of(name)
    except ImportError as error:
        raise CouldNotRun(
            f"{name} needs {error.name}, which is not installed: pip install 'headrace[learn]'"
        ) from error
    settings = made.told() if told.goods is None else made.told(rate=told.goods)

    def new(names: Sequence[str]) -> Learner:
        return made(names, told.reads, seed=told.seed, settings=settings)

    def of_state(written: bytes, names: Sequence[str]) -> Learner:
        found, wanted = made.of_state(written), made(names, told.reads, seed=told.seed, settings=settings)
        for what in ("names", "reads", "seed", "settings"):
            if getattr(found, what) != getattr(wanted, what):
                raise ValueError(f"its {what} were others: it begins anew")
        return found

    return Kind(name, new, of_state)


def _checked(kind: Kind, settings: Settings) -> Kind:
    """Raises CouldNotRun where the model cannot be made for the vector of the settings."""
    from streams.space import definitions_of

    try:
        kind.new(definitions_of(settings).vector.names)
    except ValueError as error:
        raise CouldNotRun(f"online model {kind.name}: {error} (HEADRACE_LEARNER__COLUMNS)") from error
    return kind
