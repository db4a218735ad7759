"""The file of arrays: safetensors, byte by byte, and nothing else is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.documents import ArtefactError
from models.tensors import Array, read, written

ARRAYS: Mapping[str, Array] = {
    "a": np.array([1, 2, 250], np.uint8),
    "b": np.array([[1.5, -2.0], [0.0, 3.0]]),
    "c": np.array([7, -8], np.int32),
    "none": np.empty(0, np.float64),
}


def file(header: Any, body: bytes = b"") -> bytes:
    head = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return len(head).to_bytes(8, "little") + head + body


def entry(dtype: Any = "F64", shape: Any = (1,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def test_arrays_come_back_as_they_were() -> None:
    found = read(written(ARRAYS), "file")
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        assert found[name].tolist() == array.tolist()


def test_the_bytes_are_those_of_the_format() -> None:
    header = (
        b'{"b":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[2],"data_offsets":[8,10]}}'
    )
    header += b" " * (-len(header) % 8)
    arrays: dict[str, Array] = {"a": np.array([1, 2], np.uint8), "b": np.array([1.5])}
    body = np.array([1.5], "<f8").tobytes() + b"\x01\x02"
    assert written(arrays) == len(header).to_bytes(8, "little") + header + body


def test_arrays_begin_at_multiples_of_their_width_and_their_order_does_not_matter() -> None:
    content = written(ARRAYS)
    assert written(dict(reversed(list(ARRAYS.items())))) == content
    assert int.from_bytes(content[:8], "little") % 8 == 0


def test_big_endian_arrays_are_written_as_the_format_has_them() -> None:
    assert written({"a": np.array([1.5], ">f8")}) == written({"a": np.array([1.5], "<f8")})


def test_what_others_say_about_a_file_is_no_array() -> None:
    assert read(file({"__metadata__": {"by": "them"}, "a": entry()}, bytes(8)), "file")["a"].tolist() == [0.0]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "the file was cut"),
        (b"\x08\0\0\0\0\0\0\0{}", "the file was cut"),
        (b"\xff" * 8 + b"{}", "the file was cut"),
        (file(b"{"), "not JSON"),
        (file([]), "want a JSON object"),
        (file({"a": 1}), "a: 1: want dtype"),
        (file({"a": entry("BF16")}, bytes(8)), "want dtype"),
        (file({"a": entry(["F64"])}, bytes(8)), "want dtype"),
        (file({"a": entry() | {"more": 1}}, bytes(8)), "want dtype"),
        (file({"a": entry(shape=3)}, bytes(8)), "want one or two whole numbers"),
        (file({"a": entry(shape=[1, 1, 1])}, bytes(8)), "want one or two whole numbers"),
        (file({"a": entry(shape=[True])}, bytes(8)), "want one or two whole numbers"),
        (file({"a": entry(shape=[-1])}, bytes(8)), "want one or two whole numbers"),
        (file({"a": entry(shape=[1 << 47, 1 << 47])}, bytes(8)), r"want 158\d+ bytes"),
        (file({"a": entry(offsets=[0])}, bytes(8)), "want 8 bytes"),
        (file({"a": entry(offsets=[8, 0])}, bytes(8)), "want 8 bytes"),
        (file({"a": entry()}), "a at 0 to 8 of 0 bytes"),
        (file({"a": entry()}, bytes(9)), "1 bytes of no array at its end"),
        (file({"a": entry(offsets=[8, 16])}, bytes(16)), "want it to begin at 0"),
        (file({"a": entry(), "b": entry()}, bytes(8)), "b at 0 to 8 of 8 bytes: want it to begin at 8"),
    ],
)
def test_a_file_of_anything_else_is_refused(content: bytes, error: str) -> None:
    with pytest.raises(ArtefactError, match=f"file: .*{error}"):
        read(content, "file")


@given(at=st.integers(0, 10**6), value=st.integers(0, 255), cut=st.integers(0, 10**6))
def test_changed_bytes_are_refused_or_other_arrays(at: int, value: int, cut: int) -> None:
    content = bytearray(written(ARRAYS))
    content[at % len(content)] = value
    for some in (bytes(content), bytes(content[: cut % len(content)])):
        try:
            found = read(some, "file")
        except ArtefactError:
            continue
        assert sum(array.nbytes for array in found.values()) <= len(some)
