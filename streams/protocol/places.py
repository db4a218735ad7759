"""Where a partition lives: its home shard, a hash of topic and partition number.

The topic id is left out on purpose: a topic that is made anew keeps its home, so that a rebase finds the old one.
The price: the shard count is a constant of the state space, as for the entities.
"""

from __future__ import annotations

from xxhash import xxh3_64_intdigest


def home_shard(topic: str, partition: int, shards: int) -> int:
    """The shard that holds position, open range, verdicts and ids of a partition."""
    return xxh3_64_intdigest(f"{topic}/{partition}".encode()) % shards
