"""What the store's user may do: each command of a worker's is sent where it finds nothing and changes nothing.

An ACL lets a user in and refuses one command of many, which a worker may need only when a bag is first compacted. A
server looks at permissions before it looks at keys, so a command on a key that is not there tells. The price: HSET and
APPEND make what is not there, and are not tried.
"""

from __future__ import annotations

import asyncio
from typing import Final

from streams.protocol.ports import Stop
from streams.stores.nodes import Nodes, NoLibrary
from streams.stores.wire import command

KEY: Final = "{0}:doctor"  # in a shard's slot, of no kind that we keep
OTHER: Final = "{0}:doctor-too"
NOT_PERMITTED: Final = "does not permit it"  # in the store's line for it (streams/stores/nodes.py)
PROBES: Final[tuple[tuple[str | int, ...], ...]] = (
    ("FCALL", "headrace_doctor", 1, KEY), ("FCALL_RO", "headrace_doctor", 1, KEY), ("FUNCTION", "LOAD", ""),
    ("GET", KEY), ("MGET", KEY), ("GETEX", KEY), ("EXISTS", KEY), ("SET", KEY, "", "XX"), ("RENAME", KEY, OTHER),
    ("HGET", KEY, "x"), ("HMGET", KEY, "x"), ("HGETALL", KEY), ("PEXPIRE", KEY, 1), ("DEL", KEY), ("UNLINK", KEY),
    ("XADD", KEY, "NOMKSTREAM", "*", "x", "x"), ("XTRIM", KEY, "MAXLEN", 1), ("XRANGE", KEY, "-", "+"),
    ("XDEL", KEY, "1-1"), ("SCAN", 0, "COUNT", 1), ("RANDOMKEY",), ("MEMORY", "USAGE", KEY), ("TIME",), ("PING",),
    ("CLUSTER", "SLOTS"), ("CLIENT", "SETNAME", "headrace-doctor"),
)  # fmt: skip


async def refused(nodes: Nodes) -> list[str]:
    """The commands that the user may not use."""
    found = await asyncio.gather(*(_refuses(nodes, probe) for probe in PROBES))
    return [_name(probe) for probe, refuses in zip(PROBES, found, strict=True) if refuses]


async def _refuses(nodes: Nodes, probe: tuple[str | int, ...]) -> bool:
    try:
        await nodes.trip([(0, command(*probe))])
    except NoLibrary:  # it has looked for the function
        return False
    except Stop as stop:  # an error that is no refusal: it has looked at the key
        return NOT_PERMITTED in str(stop)
    return False


def _name(probe: tuple[str | int, ...]) -> str:
    """As ACLs write it: `fcall`, `function|load`."""
    words = 2 if probe[0] in ("FUNCTION", "CLUSTER", "CLIENT", "MEMORY") else 1
    return "|".join(str(word).lower() for word in probe[:words])
