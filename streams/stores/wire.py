"""Store calls as bytes, and replies as the protocol's words: pure, so that both directions are tested without a store.

A call is one FCALL, packed by hiredis. The payloads of a shard travel joined into one argument, with a short list of
the keys that do not bring exactly one entry of the usual size: an argument per key would cost the store .5 us each.
The price on the client: .15 us a key to pack, .3 us to take the reply apart (bench/store.py).
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from hiredis import pack_command

from streams.protocol.ports import (
    Applied,
    ApplyReply,
    At,
    Begin,
    BeginReply,
    Exceptions,
    IdLog,
    Limits,
    Open,
    Position,
    Rebind,
    ShardCall,
    Standing,
    Swap,
    Tp,
    Unknown,
    Unsaid,
    Verdict,
)
from streams.stores import keys

LIBRARY = "headrace_1"
UNKNOWN, POSITION, OPEN, REBIND = 0, 1, 2, 3  # replies of begin; headrace.lua has the same
AT, APPLIED = 0, 1  # replies of apply, with REBIND

DAY_US = 86_400_000_000

EXCEPTION = struct.Struct("<qB")  # offset, verdict
ODD = struct.Struct("<III")  # index, bytes, bytes an entry

Reply = Any  # what hiredis makes of a reply: bytes, int, None or a list of these
VERDICTS = tuple(Verdict)


def call(function: str, call_keys: Sequence[bytes], *args: bytes | int | str) -> bytes:
    """One FCALL of the library."""
    return command("FCALL", f"{LIBRARY}_{function}", len(call_keys), *call_keys, *args)


def command(*words: bytes | int | str) -> bytes:
    packed: bytes = pack_command(words)  # type: ignore[arg-type]  # hiredis takes int and str as well as bytes
    return packed


def pack_exceptions(exceptions: Exceptions) -> bytes:
    return b"".join([EXCEPTION.pack(offset, verdict) for offset, verdict in sorted(exceptions.items())])


def unpack_exceptions(blob: bytes) -> Exceptions:
    return {offset: VERDICTS[verdict] for offset, verdict in EXCEPTION.iter_unpack(blob)}


def begin(tp: Tp, shard: int, asked: Begin, limits: Limits) -> bytes:
    return call("begin", _home_keys(tp, shard), *_asked(tp, asked, limits))


def _home_keys(tp: Tp, shard: int) -> tuple[bytes, bytes, bytes]:
    return keys.home_key(shard), keys.ids_key(shard, tp), keys.verdicts_key(shard, tp)


def _asked(tp: Tp, asked: Begin, limits: Limits) -> tuple[bytes | int | str, ...]:
    offered: tuple[bytes | int, ...] = ()
    if (proposal := asked.proposal) is not None:
        offered = (proposal.last, pack_exceptions(proposal.exceptions), proposal.ids, proposal.clock_s)
    return (
        keys.partition_field(tp), tp.topic_id, "" if asked.at is None else asked.at, asked.genesis, asked.published,
        asked.tail, asked.config, asked.token, limits.dedup_offsets, limits.dedup_s, limits.verdict_offsets, *offered,
    )  # fmt: skip


def begin_reply(reply: Reply) -> BeginReply:
    kind = reply[0]
    if kind == OPEN:
        _, first, last, config, exceptions, token, recovered, mine = reply
        return Open(first, last, config.decode(), unpack_exceptions(exceptions), token, bool(recovered), bool(mine))
    if kind == POSITION:
        return Position(reply[1])
    return Rebind(reply[1].decode()) if kind == REBIND else Unknown()


def verdicts(tp: Tp, shard: int, first: int, last: int) -> bytes:
    on = (keys.home_key(shard), keys.verdicts_key(shard, tp))
    return call("verdicts", on, keys.partition_field(tp), tp.topic_id, first, last)


def verdicts_reply(reply: Reply, first: int, last: int) -> Exceptions | Unsaid:
    if not reply[0]:
        return Unsaid(reply[1], reply[2])
    return {offset: verdict for offset, verdict in unpack_exceptions(reply[1]).items() if first <= offset <= last}


def ids(tp: Tp, shard: int) -> bytes:
    return call("ids", (keys.home_key(shard), keys.ids_key(shard, tp)), keys.partition_field(tp), tp.topic_id)


def ids_reply(reply: Reply) -> IdLog | None:
    return None if reply is None else IdLog(*reply)


def ttl_table(default_ms: int, by_group: Mapping[str, int]) -> str:
    """`US;GROUP=MS;...;*=MS`: what the store looks a bag's time to live up in, and how often it is renewed.

    A day, or half of the shortest life where that is less: a bag in use never ends before what its windows may read.
    """
    stretch_us = min(DAY_US, 500 * min([default_ms, *by_group.values()]))
    return f"{stretch_us}" + "".join(f";{group}={ttl_ms}" for group, ttl_ms in by_group.items()) + f";*={default_ms}"


def odd_ones(payloads: Sequence[bytes], sizes: Sequence[int]) -> tuple[int, bytes]:
    """The usual size of an entry, and the keys that do not bring exactly one entry of that size."""
    if not payloads:
        return 1, b""
    lengths = list(map(len, payloads))
    usual = sizes[0] if sizes.count(sizes[0]) == len(sizes) else Counter(sizes).most_common(1)[0][0]
    if lengths.count(usual) == len(lengths) == sizes.count(usual):
        return usual, b""
    odd = [
        ODD.pack(place, length, size)
        for place, (length, size) in enumerate(zip(lengths, sizes, strict=True), 1)
        if length != usual or size != usual
    ]
    return usual, b"".join(odd)


def silence(*, catchup: bool, again: bool) -> int:
    """How a range is taken: 0 as usual, 1 in silence, 2 maybe so."""
    return 1 if catchup else 2 * again


def apply(
    tp: Tp, genesis: int, first: int, last: int, token: bytes, shard_call: ShardCall, silence: int, ttls: str
) -> bytes:
    usual, odd = odd_ones(shard_call.payloads, shard_call.sizes)
    shard = shard_call.shard
    return call(
        "apply", (keys.at_key(shard), *shard_call.keys),
        keys.partition_field(tp), tp.topic_id, genesis, first, last, token, silence, ttls, usual, odd,
        b"".join(shard_call.payloads),
    )  # fmt: skip


def apply_reply(reply: Reply) -> ApplyReply:
    kind = reply[0]
    if kind == APPLIED:
        return Applied(reply[1], reply[4], bool(reply[2]), bool(reply[3]))
    return At(reply[1]) if kind == AT else Rebind(reply[1].decode())


def take(tp: Tp, home: int, asked: Begin, calls: Sequence[ShardCall], limits: Limits, ttls: str) -> bytes:
    """begin and apply in one call, for a server that has all shards."""
    on = [*_home_keys(tp, home)]
    parts: list[bytes | int] = []
    for one in calls:
        on += keys.at_key(one.shard), *one.keys
        parts += 1 + len(one.keys), *odd_ones(one.payloads, one.sizes), b"".join(one.payloads)
    return call("take", on, *_asked(tp, asked, limits), ttls, *parts)


def take_reply(reply: Reply) -> tuple[BeginReply, list[ApplyReply] | None]:
    begun = begin_reply(reply[0])
    mine = isinstance(begun, Open) and begun.mine
    return begun, [apply_reply(each) for each in reply[1]] if mine else None


def swap(shard: int, swaps: Sequence[Swap], ttls: str) -> bytes:
    args = [word for one in swaps for word in (one.prefix, one.replacement, one.newest)]
    return call("swap", (keys.at_key(shard), *(one.key for one in swaps)), ttls, *args)


def where(tp: Tp, shard: int, closed: int | None) -> bytes:
    return call("where", (keys.at_key(shard),), keys.partition_field(tp), tp.topic_id, "" if closed is None else closed)


def where_reply(reply: Reply) -> Standing | None:
    if reply is None:
        return None
    topic_id, genesis, position, *more = reply
    before = (more[0].decode(), more[1]) if more and more[0] else None
    return Standing(topic_id.decode(), genesis, position, before, (more[2], more[3]) if len(more) > 2 else None)


def looked(tp: Tp, shard: int, again: tuple[int, int], upto: int) -> bytes:
    return call("looked", (keys.at_key(shard),), keys.partition_field(tp), tp.topic_id, *again, upto)


def rebase(tp: Tp, shard: int, old: Standing, genesis: int, ids: Sequence[bytes] | None) -> bytes:
    on = (keys.at_key(shard), keys.home_key(shard), keys.ids_key(shard, tp), keys.verdicts_key(shard, tp))
    partition = keys.partition_field(tp)
    return call(
        "rebase", on, partition, old.topic_id, old.position, tp.topic_id, genesis, int(ids is not None), *(ids or ())
    )
