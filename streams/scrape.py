"""Serves a process's metrics over HTTP, from a thread, and says at /healthz that it is alive.

A process opens this port once broker and store have answered it, and ends itself where it makes no progress (the
watchdog): one that answers is well. The answer costs nothing, where a scrape counts everything.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server

from schemas.settings import Metrics
from streams.protocol.ports import Stop

log = logging.getLogger("headrace")

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
HEALTH = "/healthz"


def serve_metrics(where: Metrics, registry: CollectorRegistry, stack: AsyncExitStack) -> None:
    """Until the stack ends; raises Stop where the port cannot be had."""
    try:
        server, thread = start_http_server(where.port, where.host, registry)
    except OSError as error:
        raise Stop(
            f"metrics cannot be served at {where.host}:{where.port}: {error.strerror}: "
            "free the port or choose another (HEADRACE_METRICS__PORT; 0 takes any)"
        ) from error
    server.set_app(_alive_or(server.get_app()))
    stack.callback(server.server_close)
    stack.callback(thread.join, 2.0)
    stack.callback(server.shutdown)
    log.info("metrics at http://%s:%d/metrics", where.host, server.server_port)


def _alive_or(metrics: Any) -> App:
    """The metrics, which answer any path, but for the one that asks whether we are alive."""

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != HEALTH:
            answer: Iterable[bytes] = metrics(environ, start)
            return answer
        start("200 OK", [("Content-Type", "text/plain")])
        return [b"alive\n"]

    return app
