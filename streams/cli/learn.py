"""`headrace learn`: the process that says when labels are due, and teaches online models what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from schemas.sessions import SESSIONS
from streams.cli import CouldNotRun
from streams.cli.running import foreground, overrides

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.settings import Learner as Learning
    from schemas.settings import Settings
    from streams.learner.online import Kind, Learner


@click.command("learn")
@click.option("--models", help="Online models, several with commas; default: HEADRACE_LEARNER__MODELS.")
@click.option("--once", is_flag=True, help="End when all is learned that is there now.")
@foreground
def command(models: str | None, once: bool, metrics_port: int | None, log_format: str | None) -> int:
    """Teach online models what became of orders, as soon as that is known, and which sessions are usual.

    One foreground process, clean on SIGTERM, that can be killed at any time. It reads decisions, labels and sessions,
    writes topic `matured`, and puts snapshots of the models into the registry (HEADRACE_REGISTRY__URL) and in force.
    Of several one learns and the others stand by. Needs the extra `learn`.
    """
    from schemas.settings import load
    from streams.learner.run import Asked, run_learner
    from training.provenance import revision

    learner = None if models is None else {"models": models}
    settings = load(**overrides(metrics_port, log_format, learner=learner))
    names = settings.learner.names
    kinds = [_checked(kind_of(name, settings.learner), settings) for name in names if name != SESSIONS]
    sessions = _of_sessions(settings) if SESSIONS in names else None
    return run_learner(Asked(settings, kinds, sessions, revision(), once))


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
    labelled = name != SESSIONS  # whose vectors are others, and all of which are learned
    settings = made.told() if told.goods is None or not labelled else made.told(rate=told.goods)
    reads = told.reads if labelled else None

    def new(names: Sequence[str]) -> Learner:
        return made(names, reads, seed=told.seed, settings=settings)

    def of_state(written: bytes, names: Sequence[str]) -> Learner:
        found, wanted = made.of_state(written), made(names, reads, seed=told.seed, settings=settings)
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


def _of_sessions(settings: Settings) -> Kind | None:
    """None where the definitions have no sessions to learn from."""
    from streams.space import definitions_of

    return kind_of(SESSIONS, settings.learner) if definitions_of(settings).milestones is not None else None
