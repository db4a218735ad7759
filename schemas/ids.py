"""Hashes and partitions: how a name becomes a number that every client, worker and language agrees on.

xxh3 stands for an identity inside the state (fast, 64 bits); murmur2 decides a record's partition exactly as Java's
default partitioner does, so that any Kafka client may write beside us; SHA-256 makes decision ids nobody can steer.
The price: murmur2 has no C implementation here, so a batch is hashed in numpy, one 4-byte word of all keys at a time,
and the answers are remembered in a dictionary that is emptied when it is full.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

MASK_32 = 0xFFFF_FFFF
MURMUR_SEED = 0x9747_B28C  # org.apache.kafka.common.utils.Utils.murmur2
MURMUR_MIX = 0x5BD1_E995
CACHED_KEYS = 131_072  # at about 150 bytes a key: 20 MB when full
CACHED_KEY_BYTES = 64  # longer keys are hashed again each time, so that the cache cannot be blown up
VECTOR_KEY_BYTES = 256  # longer keys are hashed one by one: the padded matrix of a batch stays small


def hash64(text: str | bytes) -> int:
    """xxh3 of the UTF-8 bytes, unsigned 64 bits."""
    return xxh3_64_intdigest(text.encode() if isinstance(text, str) else text)


def hash32(text: str | bytes) -> int:
    """The low half of `hash64`."""
    return hash64(text) & MASK_32


def hashes64(texts: Iterable[str]) -> npt.NDArray[np.uint64]:
    """(n,) `hash64` of each text."""
    return np.fromiter([xxh3_64_intdigest(text.encode()) for text in texts], np.uint64)


def payload_hashes(values: Iterable[bytes]) -> npt.NDArray[np.uint32]:
    """(n,) `hash32` of each value: what tells a repeated event from another one under the same id."""
    return np.fromiter([xxh3_64_intdigest(value) & MASK_32 for value in values], np.uint32)


def bag_name(group: str, entity: str) -> bytes:
    """What an entity's bag is called: by it the entity's shard is found."""
    return f"{group}:{entity}".encode()


def shard_of(name: bytes, shards: int) -> int:
    """The shard of a bag's name (or of another name of the state space)."""
    return xxh3_64_intdigest(name) % shards


def decision_id(event_id: str) -> str:
    """The first 16 bytes of SHA-256 of the event id, as 32 hex digits."""
    return sha256(event_id.encode()).hexdigest()[:32]


def murmur2(key: bytes) -> int:
    """Kafka's murmur2, as an unsigned 32-bit number (Java prints the same bits signed)."""
    length = len(key)
    state = MURMUR_SEED ^ (length & MASK_32)
    body = length & ~3
    for at in range(0, body, 4):
        word = int.from_bytes(key[at : at + 4], "little") * MURMUR_MIX & MASK_32
        word = (word ^ word >> 24) * MURMUR_MIX & MASK_32
        state = (state * MURMUR_MIX & MASK_32) ^ word
    if body < length:
        state = (state ^ int.from_bytes(key[body:], "little")) * MURMUR_MIX & MASK_32
    state = (state ^ state >> 13) * MURMUR_MIX & MASK_32
    return state ^ state >> 15


def partition_for(key: bytes, partitions: int) -> int:
    """The partition that Java's default partitioner gives a key: toPositive(murmur2(key)) % partitions."""
    return (murmur2(key) & 0x7FFF_FFFF) % partitions


def partitions_for(keys: Sequence[bytes], partitions: int) -> list[int]:
    """`partition_for` of each key; what was hashed before is looked up."""
    known = _KNOWN.get
    found = [known(key) for key in keys]
    if None not in found:
        return [hashed % partitions for hashed in found if hashed is not None]
    fresh = _hash_unknown(keys)
    return [(fresh[key] if hashed is None else hashed) % partitions for key, hashed in zip(keys, found, strict=True)]


_KNOWN: dict[bytes, int] = {}  # key -> toPositive(murmur2(key)); a pure function, so sharing it between callers is safe


def _hash_unknown(keys: Sequence[bytes]) -> dict[bytes, int]:
    """Hashes what the cache lacks and remembers it; the answer holds at least those keys."""
    unknown = list({key for key in keys if key not in _KNOWN})
    short = [key for key in unknown if len(key) <= VECTOR_KEY_BYTES]
    fresh = {key: murmur2(key) & 0x7FFF_FFFF for key in unknown if len(key) > VECTOR_KEY_BYTES}
    if short:
        positive = murmur2_batch(short) & np.uint32(0x7FFF_FFFF)
        fresh.update(zip(short, positive.tolist(), strict=True))
    if len(_KNOWN) + len(fresh) > CACHED_KEYS:
        _KNOWN.clear()
    _KNOWN.update((key, hashed) for key, hashed in fresh.items() if len(key) <= CACHED_KEY_BYTES)
    return fresh


def murmur2_batch(keys: Sequence[bytes]) -> npt.NDArray[np.uint32]:
    """(n,) `murmur2` of each key: word by word over all keys that still have one, longest keys first."""
    lengths = np.fromiter(map(len, keys), np.int64, len(keys))
    order = np.argsort(-lengths, kind="stable")
    lengths = lengths[order]
    width = -(-(int(lengths[0]) + 4) // 4) * 4  # one word more than the longest key has: the tail of a full key is 0
    words = np.frombuffer(b"".join([keys[i].ljust(width, b"\0") for i in order.tolist()]), "<u4").reshape(len(keys), -1)
    full = lengths // 4
    mix = np.uint32(MURMUR_MIX)
    state = np.uint32(MURMUR_SEED) ^ lengths.astype(np.uint32)
    for at in range(int(full[0])):
        rows = int(np.searchsorted(-full, -at, side="left"))  # keys with more than `at` whole words
        word = words[:rows, at] * mix
        word = (word ^ (word >> np.uint32(24))) * mix
        state[:rows] = (state[:rows] * mix) ^ word
    tail = words[np.arange(len(keys)), full]
    state = np.where(lengths & 3 != 0, (state ^ tail) * mix, state)
    state = (state ^ (state >> np.uint32(13))) * mix
    state ^= state >> np.uint32(15)
    answer = np.empty_like(state)
    answer[order] = state
    return answer
