"""The keys of the state space, and which shard an entity or a partition lives in.

A shard's keys all carry the hash tag `{n}`, so they share one slot of a cluster and one function call may touch them
all. An entity lives in the shard that its group and name hash to. Group names hold no colon and are not empty, so a
bag's key never looks like one of the shard's own.

`spread` turns the entities of a batch into one call per shard. The price: .3 us of client CPU for each distinct entity.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import accumulate
from typing import NamedTuple, TypeVar

from xxhash import xxh3_64_intdigest

from schemas.ids import bag_name, shard_of
from streams.protocol.ports import ShardCall, Tp

T = TypeVar("T")

BAG = re.compile(rb"\{(\d+)\}([^:]+):(.*)", re.DOTALL)
WITHOUT_TTL = re.compile(rb"\{(\d+)\}:(at|home|space|exits|ids:.*|verdicts:.*)", re.DOTALL)  # the closed list
NEXT = re.compile(rb"\{(\d+)\}:next:([^:]+):(.*)", re.DOTALL)  # bags that are being filled (stores/beside.py)
CONFIG = re.compile(rb"\{(\d+)\}:config:.*", re.DOTALL)


def shard_of_ours(key: bytes) -> int | None:
    """The shard that a key of the state space belongs to; None for a stranger's key."""
    found = BAG.fullmatch(key) or WITHOUT_TTL.fullmatch(key) or CONFIG.fullmatch(key) or NEXT.fullmatch(key)
    return int(found[1]) if found else None


def bag_key(group: str, entity: str, shards: int) -> tuple[int, bytes]:
    """(shard, key) of one entity's bag."""
    name = bag_name(group, entity)
    shard = shard_of(name, shards)
    return shard, b"{%d}%b" % (shard, name)


def next_key(group: str, entity: str, shards: int) -> tuple[int, bytes]:
    """(shard, key) of what will be one entity's bag."""
    name = bag_name(group, entity)
    shard = shard_of(name, shards)
    return shard, b"{%d}:next:%b" % (shard, name)


def partition_field(tp: Tp) -> bytes:
    return f"{tp.topic}/{tp.partition}".encode()


@cache
def at_key(shard: int) -> bytes:
    return b"{%d}:at" % shard


@cache
def home_key(shard: int) -> bytes:
    return b"{%d}:home" % shard


def space_key(shard: int) -> bytes:
    return b"{%d}:space" % shard


def exits_key(shard: int) -> bytes:
    return b"{%d}:exits" % shard


def ids_key(shard: int, tp: Tp) -> bytes:
    return b"{%d}:ids:%b" % (shard, partition_field(tp))


def verdicts_key(shard: int, tp: Tp) -> bytes:
    return b"{%d}:verdicts:%b" % (shard, partition_field(tp))


def config_key(config: str, shards: int) -> tuple[int, bytes]:
    """(shard, key) of a pinned configuration's content."""
    name = config.encode()
    shard = shard_of(name, shards)
    return shard, b"{%d}:config:%b" % (shard, name)


class Part(NamedTuple):
    """What a batch brings to the bags of one group: entities, and the bytes of their new entries without stamps."""

    group: str
    entry_bytes: int | None  # without the stamp; None: what an entity gets is one entry, however long
    entities: Sequence[str]  # distinct
    payloads: Sequence[bytes]  # as many; b"" where a bag is only read


class Spread(NamedTuple):
    """One call per shard, all shards, and the way back: within a shard bags are in the order of their entities."""

    calls: list[ShardCall]
    shards: list[int]  # of each entity of all parts
    ends: list[int]  # of each part in `shards`

    def gather(self, bags: Sequence[Iterable[T]]) -> list[list[T]]:
        """The bags of each shard, in shard order -> the bags of each part, in the order of its entities."""
        of_shard = [iter(found) for found in bags]
        found = [next(of_shard[shard]) for shard in self.shards]
        return [found[start:end] for start, end in zip([0, *self.ends], self.ends, strict=False)]

    def owners(self) -> list[list[int]]:
        """For each part, the shard of each entity."""
        return [self.shards[start:end] for start, end in zip([0, *self.ends], self.ends, strict=False)]


def spread(parts: Sequence[Part], shards: int) -> Spread:
    """Puts each entity's entries into its shard's call. The order depends on the arguments alone."""
    tags = _tags(shards)
    keys: list[list[bytes]] = [[] for _ in tags]
    payloads: list[list[bytes]] = [[] for _ in tags]
    sizes: list[list[int]] = [[] for _ in tags]
    owners = []
    for part in parts:
        group, size = part.group, part.entry_bytes
        for entity, payload in zip(part.entities, part.payloads, strict=True):
            name = f"{group}:{entity}".encode()  # as bag_name
            shard = xxh3_64_intdigest(name) % shards  # as shard_of
            owners.append(shard)
            keys[shard].append(tags[shard] + name)
            payloads[shard].append(payload)
            sizes[shard].append(size or len(payload))
    calls = list(map(ShardCall, range(shards), keys, payloads, sizes))
    return Spread(calls, owners, list(accumulate([len(part.entities) for part in parts])))


@cache
def _tags(shards: int) -> list[bytes]:
    """What the keys of each shard begin with."""
    return [b"{%d}" % shard for shard in range(shards)]
