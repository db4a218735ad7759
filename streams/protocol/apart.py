"""A range taken in two calls: what `Store.take` comes to where one call cannot reach every shard."""

from __future__ import annotations

from collections.abc import Sequence

from streams.protocol.ports import ApplyReply, Begin, BeginReply, Open, ShardCall, Store, Tp


async def take_apart(
    store: Store, tp: Tp, asked: Begin, calls: Sequence[ShardCall]
) -> tuple[BeginReply, Sequence[ApplyReply] | None]:
    """begin, then apply of what was opened as offered."""
    begun = await store.begin(tp, asked)
    if not (isinstance(begun, Open) and begun.mine):
        return begun, None
    bounds = (begun.first, begun.last)
    return begun, await store.apply(tp, asked.genesis, *bounds, begun.token, calls, again=begun.recovered)
