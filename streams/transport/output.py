"""What a range publishes: one record for one topic.

Frozen and untracked by the garbage collector, since a range makes thousands of them at once.
"""

from __future__ import annotations

import msgspec

Headers = tuple[tuple[str, bytes | None], ...]


class Output(msgspec.Struct, frozen=True, gc=False):
    """One record to publish. `offset` is that of the input record it comes from: exactly-once publishes from one on.

    `partition`: None means by key, murmur2 like Java's default partitioner. Name the input's partition where the topics
    have equally many and the key is the input record's own: the hash is then known already.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    offset: int = -1
    partition: int | None = None
    timestamp_ms: int | None = None  # None: when it is published
