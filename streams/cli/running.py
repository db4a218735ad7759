"""Options that every process in the foreground has, and the settings that they stand for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

METRICS = click.option("--metrics-port", type=click.IntRange(0, 65535), help="Prometheus metrics; 0: any free port.")
LOGS = click.option(
    "--log-format", type=click.Choice(["console", "json"]), help="Default: HEADRACE_LOG_FORMAT, else console."
)


def foreground(command: F) -> F:
    """`--metrics-port` and `--log-format`."""
    return METRICS(LOGS(command))


def overrides(metrics_port: int | None, log_format: str | None, **more: object) -> dict[str, object]:
    """What was given on the command line, as arguments of `schemas.settings.load`."""
    given = {"log_format": log_format, "metrics": None if metrics_port is None else {"port": metrics_port}, **more}
    return {name: value for name, value in given.items() if value is not None}
