"""A checkpoint of the queue: what it knows, and how far it had read for it, in one file beside the snapshots.

    <url>/_queue/checkpoint    a line of JSON (what it was made for, and a hash of the rest), then msgpack, compressed

A start that finds one reads only what came since. It holds nothing that the logs do not say: one that is missing, cut
off, or made for anything else (other topics, features, settings) is left alone, and the start reads from the beginning.
So nothing depends on when it was written, nor by whom.
The price: some 25 bytes an order that is followed, compressed and written every ten minutes, and at most a fiftieth of
the time.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sys
import time
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from schemas.matured import Key
from storage.errors import StorageDown
from storage.places import Place as Files
from streams.learner.feed import At
from streams.learner.metrics import LearnerMetrics
from streams.learner.queue import QueueState
from streams.models.aside import aside

log = logging.getLogger("headrace")

PATH: Final = "_queue/checkpoint"  # no model's name begins with an underscore
FORMAT: Final = 1
FROM_THE_BEGINNING: Final = "no checkpoint to go on from: reading from the beginning"
LATER_S: Final = 5.0
LEVEL: Final = 1  # of compression: hashes do not compress, all else does at once
SHARE: Final = 50  # one second of writing in so many


class State(msgspec.Struct, frozen=True):
    """All that a start needs. `said` and `last`: how far `matured` is in it, and the largest key up to there."""

    places: Sequence[At]  # by source
    now: int  # of the merge
    queue: QueueState
    said: int
    last: Key | None


class About(msgspec.Struct, frozen=True):
    """What a checkpoint is good for. `topics`: the broker's ids; of one that was made anew the offsets mean nothing."""

    topics: Mapping[str, tuple[str, int]]  # id and partitions
    features: str
    mature_ms: int
    follow_ms: int
    late_ms: int
    future_ms: int
    currencies: Sequence[str]
    bytes: str = sys.byteorder
    format: int = FORMAT


class _Head(msgspec.Struct, frozen=True):
    about: About
    sha256: str


class BadCheckpointError(ValueError):
    """It cannot be gone on from; the message says why."""


def written(about: About, state: State) -> bytes:
    """The file."""
    body = zlib.compress(msgspec.msgpack.encode(state), LEVEL)
    return msgspec.json.encode(_Head(about, hashlib.sha256(body).hexdigest())) + b"\n" + body


def read(raw: bytes, about: About) -> State:
    """What a file holds; raises BadCheckpointError where it is not whole, or was made for something else."""
    line, _, body = raw.partition(b"\n")
    try:
        head = msgspec.json.decode(line, type=_Head)
    except msgspec.DecodeError as error:
        raise BadCheckpointError(f"it is no checkpoint, or cut off: {error}") from error
    others = [name for name in About.__struct_fields__ if getattr(head.about, name) != getattr(about, name)]
    if others:
        raise BadCheckpointError(f"it was made for other {', '.join(others)}")
    if hashlib.sha256(body).hexdigest() != head.sha256:
        raise BadCheckpointError("it is cut off, or was changed")
    return msgspec.msgpack.decode(zlib.decompress(body), type=State)


class Checkpoints:
    """Reads the one that there is, and now and then writes the next, which holds nobody up."""

    def __init__(self, files: Files, about: About, every_s: float, metrics: LearnerMetrics) -> None:
        self._files, self._about, self._every_s, self._metrics = files, about, every_s, metrics
        self._next_s = time.monotonic() + every_s
        self._writing: asyncio.Task[None] | None = None

    def load(self) -> State | None:
        """None where there is none to go on from. Raises StorageDown."""
        try:
            with self._files.open(PATH) as raw:
                return read(raw.read(), self._about)
        except FileNotFoundError:
            why = "there is none"
        except BadCheckpointError as error:
            why = str(error)
        log.info(FROM_THE_BEGINNING, extra={"why": why})
        self._next_s = time.monotonic()
        return None

    @property
    def due(self) -> bool:
        """Whether it is time for one, and the one before is written."""
        return time.monotonic() >= self._next_s and (self._writing is None or self._writing.done())

    def put_off(self) -> None:
        """It cannot be taken yet."""
        self._next_s = time.monotonic() + LATER_S

    def keep(self, state: State) -> None:
        """Begins to write it."""
        self._writing = asyncio.create_task(self._keep(state))

    async def written(self) -> None:
        """Waits for the one that is being written."""
        if self._writing is not None:
            await self._writing

    async def _keep(self, state: State) -> None:
        began_s = time.monotonic()
        try:
            size = await aside(partial(self._put, state))
            log.info("checkpoint", extra={"orders": state.queue.orders.count, "bytes": size})
        except StorageDown as down:
            self._metrics.errors.inc()
            log.warning("no checkpoint: the registry is away", extra={"why": str(down)})
        now_s = time.monotonic()
        self._next_s = now_s + max(self._every_s, SHARE * (now_s - began_s))

    def _put(self, state: State) -> int:
        content = written(self._about, state)
        self._files.commit(PATH, content)
        return len(content)
