"""`headrace serve`: a door to serving/."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from streams.cli import CouldNotRun
from streams.cli.running import LOGS, overrides
from streams.garbage import imports_that_stay


@click.command("serve")
@click.option("--host", help="Default: HEADRACE_SERVING__HOST, else this machine alone.")
@click.option("--port", type=click.IntRange(0, 65535), help="Default: HEADRACE_SERVING__PORT, else 8080; 0: any.")
@click.option("--demo", type=click.Path(path_type=Path), hidden=True, help="Where `headrace demo` answers its buttons.")
@LOGS
def command(host: str | None, port: int | None, demo: Path | None, log_format: str | None) -> int:
    """The live page and the HTTP API in the foreground, clean on SIGTERM.

    Decisions, anomalies, features, models, rules. Read-only: nothing is written to the log or to the state. The page
    is at /, the API's description at /docs and /openapi.json.
    """
    if not all(map(find_spec, ("fastapi", "uvicorn", "jinja2"))):
        raise CouldNotRun("`headrace serve` needs extra serve: pip install 'headrace[serve]'")
    with imports_that_stay():
        from schemas.settings import load
        from serving.run import run_serving

    asked = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    return run_serving(load(**overrides(None, log_format, serving=asked or None)), demo)
