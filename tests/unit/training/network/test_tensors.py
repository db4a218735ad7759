"""The safetensors format: what is written is read, byte for byte as others write it, and what is cut is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from training.network.tensors import Array, TensorsError, decoded, encoded

ARRAYS: dict[str, Array] = {
    "a/weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array([1, 2], np.uint8),
    "none": np.zeros((0, 4)),
    "number": np.array(7, np.int64),
}


def test_what_is_written_is_read() -> None:
    found, about = decoded(encoded(ARRAYS, {"what": "this"}), "f")
    assert about == {"what": "this"}
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


def test_the_layout_is_that_of_the_format() -> None:
    """Length, header, arrays: the example of the format's own description."""
    file = encoded({"test": np.array([[1.0, 2.0]], np.float32)}, {})
    size = int.from_bytes(file[:8], "little")
    header = json.loads(file[8 : 8 + size])
    assert header == {"__metadata__": {}, "test": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}}
    assert size % 8 == 0
    assert file[8 + size :] == np.array([1.0, 2.0], "<f4").tobytes()


def test_every_cut_is_refused() -> None:
    whole = encoded(ARRAYS, {})
    for end in range(len(whole)):
        with pytest.raises(TensorsError, match="f: "):
            decoded(whole[:end], "f")


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"{}x",
        b'{"a": 1}',
        b'{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]}}',
        b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]}}',
        b'{"a": {"dtype": "OBJ", "shape": [1], "data_offsets": [0, 4]}}',
    ],
)
def test_a_header_that_does_not_fit_is_refused(header: bytes) -> None:
    with pytest.raises(TensorsError):
        decoded(len(header).to_bytes(8, "little") + header + bytes(4), "f")
