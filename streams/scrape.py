"""Serves a process's metrics over HTTP, from a thread."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry, start_http_server

from schemas.settings import Metrics
from streams.protocol.ports import Stop

log = logging.getLogger("headrace")


def serve_metrics(where: Metrics, registry: CollectorRegistry, stack: AsyncExitStack) -> None:
    """Until the stack ends; raises Stop where the port cannot be had."""
    try:
        server, thread = start_http_server(where.port, where.host, registry)
    except OSError as error:
        raise Stop(
            f"metrics cannot be served at {where.host}:{where.port}: {error.strerror}: "
            "free the port or choose another (HEADRACE_METRICS__PORT; 0 takes any)"
        ) from error
    stack.callback(thread.join, 2.0)
    stack.callback(server.shutdown)
    log.info("metrics at http://%s:%d/metrics", where.host, server.server_port)
