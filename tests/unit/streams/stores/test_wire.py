"""What is packed is what the store must be told, and a reply means what the store said."""

from __future__ import annotations

import struct

import hiredis
from hypothesis import given
from hypothesis import strategies as st

from streams.protocol.ports import (
    Applied,
    At,
    Begin,
    IdLog,
    Limits,
    Open,
    Position,
    Proposal,
    Rebind,
    ShardCall,
    Standing,
    Tp,
    Unknown,
    Unsaid,
    Verdict,
)
from streams.stores import wire

TP = Tp("orders", 7, "id")
exceptions = st.dictionaries(st.integers(0, 2**53), st.sampled_from(list(Verdict)))


def words(packed: bytes) -> list[bytes]:
    """A packed command read back, as the server does."""
    reader = hiredis.Reader()
    reader.feed(packed)
    found: list[bytes] = reader.gets()
    return found


@given(exceptions)
def test_exceptions_survive_the_wire(given_: dict[int, Verdict]) -> None:
    assert wire.unpack_exceptions(wire.pack_exceptions(given_)) == given_


def test_one_entry_of_the_usual_size_needs_no_mention() -> None:
    assert wire.odd_ones([b"x" * 32] * 3, [32] * 3) == (32, b"")
    assert wire.odd_ones([], []) == (1, b"")


def test_keys_that_bring_more_less_or_another_size_are_named() -> None:
    usual, odd = wire.odd_ones([b"x" * 32, b"x" * 64, b"", b"x" * 10], [32, 32, 32, 5])
    assert usual == 32
    assert list(struct.iter_unpack("<III", odd)) == [(2, 64, 32), (3, 0, 32), (4, 10, 5)]


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([8, 32, 40])), max_size=30))
def test_payload_usual_size_and_odd_ones_tell_every_payload(shape: list[tuple[int, int]]) -> None:
    payloads = [bytes([at % 256]) * (count * size) for at, (count, size) in enumerate(shape)]
    usual, odd = wire.odd_ones(payloads, [size for _, size in shape])
    named = {index: (length, size) for index, length, size in struct.iter_unpack("<III", odd)}
    joined, at = b"".join(payloads), 0
    for index, (payload, (_, size)) in enumerate(zip(payloads, shape, strict=True), 1):
        length, its_size = named.get(index, (usual, usual))
        assert (joined[at : at + length], its_size) == (payload, size)
        at += length


def test_an_apply_names_the_keys_of_its_shard_first() -> None:
    call = ShardCall(3, [b"{3}user:a"], [b"x" * 32], [32])
    told = words(wire.apply(TP, 5, 6, 9, b"token", call, wire.silence(catchup=True, again=False), ";*=1"))
    assert told[:5] == [b"FCALL", b"headrace_1_apply", b"2", b"{3}:at", b"{3}user:a"]
    assert told[5:] == [
        b"orders/7", b"id", b"5", b"6", b"9", b"token", b"1", b";*=1", b"32", b"", b"x" * 32,
    ]  # fmt: skip


def test_a_begin_without_records_offers_nothing() -> None:
    limits = Limits(1, 2, verdict_offsets=3)
    empty = words(wire.begin(TP, 2, Begin(8, None, None, 5, "c", b"t"), limits))
    assert empty[6:] == [b"orders/7", b"id", b"", b"5", b"8", b"-1", b"c", b"t", b"1", b"2", b"3"]
    offered = Proposal(9, {}, b"ids", 77)
    assert words(wire.begin(TP, 2, Begin(8, offered, 5, 5, "c", b"t"), limits))[17:] == [b"9", b"", b"ids", b"77"]


def test_replies_of_begin() -> None:
    exception = wire.pack_exceptions({4: Verdict.DEAD})
    assert wire.begin_reply([0]) == Unknown()
    assert wire.begin_reply([1, 12]) == Position(12)
    assert wire.begin_reply([2, 3, 9, b"c", exception, b"t", 1, 0]) == Open(
        3, 9, "c", {4: Verdict.DEAD}, b"t", recovered=True, mine=False
    )
    assert wire.begin_reply([3, b"other"]) == Rebind("other")


def test_replies_of_apply() -> None:
    assert wire.apply_reply([0, 7]) == At(7)
    assert wire.apply_reply([1, 99, 1, 0, [b"bag", None]]) == Applied(99, [b"bag", None], flag=True, repeat=False)
    assert wire.apply_reply([3, b"other"]) == Rebind("other")


def test_replies_of_the_other_calls() -> None:
    said = wire.pack_exceptions({2: Verdict.DEAD, 5: Verdict.FUTURE, 9: Verdict.CONFLICT})
    assert wire.verdicts_reply([1, said], 3, 8) == {5: Verdict.FUTURE}
    assert wire.verdicts_reply([0, 4, 9], 3, 8) == Unsaid(4, 9)
    assert wire.ids_reply(None) is None
    assert wire.ids_reply([1, 2, 3, [b"x"]]) == IdLog(1, 2, 3, [b"x"])
    assert wire.where_reply(None) is None
    assert wire.where_reply([b"id", 1, 2]) == Standing("id", 1, 2)
    assert wire.where_reply([b"id", 1, 2, b"old", 7]) == Standing("id", 1, 2, ("old", 7))
    assert wire.where_reply([b"id", 1, 2, b"old", 7, 3, 4]) == Standing("id", 1, 2, ("old", 7), (3, 4))
    assert wire.where_reply([b"id", 1, 2, b"", 0, 3, 4]) == Standing("id", 1, 2, None, (3, 4))
