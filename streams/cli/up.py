"""`headrace up`: broker, store, topics and workers in one foreground process, and nothing left when it ends."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import click

PORT = click.IntRange(1, 65535)
LOOK_S = 0.1


@click.command("up")
@click.option("--workers", type=click.IntRange(min=0), default=1, show_default=True, help="How many worker processes.")
@click.option("--kafka-port", type=PORT, help="Of the embedded broker; default: 9092, or a free one.")
@click.option("--store-port", type=PORT, help="Of the embedded store; default: 6379, or a free one.")
@click.option("--metrics-port", type=PORT, help="Of worker 0, the next has the next; default: 9641, or free ones.")
@click.option("--page-port", type=PORT, help="Of the live page and the HTTP API; default: 8080, or a free one.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Work in this folder and leave it.")
def command(
    workers: int,
    kafka_port: int | None,
    store_port: int | None,
    metrics_port: int | None,
    page_port: int | None,
    keep: Path | None,
) -> None:
    """Start broker, store, topics and workers; stop them all on Ctrl-C.

    Broker and store are embedded unless HEADRACE_KAFKA__BROKERS or HEADRACE_REDIS__URL names a real one. A worker that
    dies is started again. The embedded broker keeps its log in memory: it ends with this command.
    """
    from streams.embedded.ending import ended_by_signals
    from streams.embedded.kept import claim
    from streams.embedded.processes import Children
    from streams.embedded.stack import Ports, running

    ports = Ports(kafka_port, store_port, metrics_port, page_port)
    tell = partial(click.echo, err=True)
    with ended_by_signals(), claim(keep), Children(keep) as children, running(children, workers, ports, tell) as stack:
        stack.wait_for_workers()
        stack.wait_for_page()
        click.echo("\n".join([*stack.table(kept=keep is not None), "", "Ctrl-C ends it all."]))
        while True:
            stack.look()
            time.sleep(LOOK_S)
