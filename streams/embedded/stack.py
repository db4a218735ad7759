"""Services and workers as one thing: started together, looked after together, told in one table, ended together.

`headrace up` and `headrace demo` are this and a way to wait. The price of an embedded broker shows here: when it dies
its logs are gone, so nothing that stands on them can go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from schemas.settings import without_password
from streams.embedded.processes import LOCALHOST, Children, StartError, free_port, hold, is_open, wait_until
from streams.embedded.services import (
    USUAL_BROKER_PORT,
    USUAL_METRICS_PORT,
    USUAL_PAGE_PORT,
    USUAL_STORE_PORT,
    Services,
    start_services,
)
from streams.embedded.supervisor import Supervisor, reason
from streams.live.wire import socket_in

WORKER_START_S, PAGE_START_S = 60.0, 10.0
WORKER_END_S = 15.0
PAGE = "the page"


@dataclass(frozen=True, slots=True)
class Ports:
    """What the user asked for; None: the usual one, or any that is free."""

    broker: int | None = None
    store: int | None = None
    metrics: int | None = None  # of worker 0; the next one has the next
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Stack:
    """All that runs; `metrics_ports` by the workers' slots. `tell` gets a line for each change of state.

    `page_port` is None where the page's extra is not installed. `asked_at`: where the page asks whoever holds this for
    what its buttons do; None where it has none.
    """

    services: Services
    supervisor: Supervisor
    metrics_ports: list[int]
    page_port: int | None
    asked_at: Path | None
    tell: Callable[[str], None]

    def look(self) -> None:
        """Starts again what has ended. Raises StartError where that cannot help: the embedded broker is gone."""
        self._look_at_broker()
        self.supervisor.look()

    def _look_at_broker(self) -> None:
        """Raises StartError where it has ended. That is told first: workers without a broker take long to end."""
        broker = self.services.broker
        if broker is None or (code := broker.child.poll()) is None:
            return
        self.tell(f"the embedded broker has ended ({reason(code)}): ending the workers, then all the rest")
        raise StartError(
            f"the embedded broker has ended ({reason(code)}) and its logs, kept in memory, are lost: "
            "start again, or use Apache Kafka, which keeps them (HEADRACE_KAFKA__BROKERS)"
        )

    def wait_for_workers(self) -> None:
        """Returns when each serves its metrics; raises StartError where one ends first, or the broker does."""
        workers = [service for service in self.supervisor.services if service.name.startswith("worker")]
        for worker, port in zip(workers, self.metrics_ports, strict=True):
            wait_until(partial(self._is_open, port), worker.child, WORKER_START_S)

    def wait_for_page(self) -> None:
        """Returns when it answers, so that an address that is shown can be opened; it is optional, and not waited for
        where it ends or is slow.
        """
        for service in self.supervisor.services:
            if service.name == PAGE and self.page_port is not None:
                with suppress(StartError):
                    wait_until(partial(is_open, self.page_port), service.child, PAGE_START_S)

    def _is_open(self, port: int) -> bool:
        self._look_at_broker()
        return is_open(port)

    def table(self, *, kept: bool = False) -> list[str]:
        """Every address, a line each, and what another terminal must be told where the ports are not the usual ones."""
        services, settings = self.services, self.services.settings
        page = self.page_port
        shows = "start an attack there, kill a worker" if self.asked_at else "the stream as it is now; HTTP API"
        rows = [
            *([("page", f"http://{LOCALHOST}:{page}", shows)] if page else []),
            ("broker", settings.kafka.brokers, "embedded, in memory" if services.broker else "HEADRACE_KAFKA__BROKERS"),
            ("store", settings.redis.shown, "embedded" if services.store else "HEADRACE_REDIS__URL"),
            *(
                (f"worker {slot}", f"http://{LOCALHOST}:{port}/metrics", "metrics")
                for slot, port in enumerate(self.metrics_ports)
            ),
            *([("archive", without_password(url), "HEADRACE_ARCHIVE__URL")] if (url := settings.archive.url) else []),
            *([("learner", without_password(url), "HEADRACE_REGISTRY__URL")] if (url := settings.registry.url) else []),
            ("files", str(services.children.folder), "kept" if kept else "removed at the end"),
        ]
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        return [f"{what:<{widths[0]}}  {address:<{widths[1]}}  {note}" for what, address, note in rows] + self._hint()

    def _hint(self) -> list[str]:
        """The usual ports are the settings' defaults: where they are in use, another terminal need not be told."""
        broker, store = self.services.broker, self.services.store
        lines = []
        if broker is not None and broker.port != USUAL_BROKER_PORT:
            lines.append(f"  export HEADRACE_KAFKA__BROKERS={broker.address}")
        if store is not None and store.port != USUAL_STORE_PORT:
            lines.append(f"  export HEADRACE_REDIS__URL={store.url}")
        return ["", "These are not the usual ports. For headrace in another terminal:", *lines] if lines else []


@contextmanager
def running(
    children: Children, workers: int, ports: Ports, tell: Callable[[str], None], *, buttons: bool = False
) -> Iterator[Stack]:
    """Starts everything; leaving the context ends the workers, and leaving that of `children` the services.

    Workers have been started, not waited for. `tell` gets a line when something has ended or is started again.
    With `buttons` the page has those of the demo, and whoever holds the stack answers at `asked_at`.
    """
    services = start_services(children, ports.broker, ports.store)
    supervisor = Supervisor(tell)
    if services.store is not None:
        supervisor.add("the store", services.store.start_again, child=services.store.child, always=True)
    with ExitStack() as holds:
        try:
            metrics = [_held(USUAL_METRICS_PORT, slot, ports.metrics, holds) for slot in range(workers)]
            for slot, port in enumerate(metrics):
                supervisor.add(f"worker {slot}", partial(services.start_worker, slot, port))
            if services.settings.archive.url is not None:
                supervisor.add("the archive", services.start_archive)
            if (registry := services.settings.registry.url) is not None:
                if services.broker is not None:  # with brokers of one's own a folder that is missing is not mounted
                    from storage.places import place_of

                    place_of(registry, "registry").check()
                supervisor.add("the learner", services.start_learner, optional=True)
            page, asked_at = None, socket_in(children.folder) if buttons else None
            if find_spec("fastapi") is not None:
                page = _held(USUAL_PAGE_PORT, 0, ports.page, holds)
                supervisor.add(PAGE, partial(services.start_page, page, asked_at), optional=True)
            yield Stack(services, supervisor, metrics, page, asked_at, tell)
        finally:
            supervisor.stop(WORKER_END_S)


def _held(usual: int, slot: int, asked: int | None, holds: ExitStack) -> int:
    """A port. One that was not asked for is held: its process binds it seconds later, and again if it dies."""
    if asked is not None:
        return asked + slot
    port = usual + slot
    while (holder := hold(port)) is None:
        port = free_port()
    holds.enter_context(closing(holder))
    return port
