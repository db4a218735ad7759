"""Newline-delimited bytes from a file or a pipe, as they come: a slow pipe is not waited for, a fast one not split.

A pipe is read when the event loop finds it readable, so that Ctrl-C ends a command that waits for input (a thread in a
blocking read could not be ended); a file, which is always readable, is read in large pieces.
"""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator
from typing import BinaryIO

PIECE_BYTES = 1_048_576


async def pieces(file: BinaryIO) -> AsyncIterator[list[bytes]]:
    """Whole lines without their ends, as many as there are at once; the last may lack its newline."""
    rest = b""
    async for data in _reads(file):
        *lines, rest = (rest + data).split(b"\n")
        if lines:
            yield lines
    if rest:
        yield [rest]


async def _reads(file: BinaryIO) -> AsyncIterator[bytes]:
    try:
        descriptor = file.fileno()
    except (OSError, io.UnsupportedOperation):  # bytes in memory
        descriptor = -1
    while await _readable(descriptor):
        if not (data := os.read(descriptor, PIECE_BYTES)):
            return
        yield data
    while data := file.read(PIECE_BYTES):
        yield data
        await asyncio.sleep(0)


async def _readable(descriptor: int) -> bool:
    """Waits until a read would not block; False for a regular file, which cannot be waited for and need not be."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    try:
        loop.add_reader(descriptor, _wake, ready)
    except (OSError, ValueError):
        return False
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
    return True


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():  # the loop may say so twice before we run
        ready.set_result(None)
