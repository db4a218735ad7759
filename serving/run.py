"""One serving process, from its settings to its exit code: the parts are opened, fed and served."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn

from features.definitions import Definitions
from features.packed import kernel
from models.registry import RegistryError
from schemas.settings import Settings
from serving.app import make_app
from serving.demo import Demo
from serving.follow import TOPICS, follow
from serving.force import Force
from serving.live import Live
from serving.parts import Parts, words_of
from serving.recent import Recent
from serving.traffic import Traffic
from storage.errors import StorageDown, StorageError
from streams.assess import Assessor
from streams.collectors import process_registry
from streams.configuration import BadConfigurationError, rules_text
from streams.foreground import exit_code, told_to_end, until_first
from streams.logs import configure
from streams.loops import new_event_loop
from streams.models.choose import Chooser
from streams.protocol.ports import SinkDown, Stop, StoreDown
from streams.space import definitions_of, open_store
from streams.transport.aio import KafkaError
from streams.transport.link import Link
from streams.transport.log import LogReader

log = logging.getLogger("headrace")

LEAVE_WITHIN_S = 3  # who watches the page never leaves by itself
PATIENCE_S = 5.0  # with brokers: who asks does not wait for longer


def run_serving(settings: Settings, demo: Path | None = None) -> int:
    """Serves until it is told to stop; returns the exit code. `demo`: where `headrace demo` answers its buttons, which
    are there only where this machine alone can press them.
    """
    configure("serve", settings.log_format)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # it says what it starts and ends
    return exit_code(
        "serving process",
        lambda: _on_a_loop(_run(settings, Demo(demo) if demo and settings.serving.loopback else None)),
        stops=(StorageError, RegistryError, BadConfigurationError),
        downs=(StorageDown, StoreDown),
    )


def _on_a_loop(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(work)


async def _run(settings: Settings, demo: Demo | None) -> None:
    stopping, definitions = told_to_end(), definitions_of(settings)
    async with AsyncExitStack() as stack:
        parts = await _parts(settings, definitions, stack)
        listening = _listening(settings.serving.host, settings.serving.port)
        stack.callback(listening.close)
        live = Live(parts.reader, parts.recent, parts.traffic)
        app = make_app(parts, live, process_registry(), demo)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=LEAVE_WITHIN_S
        )
        server = _Server(config)
        log.info("serving at http://%s:%d", *listening.getsockname()[:2])
        warming = asyncio.create_task(asyncio.to_thread(kernel))  # else the first order assessed waits for it
        works = [
            _served(server, listening, stopping),
            _reading(parts),
            live.watch(),
        ]
        works += [parts.force.watch()] if settings.registry.url else []
        works += [demo.watch()] if demo else []
        await until_first(*works)
        await warming


async def _reading(parts: Parts) -> None:
    """Reads topics and never returns. All are asked for at once before, so that a Stop names all that are hidden."""
    with suppress(SinkDown, KafkaError):  # of that the readers tell, and wait
        await parts.reader.topics([*TOPICS, *parts.traffic.topics])
    await until_first(follow(parts.reader, parts.recent, parts.settings.serving.recent), parts.traffic.watch())


async def _parts(settings: Settings, definitions: Definitions, stack: AsyncExitStack) -> Parts:
    """Opened; what must be closed again is on the stack."""
    chooser = Chooser.of(settings, definitions)
    reader = LogReader(Link.of(settings.kafka), patience_s=PATIENCE_S, client_id="headrace-serve")
    stack.push_async_callback(reader.stop)
    store = open_store(settings, definitions)
    stack.push_async_callback(store.close)
    inputs = [flow.topic for flow in definitions.flows]
    return Parts(
        settings,
        definitions,
        rules_text(definitions, settings.rules),
        store,
        reader,
        Recent(settings.serving.recent),
        Traffic(reader, settings.kafka.group, inputs),
        await Force.of(chooser),
        Assessor(definitions, store),
        words_of(settings, definitions),
    )


class _Server(uvicorn.Server):
    """Signals are ours: foreground.py."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _served(server: _Server, listening: socket.socket, stopping: asyncio.Event) -> None:
    """Until the process is told to end; requests under way are answered."""

    async def told() -> None:
        await stopping.wait()
        server.should_exit = True

    telling = asyncio.create_task(told())
    try:
        await server.serve([listening])
    finally:
        telling.cancel()


def _listening(host: str, port: int) -> socket.socket:
    """The address, ours from now on; raises Stop where it cannot be had."""
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        listening.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # what it accepts inherits it; else asyncio's own
        return listening  # loop leaves an answer's second half waiting for a delayed acknowledgement, 40 ms
    except OSError as error:
        raise Stop(
            f"the API cannot be served at {host}:{port}: {error.strerror}: free the port or choose another "
            "(HEADRACE_SERVING__PORT; 0 takes any)"
        ) from error
