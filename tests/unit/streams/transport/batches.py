"""Builders of what a broker would answer: raw record batches as bytes, with chosen offsets, markers and producers."""

import struct
from collections.abc import Sequence

from aiokafka.record.default_records import (  # type: ignore[import-untyped]  # it has no types
    DefaultRecordBatchBuilder,
)

BATCH_OVERHEAD = 12  # base offset and length come before what the length counts


def batch(
    first: int,
    values: Sequence[bytes],
    *,
    holes: Sequence[int] = (),
    producer: int = -1,
    transactional: bool = False,
    control: bytes | None = None,
    timestamp_ms: int = 1_000,
) -> bytes:
    """Records from offset `first` on; `holes` are relative offsets that compaction removed."""
    builder = DefaultRecordBatchBuilder(2, 0, int(transactional), producer, 0, 0, 10_000_000)
    keys = [control] if control is not None else [b"k"] * len(values)
    for i, value in enumerate(values):
        if i not in holes:
            builder.append(i, timestamp_ms, keys[min(i, len(keys) - 1)], value, [])
    raw = bytearray(builder.build())
    struct.pack_into(">q", raw, 0, first)
    struct.pack_into(">i", raw, 23, len(values) - 1)  # last offset delta: compaction keeps it
    if control is not None:
        (attributes,) = struct.unpack_from(">h", raw, 21)
        struct.pack_into(">h", raw, 21, attributes | 0x20)
    return _signed(raw)


def marker(offset: int, producer: int, *, commit: bool) -> bytes:
    """The control batch that ends a transaction."""
    key = struct.pack(">hh", 0, 1 if commit else 0)
    return batch(offset, [struct.pack(">hi", 0, 0)], producer=producer, transactional=True, control=key)


def _signed(raw: bytearray) -> bytes:
    from aiokafka.record.util import calc_crc32c  # type: ignore[import-untyped]  # it has no types

    struct.pack_into(">I", raw, 17, calc_crc32c(memoryview(raw)[21:]))
    return bytes(raw)
