"""What must be so before the first call: the server fits, its functions are ours, the constants are the same.

The constants of a state space decide verdicts and entries, so they are written at the first start and a worker that
has others is refused. The functions are loaded where they are absent or older, never downgraded: during a rolling
upgrade the newest worker's stay. The price: three round trips at start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib.resources import files

from streams.protocol.ports import Limits, Stop
from streams.stores import keys
from streams.stores.nodes import Node, Nodes, NoLibrary
from streams.stores.wire import LIBRARY, call, command

LEAST = {"valkey": (8, 0), "redis": (7, 2)}
POLICY = "noeviction"
WIPE = "wipe"  # a constant of every space that is "none": another value means that a wipe was cut short
SWITCH, SWITCHED = "switch", "none"  # another value: filled groups are being put in place (stores/beside.py)
LAYOUT, GROUP = "layout", "group:"  # what groups there are, and with a group's name what its bags hold

FEATURES = "HEADRACE_FEATURES"
SETTINGS = {  # what a constant is made of; any other comes from the definitions
    "shards": "HEADRACE_SHARDS",
    "money": "HEADRACE_BASE_CURRENCY, HEADRACE_RATES",
    "dedup_offsets": "HEADRACE_LIMITS__DEDUP_OFFSETS",
    "dedup_s": "HEADRACE_LIMITS__DEDUP_HOURS",
    "late_ms": "HEADRACE_LIMITS__LATE_S",
    "future_ms": "HEADRACE_LIMITS__FUTURE_S",
}


@cache
def library() -> tuple[int, str]:
    """(revision, source) of headrace.lua."""
    source = files("streams.stores").joinpath("headrace.lua").read_text(encoding="utf-8")
    found = re.search(r"^local REVISION = (\d+)", source, re.MULTILINE)
    assert found is not None
    return int(found[1]), source


def constants(shards: int, limits: Limits, further: Mapping[str, str]) -> dict[str, str]:
    """What every worker of a state space must agree on."""
    return {WIPE: "none", "shards": str(shards), **{k: str(v) for k, v in asdict(limits).items()}, **further}


def told(info: bytes) -> dict[str, str]:
    """The `name:value` lines of an INFO reply."""
    return dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)


async def check_servers(nodes: Nodes) -> None:
    for node in await nodes.primaries():
        check_server(
            node.name, told(await nodes.ask(node, "INFO", "server")), told(await nodes.ask(node, "INFO", "memory"))
        )


def check_server(name: str, server: Mapping[str, str], memory: Mapping[str, str]) -> None:
    """Raises Stop for a server that is too old, or that would throw state away when it is full."""
    kind = "valkey" if "valkey_version" in server else "redis"
    version = server[f"{kind}_version"]
    if tuple(int(part) for part in version.split(".")[:2]) < LEAST[kind]:
        least = " or ".join(f"{kind} {major}.{minor}" for kind, (major, minor) in LEAST.items())
        raise Stop(f"the store at {name} is {kind} {version}: want at least {least}")
    policy = memory.get("maxmemory_policy", POLICY)
    if policy != POLICY:
        raise Stop(
            f"the store at {name} has maxmemory-policy {policy}, which throws state away when it is full: "
            f"set it to {POLICY} (CONFIG SET maxmemory-policy {POLICY}, and in its configuration file)"
        )


async def load_library(nodes: Nodes) -> None:
    """Loads the functions on every primary that has none or older ones."""
    revision, source = library()
    for node in await nodes.primaries():
        if await revision_at(nodes, node) < revision:
            await nodes.ask(node, "FUNCTION", "LOAD", "REPLACE", source)


async def revision_at(nodes: Nodes, node: Node) -> int:
    """Of the functions that a server has; 0 where it has none."""
    try:
        return int(await nodes.ask(node, "FCALL_RO", f"{LIBRARY}_revision", 0))
    except NoLibrary:
        return 0


async def agree(nodes: Nodes, wanted: Mapping[str, str], shards: int) -> None:
    """Writes the constants where there are none; raises Stop where they are others. Shard 0 decides a race.

    Groups come last: one that is new to the space makes another layout, and is not written before that was refused.
    """
    groups = {name: value for name, value in wanted.items() if name.startswith(GROUP)}
    for asked in [{name: value for name, value in wanted.items() if name not in groups}, groups]:
        words = [word for pair in asked.items() for word in pair]
        for some in [[0], list(range(1, shards))] if asked else []:
            for reply in await nodes.trip([(shard, call("space", (keys.space_key(shard),), *words)) for shard in some]):
                if reply:
                    refuse_different(_pairs(reply), wanted, await known_of(nodes, 0))


async def known_of(nodes: Nodes, shard: int) -> dict[str, str]:
    """All constants as a shard knows them."""
    (reply,) = await nodes.trip([(shard, command("HGETALL", keys.space_key(shard)))])
    return _pairs(reply)


def _pairs(words: Sequence[bytes]) -> dict[str, str]:
    texts = [word.decode() for word in words]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def changed(known: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """The groups that are new to a space, or that want other contents; none where it does not say what it has."""
    if not any(name.startswith(GROUP) for name in known):
        return []
    return [n.removeprefix(GROUP) for n, value in wanted.items() if n.startswith(GROUP) and known.get(n) != value]


def refuse_different(known: Mapping[str, str], wanted: Mapping[str, str], space: Mapping[str, str]) -> None:
    """Raises Stop where the store knows other values; `space` is all that it knows."""
    if SWITCH in known:
        raise Stop(
            f"a backfill was cut short while it put groups in place ({known[SWITCH]}): run `headrace features "
            "backfill` again with the definitions and the names that it was begun with"
        )
    if WIPE in known:
        raise Stop(
            "the state space was being wiped and is not whole: run `headrace state rebuild --from-scratch` again"
        )
    if known:
        named = ", ".join(f"{name} {value} (here {wanted[name]})" for name, value in known.items())
        settings = " and ".join(dict.fromkeys(SETTINGS.get(name, FEATURES) for name in known))
        raise Stop(
            f"the state space was made with {named}: set this worker's back to the store's ({settings}), "
            + (f"or {_fill(changed(space, wanted))}, " if FEATURES in settings else "")
            + "or make the state anew with `headrace state rebuild --from-scratch`"
        )


def _fill(groups: Sequence[str]) -> str:
    """What gives groups their past."""
    if not groups:
        return "fill the groups that differ with `headrace features backfill NAME`"
    return f"fill the groups that differ with `headrace features backfill {' '.join(groups)}`"
