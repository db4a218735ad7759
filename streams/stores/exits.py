"""Workers that their watchdog ended, kept in the store: a process that ends cannot be scraped.

A stream of the last hundred, whose numbers the server gives out one by one: the newest also tells how many there ever
were. Nothing of the state depends on it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from streams.stores import keys, wire

KEPT = 100
SHARD = 0

Trip = Callable[[Sequence[tuple[int, bytes]]], Awaitable[Sequence[wire.Reply]]]  # raises StoreDown


@dataclass(frozen=True, slots=True)
class Exit:
    """`number` counts from 1."""

    number: int
    at_ms: int
    worker: str
    what: str


async def add(trip: Trip, at_ms: int, worker: str, what: str) -> None:
    """Raises StoreDown."""
    words = (b"MAXLEN", KEPT, b"1-*", b"at_ms", at_ms, b"worker", worker, b"what", what)
    await trip([(SHARD, wire.command(b"XADD", keys.exits_key(SHARD), *words))])


async def newest(trip: Trip, after: int = 0) -> list[Exit]:
    """Those with larger numbers that are still kept, in their order; raises StoreDown."""
    asked = wire.command(b"XRANGE", keys.exits_key(SHARD), b"1-%d" % after, b"+")
    (found,) = await trip([(SHARD, asked)])
    return [_exit(number, dict(zip(words[::2], words[1::2], strict=True))) for number, words in found]


def _exit(number: bytes, said: dict[bytes, bytes]) -> Exit:
    place = int(number.partition(b"-")[2])
    return Exit(place + 1, int(said[b"at_ms"]), said[b"worker"].decode(), said[b"what"].decode())
