"""Tensors: named arrays in one file, in the safetensors format, written and read by hand.

    8 bytes     length of the header, little endian
    header      JSON: {"name": {"dtype": "F64", "shape": [3], "data_offsets": [0, 24]}, ...}, padded with spaces
    the rest    the arrays, one after the other, little endian, row by row

The format can hold nothing that runs, and it is short enough to be read here with every check: each byte belongs to one
array, and sizes are those of the shapes. Arrays lie by falling width and then by name, so the same arrays are the same
bytes, and each begins at a multiple of its width.
The price: no compression; deflate would take a forest down to a third.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.documents import ArtefactError, object_of

Array = npt.NDArray[Any]

DTYPES: Final = {
    "F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1", "U8": "|u1",
}  # fmt: skip
_NAMES: Final = {np.dtype(kind): name for name, kind in DTYPES.items()}
_HEAD: Final = 8
_MOST_HEADER: Final = 1 << 20
_KEYS: Final = {"dtype", "shape", "data_offsets"}


def written(arrays: Mapping[str, Array]) -> bytes:
    """The file of these arrays."""
    header, parts, end = {}, [], 0
    for name in sorted(arrays, key=lambda name: (-arrays[name].itemsize, name)):
        array = arrays[name]
        content = array.astype(array.dtype.newbyteorder("<")).tobytes()
        begin, end = end, end + len(content)
        kind = _NAMES[array.dtype.newbyteorder("<")]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [begin, end]}
        parts.append(content)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % _HEAD)
    return b"".join([len(head).to_bytes(_HEAD, "little"), head, *parts])


def read(content: bytes, where: str) -> dict[str, Array]:
    """The arrays of a file, as views of it; raises ArtefactError."""
    length = int.from_bytes(content[:_HEAD], "little")
    if len(content) < _HEAD or length > min(_MOST_HEADER, len(content) - _HEAD):
        raise ArtefactError(
            f"{where}: {len(content)} bytes, a header of {length}: the file was cut, or is of no tensors"
        )
    header = object_of(content[_HEAD : _HEAD + length], where)
    body = memoryview(content)[_HEAD + length :]
    header.pop("__metadata__", None)  # words of whoever wrote it
    found, end = {}, 0
    for name, about in sorted(header.items(), key=_begin):
        dtype, shape, begin, after = _checked(name, about, where)
        if begin != end or after > len(body):
            raise ArtefactError(
                f"{where}: {name} at {begin} to {after} of {len(body)} bytes: want it to begin at {end}"
            )
        found[name], end = np.frombuffer(body[begin:after], dtype).reshape(shape), after
    if end != len(body):
        raise ArtefactError(f"{where}: {len(body) - end} bytes of no array at its end")
    return found


def _begin(item: tuple[str, Any]) -> tuple[int, int]:
    offsets = item[1].get("data_offsets") if isinstance(item[1], dict) else None
    whole = isinstance(offsets, list) and len(offsets) == 2 and all(type(offset) is int for offset in offsets)
    return (offsets[0], offsets[1]) if whole and offsets is not None else (0, 0)


def _checked(name: str, about: Any, where: str) -> tuple[str, tuple[int, ...], int, int]:
    """Type, shape and place of an array, where they agree."""
    if not isinstance(about, dict) or set(about) != _KEYS or str(about["dtype"]) not in DTYPES:
        raise ArtefactError(f"{where}: {name}: {about!r}: want dtype ({', '.join(DTYPES)}), shape and data_offsets")
    shape, offsets = about["shape"], about["data_offsets"]
    for numbers in (shape, offsets):
        whole = isinstance(numbers, list) and all(type(one) is int and 0 <= one < 1 << 48 for one in numbers)
        if not whole or len(numbers) > 2:
            raise ArtefactError(f"{where}: {name}: {numbers!r}: want one or two whole numbers")
    dtype = DTYPES[str(about["dtype"])]
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if len(offsets) != 2 or offsets[1] - offsets[0] != size:
        raise ArtefactError(f"{where}: {name}: {offsets} for {shape} of {about['dtype']}: want {size} bytes")
    return dtype, tuple(shape), offsets[0], offsets[1]
