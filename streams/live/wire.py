"""How the page of a demo asks the demo itself: a line of JSON in, a line out, over a socket in the demo's own folder.

Only who may enter that folder can ask (it is the user's alone), and there is nothing to ask of any other process of
ours: `headrace serve` beside a real stream has no such socket and stays read-only. The price: one connection a
question.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

SOCKET: Final = "demo.sock"
LONGEST: Final = 100  # bytes of a path; the system's own limit is 104 on macOS, 108 on Linux
PATIENCE_S: Final = 5.0
Told = Mapping[str, Any]


class RefusedError(Exception):
    """It cannot be done now; the message says why."""


class AwayError(Exception):
    """The demo does not answer."""


def socket_in(folder: Path) -> Path | None:
    """Where the demo listens; None where the system could not take so long a name."""
    path = folder / SOCKET
    return path if len(os.fsencode(path)) <= LONGEST else None


@asynccontextmanager
async def answering(path: Path, can: Mapping[str, Callable[[], Told]]) -> AsyncIterator[None]:
    """Answers with what `can` does, by name, until the context is left."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = (await reader.readline()).decode().strip()
            writer.write(json.dumps(_done(can, asked)).encode() + b"\n")
            await writer.drain()
        except (OSError, ValueError):  # who asked has left, or sent what is no line
            return
        finally:
            writer.close()

    server = await asyncio.start_unix_server(answer, path)
    async with server:
        yield


def _done(can: Mapping[str, Callable[[], Told]], asked: str) -> Mapping[str, Any]:
    if asked not in can:
        return {"refused": f"the demo cannot {asked!r}"}
    try:
        return {"told": can[asked]()}
    except RefusedError as refused:
        return {"refused": str(refused)}


async def ask(path: Path, what: str) -> Told:
    """The demo's answer. Raises RefusedError, AwayError."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(what.encode() + b"\n")
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        raise AwayError(f"the demo does not answer: {error}") from error
    if not line:
        raise AwayError("the demo has ended")
    answer: Mapping[str, Any] = json.loads(line)
    if "told" not in answer:
        raise RefusedError(answer["refused"])
    told: Told = answer["told"]
    return told
