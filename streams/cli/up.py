"""`headrace up`: broker, store, topics and workers in one foreground process, and nothing left when it ends."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from streams.embedded.processes import Children
    from streams.embedded.services import Services
    from streams.embedded.supervisor import Supervisor

PORT = click.IntRange(1, 65535)
LOOK_S = 0.1
WORKER_START_S = 60.0
WORKER_END_S = 15.0


@click.command("up")
@click.option("--workers", type=click.IntRange(min=0), default=1, show_default=True, help="How many worker processes.")
@click.option("--kafka-port", type=PORT, help="Of the embedded broker; default: 9092, or a free one.")
@click.option("--store-port", type=PORT, help="Of the embedded store; default: 6379, or a free one.")
@click.option("--metrics-port", type=PORT, help="Of worker 0, the next has the next; default: 9641, or free ones.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Work in this folder and leave it.")
def command(
    workers: int, kafka_port: int | None, store_port: int | None, metrics_port: int | None, keep: Path | None
) -> int:
    """Start broker, store, topics and workers; stop them all on Ctrl-C.

    Broker and store are embedded unless HEADRACE_KAFKA__BROKERS or HEADRACE_REDIS__URL names a real one. A worker that
    dies is started again. The embedded broker keeps its log in memory: it ends with this command.
    """
    from streams.embedded.ending import ended_by_signals
    from streams.embedded.kept import claim
    from streams.embedded.processes import Children
    from streams.embedded.services import start_services
    from streams.embedded.supervisor import Supervisor

    with ended_by_signals(), claim(keep), Children(keep) as children:
        services = start_services(children, kafka_port, store_port)
        supervisor = Supervisor(_tell)
        if services.store is not None:
            supervisor.add("the store", services.store.start_again, child=services.store.child, always=True)
        try:
            ports = _start_workers(services, supervisor, workers, metrics_port)
            _print_table(services, ports, children, kept=keep is not None)
            _watch(services, supervisor)
        finally:
            supervisor.stop(WORKER_END_S)
    return 0


def _start_workers(services: Services, supervisor: Supervisor, workers: int, metrics_port: int | None) -> list[int]:
    """Starts all, then waits until each serves its metrics; the ports, by slot."""
    from streams.embedded.processes import free_port, is_free, is_open, wait_until
    from streams.embedded.services import USUAL_METRICS_PORT

    ports = [(metrics_port or USUAL_METRICS_PORT) + slot for slot in range(workers)]
    if metrics_port is None:
        ports = [port if is_free(port) else free_port() for port in ports]
    started = [
        supervisor.add(f"worker {slot}", partial(services.start_worker, slot, port)) for slot, port in enumerate(ports)
    ]
    for service, port in zip(started, ports, strict=True):
        wait_until(partial(is_open, port), service.child, WORKER_START_S)
    return ports


def _watch(services: Services, supervisor: Supervisor) -> NoReturn:
    """Until a signal ends us, or the broker's death does."""
    import time

    from streams.embedded.processes import StartError
    from streams.embedded.supervisor import reason

    while True:
        supervisor.look()
        if services.broker is not None and (code := services.broker.child.poll()) is not None:
            raise StartError(
                f"the embedded broker has ended ({reason(code)}) and its logs, kept in memory, are lost: "
                "start again, or use Apache Kafka, which keeps them (HEADRACE_KAFKA__BROKERS)"
            )
        time.sleep(LOOK_S)


def _print_table(services: Services, metrics_ports: list[int], children: Children, *, kept: bool) -> None:
    settings = services.settings
    rows = [
        ("broker", settings.kafka.brokers, "embedded, in memory" if services.broker else "HEADRACE_KAFKA__BROKERS"),
        ("store", settings.redis.shown, "embedded" if services.store else "HEADRACE_REDIS__URL"),
        *((f"worker {slot}", f"http://127.0.0.1:{port}/metrics", "") for slot, port in enumerate(metrics_ports)),
        ("files", str(children.folder), "kept" if kept else "removed at the end"),
    ]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for what, address, note in rows:
        click.echo(f"{what:<{widths[0]}}  {address:<{widths[1]}}  {note}".rstrip())
    _print_hint(services)


def _print_hint(services: Services) -> None:
    """What to tell other terminals: nothing where the usual ports are in use, for those are the settings' defaults."""
    from streams.embedded.services import USUAL_BROKER_PORT, USUAL_STORE_PORT

    lines = []
    if services.broker is not None and services.broker.port != USUAL_BROKER_PORT:
        lines.append(f"export HEADRACE_KAFKA__BROKERS={services.broker.address}")
    if services.store is not None and services.store.port != USUAL_STORE_PORT:
        lines.append(f"export HEADRACE_REDIS__URL={services.store.url}")
    if lines:
        click.echo("\nThe usual ports are taken. For headrace in another terminal:\n  " + "\n  ".join(lines))
    click.echo("\nCtrl-C ends it all.")


def _tell(line: str) -> None:
    click.echo(line, err=True)
