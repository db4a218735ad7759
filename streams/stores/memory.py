"""What a server spends on a key beside its bytes, as Valkey 9.1 does; `tests/contract/test_memory.py` holds it to that.

A short value lies with its key in one piece of memory of up to 136 bytes; a longer one has its own. `APPEND` reserves
as much again as the value has then, so a bag that grows takes up to twice its length until compaction writes it in one
piece. Each piece is rounded up to a size that the allocator has. Each key is in two hash tables, of all and of those
that expire; buckets of 64 bytes hold seven, and one that overflows gets another.

    key and value    16 bytes, 8 for the expiry, 1 + the key, or 3 + the key above 31 bytes, and the value's own piece
    value            3 bytes (5 from 256 on, 9 from 65,536 on) + what is reserved + 1
    tables           2 x 64 bytes x buckets; a power of two, and the smallest that has room for seven in each

Measured with MEMORY USAGE and INFO memory. The price: another server, or a later version, may spend otherwise.
"""

from __future__ import annotations

from math import ceil, exp, log2
from typing import Literal

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Allocator = Literal["libc", "jemalloc"]

OBJECT, EXPIRY = 16, 8
TOGETHER = 136  # bytes of key and value up to which they lie in one piece: 128 and the expiry
GREEDY = 1 << 20  # bytes from which APPEND reserves this much and not as much again
BUCKET, OF_A_BUCKET = 64, 7
ID, RANGE, LONG_RANGE = 24, 30, 130  # bytes of the log of ids: an id, a range of few, a range of 50 or more
LONG = 50


def taken(size: Ints, allocator: Allocator) -> Ints:
    """(n,) bytes asked for -> bytes that the server counts."""
    if allocator == "libc":  # glibc on 64 bits: multiples of 16, of which 8 are its own and not counted
        return np.maximum((size + 23) // 16 * 16 - 8, 24)
    small = np.maximum((size + 15) // 16 * 16, 16)
    step = np.maximum(1 << np.maximum(np.ceil(np.log2(np.maximum(size, 1))).astype(np.int64) - 3, 4), 16)
    return np.where(size <= 128, np.where(size <= 8, 8, small), (size + step - 1) // step * step)  # four a doubling


def key_bytes(key: float, length: Ints, written: Ints, entry: int, allocator: Allocator) -> Ints:
    """(n,) bytes of keys with their values, as MEMORY USAGE counts them.

    `length` is a value's, of which `written` came in one piece and the rest by appending `entry` bytes at a time.
    """
    size = np.full(len(length), round(key))
    named = np.where(size < 32, 1, 3) + size + 1
    head = OBJECT + EXPIRY + 1 + named
    room = reserved(length, written, entry, allocator)
    together = head - 8 + _string(length)  # no pointer is needed then
    alone = (room == length) & (together <= TOGETHER)
    return np.where(alone, taken(together, allocator), taken(head, allocator) + taken(_string(room), allocator))


def _string(room: Ints) -> Ints:
    return np.where(room < 256, 3, np.where(room < 65_536, 5, 9)) + room + 1


def reserved(length: Ints, written: Ints, entry: int, allocator: Allocator) -> Ints:
    """(n,) bytes that the server keeps for each value."""
    now, room = np.minimum(written, length), np.minimum(written, length)
    while (short := now < length).any():
        more = np.minimum(entry, length - now)
        full = short & (now + more > room)
        wanted = np.where(now + more < GREEDY, 2 * (now + more), now + more + GREEDY)
        whole = _string(wanted)
        room = np.where(full, wanted + taken(whole, allocator) - whole, room)
        now = now + more * short
    return room


def tables_bytes(keys: float) -> float:
    """Bytes of the two hash tables of so many keys, all with an expiry."""
    if keys < 1:
        return 0.0
    buckets: int = 2 ** ceil(log2(max(keys / OF_A_BUCKET, 1)))
    return 2 * BUCKET * buckets * (1 + _overflows(keys / buckets))


def _overflows(mean: float) -> float:
    """The share of buckets that get more than they hold, where they get so many on average."""
    term = within = exp(-mean)
    for count in range(1, OF_A_BUCKET + 1):
        term *= mean / count
        within += term
    return 1 - within


def ids_bytes(ids: float, records_a_range: float) -> float:
    """Bytes of the log of ids that duplicates are told by."""
    return ids * (ID + (RANGE if records_a_range < LONG else LONG_RANGE) / max(records_a_range, 1))
