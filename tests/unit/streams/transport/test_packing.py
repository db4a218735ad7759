"""Outputs into record batches: every record once, in order, in its partition."""

from typing import Any

from schemas.ids import partition_for
from streams.transport.aio import BatchBuilder, MemoryRecords
from streams.transport.output import Output
from streams.transport.packing import Parcel, pack


def contents(parcel: Parcel) -> list[list[Any]]:
    """The records of each builder of a parcel."""
    found = []
    for builder in parcel.builders:
        records = MemoryRecords(bytes(builder._build()))
        found.append([record for _ in iter(records.has_next, False) for record in records.next_batch()])
    return found


def small_builder() -> Any:
    return BatchBuilder(1_000, 0)


def packed(*outputs: Output, partitions: int = 4) -> dict[tuple[str, int], list[Any]]:
    parcels = pack(outputs, dict.fromkeys({o.topic for o in outputs}, partitions), small_builder, now_ms=5)
    return {(p.topic, p.partition): [record for records in contents(p) for record in records] for p in parcels}


def test_a_full_builder_loses_no_record() -> None:
    outputs = [Output("fraud", b"k", b"%d" % i * 50, partition=0) for i in range(100)]
    (parcel,) = pack(outputs, {"fraud": 1}, small_builder, now_ms=5)
    assert len(parcel.builders) > 1
    assert [r.value for records in contents(parcel) for r in records] == [o.value for o in outputs]
    assert [b.record_count() for b in parcel.builders] == [len(records) for records in contents(parcel)]


def test_a_record_larger_than_a_builder_travels_alone() -> None:
    (records,) = packed(
        Output("fraud", b"k", b"a", partition=0), Output("fraud", b"k", b"b" * 5_000, partition=0)
    ).values()
    assert [len(r.value) for r in records] == [1, 5_000]


def test_a_key_goes_where_javas_default_partitioner_sends_it() -> None:
    keys = [b"user-%d" % i for i in range(50)]
    got = packed(*[Output("fraud", key, b"v") for key in keys])
    assert {r.key: p for (_, p), records in got.items() for r in records} == {k: partition_for(k, 4) for k in keys}


def test_a_named_partition_is_obeyed_beside_keys() -> None:
    got = packed(Output("fraud", b"u", b"named", partition=3), Output("fraud", b"u", b"keyed"))
    assert [r.value for r in got["fraud", 3]][:1] == [b"named"]
    assert b"keyed" in [r.value for r in got["fraud", partition_for(b"u", 4)]]


def test_topics_are_kept_apart_and_order_is_kept_within_a_partition() -> None:
    got = packed(*[Output("ab"[i % 2], None, b"%d" % i, partition=0) for i in range(10)])
    assert [r.value for r in got["a", 0]] == [b"0", b"2", b"4", b"6", b"8"]
    assert [r.value for r in got["b", 0]] == [b"1", b"3", b"5", b"7", b"9"]


def test_headers_tombstones_and_timestamps_travel() -> None:
    (records,) = packed(
        Output("t", b"k", None, (("dlq-reason", b"empty"),), partition=0, timestamp_ms=7),
        Output("t", None, b"v", partition=0),
    ).values()
    assert [(r.key, r.value, list(r.headers), r.timestamp) for r in records] == [
        (b"k", None, [("dlq-reason", b"empty")], 7),
        (None, b"v", [], 5),
    ]


def test_no_outputs_are_no_parcels() -> None:
    assert pack([], {"t": 4}, small_builder, now_ms=5) == []
