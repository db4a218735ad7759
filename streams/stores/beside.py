"""Beside: bags that are being filled lie under keys that no worker reads, until all of them are put in place.

`{n}:next:GROUP:ENTITY` is what `{n}GROUP:ENTITY` will be: in the same shard, with the same life. Putting in place is
two passes over the keys, and says in every shard's constants where it is, so that no worker starts meanwhile and
whoever is cut short goes on:

    asked:WHAT  no worker starts from now on; nothing was done yet, and whoever comes begins anew
    old:WHAT    the groups' bags of before are being deleted
    new:WHAT    none of them is left; what lies beside is being renamed
    none        done, in the same write as the constants that say what the bags hold now

WHAT names the groups with their contents. From `old` on there is no way back. The price: until then both are in the
store.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from features.group import Group
from features.grown import grown
from streams.protocol.ports import Stop
from streams.stores import admin, keys, wire
from streams.stores.prepare import SWITCH, SWITCHED, known_of
from streams.stores.valkey import ValkeyStore

AT_ONCE = 2_000  # bags in a round trip: fewer would wait for the disk more often
ASKED, OLD, NEW = "asked:", "old:", "new:"


class Beside:
    """The bags of some groups; `contents` by group, `ttls_ms` by group."""

    def __init__(self, store: ValkeyStore, contents: Mapping[str, str], ttls_ms: Mapping[str, int]) -> None:
        self._store, self._names, self._ttls_ms = store, {name.encode() for name in contents}, ttls_ms
        self._what = ",".join(f"{name}={held}" for name, held in sorted(contents.items()))

    async def switching(self) -> bool:
        """Whether an earlier run was cut short while it put these groups in place; raises Stop if it was others."""
        found = {said for said in await self._said() if said.startswith((OLD, NEW))}
        if strangers := found - {OLD + self._what, NEW + self._what}:
            raise Stop(
                f"a backfill was cut short while it put other groups in place ({', '.join(sorted(strangers))}, here "
                f"{self._what}): run it again with the definitions and the names that it was begun with"
            )
        return bool(found)

    # ---- filling

    async def clear(self) -> None:
        """Forgets what an earlier run has left."""
        await self._unlink(keys.NEXT)

    async def add(self, group: Group, added: Mapping[str, bytes]) -> None:
        """Adds entries to the bags of entities."""
        entities = list(added)
        for at in range(0, len(entities), AT_ONCE):
            some = entities[at : at + AT_ONCE]
            where = [keys.next_key(group.name, entity, self._store.shards) for entity in some]
            bags = await self._trip([(shard, wire.command("GET", key)) for shard, key in where])
            full = grown(group, bags, [added[entity] for entity in some])
            life = self._ttls_ms[group.name]
            sets = [wire.command("SET", key, bag, "PX", life) for (_, key), bag in zip(where, full, strict=True)]
            await self._trip([(shard, one) for (shard, _), one in zip(where, sets, strict=True)])

    # ---- putting in place

    async def announce(self) -> None:
        """No worker starts from now on, and nothing has changed yet."""
        await self._say({SWITCH: ASKED + self._what})

    async def withdraw(self) -> None:
        """Takes it back."""
        await self._say({SWITCH: SWITCHED})

    async def put_in_place(self, constants: Mapping[str, str]) -> int:
        """Deletes the bags of before, renames those beside, and says so; how many were renamed. May be run again."""
        if not any(one.startswith(NEW) for one in await self._said()):
            await self._say({SWITCH: OLD + self._what})
            await self._unlink(keys.BAG)
            await self._say({SWITCH: NEW + self._what})
        count = await self._rename()
        await self._say({**constants, SWITCH: SWITCHED})
        return count

    async def _rename(self) -> int:
        count = 0
        async for found in admin.scan(self._store):
            named = [(int(n[1]), key, n) for key in found if (n := keys.NEXT.fullmatch(key)) and n[2] in self._names]
            there = await self._trip([(shard, wire.command("EXISTS", key)) for shard, key, _ in named])
            some = [one for one, is_there in zip(named, there, strict=True) if is_there]
            renames = [
                (shard, wire.command("RENAME", key, b"{%d}%b:%b" % (shard, n[2], n[3]))) for shard, key, n in some
            ]
            await self._trip(renames)
            count += len(some)
        return count

    async def _unlink(self, kind: re.Pattern[bytes]) -> None:
        async for found in admin.scan(self._store):
            named = [(int(n[1]), key) for key in found if (n := kind.fullmatch(key)) and n[2] in self._names]
            await self._trip([(shard, wire.command("UNLINK", key)) for shard, key in named])

    async def _said(self) -> list[str]:
        return [(await known_of(self._store.nodes, n)).get(SWITCH, SWITCHED) for n in range(self._store.shards)]

    async def _say(self, constants: Mapping[str, str]) -> None:
        words = [word for pair in constants.items() for word in pair]
        every = range(self._store.shards)
        await self._trip([(n, wire.command("HSET", keys.space_key(n), *words)) for n in every])

    async def _trip(self, calls: Sequence[tuple[int, bytes]]) -> Sequence[wire.Reply]:
        return await self._store.trip("backfill", calls) if calls else []
