"""How many keys each group has and what they take, from a few keys drawn at random.

A server tells at once how many keys it has, and draws one in a microsecond; so a hundred of each server tell how the
keys are shared out, and what those of a group take on average. Looks add up, older ones fading, so that a group with a
fiftieth of the keys is known to a third or so. The price: what is too rare to be drawn is not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streams.stores import keys, wire
from streams.stores.nodes import Node
from streams.stores.valkey import ValkeyStore

DRAWN = 100  # keys of a server at a look
KEPT = 0.8  # of what was known before, at each look


@dataclass(frozen=True, slots=True)
class Drawn:
    """Some keys of one server: the group of each (None: no bag) with the bytes that it takes."""

    server: str
    keys: int  # that the server has
    sizes: Sequence[tuple[str | None, int]]


async def draw(store: ValkeyStore, count: int = DRAWN) -> list[Drawn]:
    """Keys of each server at random, the same one maybe twice. Two round trips to each."""
    return [await _draw(store, node, count) for node in await store.nodes.primaries()]


async def _draw(store: ValkeyStore, node: Node, count: int) -> Drawn:
    size, *found = await store.nodes.ask_each(node, [wire.command("DBSIZE"), *[wire.command("RANDOMKEY")] * count])
    drawn = [key for key in found if key is not None]
    asked = [wire.command("MEMORY", "USAGE", key, "SAMPLES", 0) for key in drawn]
    sizes = await store.nodes.ask_each(node, asked) if asked else []
    return Drawn(node.name, size, [(_group(key), taken or 0) for key, taken in zip(drawn, sizes, strict=True)])


def _group(key: bytes) -> str | None:
    bag = keys.BAG.fullmatch(key)
    return bag[2].decode(errors="replace") if bag else None


@dataclass(slots=True)
class Census:
    """What looks came to so far."""

    _known: dict[str, dict[str | None, tuple[float, float]]] = field(default_factory=dict)  # by server and group

    def look(self, drawn: Sequence[Drawn]) -> Mapping[str, tuple[float, float]]:
        """Adds a look; (keys, bytes) of each group that was drawn ever."""
        found: dict[str, tuple[float, float]] = {}
        for one in drawn:
            known = self._known[one.server] = _with(self._known.get(one.server, {}), one.sizes)
            every = sum(count for count, _ in known.values())
            for group, (count, size) in known.items():
                if group is not None:
                    share = one.keys / every
                    keys_, bytes_ = found.get(group, (0.0, 0.0))
                    found[group] = keys_ + count * share, bytes_ + size * share
        return found


def _with(
    known: Mapping[str | None, tuple[float, float]], sizes: Sequence[tuple[str | None, int]]
) -> dict[str | None, tuple[float, float]]:
    """What was known, faded, and what was drawn now: keys and bytes by group."""
    found = {group: (count * KEPT, size * KEPT) for group, (count, size) in known.items()}
    for group, size in sizes:
        count, before = found.get(group, (0.0, 0.0))
        found[group] = count + 1, before + size
    return found
