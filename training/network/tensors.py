"""Weights on disk: the safetensors format, written and read here.

The format is eight bytes of length, a JSON header that names each array with its type, shape and place, and the bytes
of the arrays one behind the other (https://github.com/huggingface/safetensors, "Format"). Nothing of it is code, and
what does not fit together is refused. The price: three types of number, which is what our checkpoints hold.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

TYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "I64": np.dtype("<i8"),
    "U8": np.dtype("<u1"),
}
_NAMES: Final = {kind: name for name, kind in TYPES.items()}
_ALIGNED: Final = 8  # bytes: where the arrays begin
_LONGEST_HEADER: Final = 1 << 24


class TensorsError(ValueError):
    """A file that is no safetensors file, or not whole."""


def encoded(arrays: Mapping[str, Array], about: Mapping[str, str]) -> bytes:
    """The file; the same arrays give the same bytes. `about` goes into the header."""
    header: dict[str, Any] = {"__metadata__": dict(about)}
    end, parts = 0, list[bytes]()
    for name, array in arrays.items():
        parts.append(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())
        begin, end = end, end + len(parts[-1])
        kind = _NAMES[array.dtype.newbyteorder("<")]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [begin, end]}
    written = json.dumps(header).encode()
    written += b" " * (-len(written) % _ALIGNED)
    return b"".join([len(written).to_bytes(8, "little"), written, *parts])


def decoded(file: bytes, where: str) -> tuple[dict[str, Array], dict[str, str]]:
    """Arrays and what is said about them; raises TensorsError."""
    size = int.from_bytes(file[:8], "little")
    if len(file) < 8 or size > min(_LONGEST_HEADER, len(file) - 8):
        raise TensorsError(f"{where}: {len(file)} bytes: no safetensors file, or cut short")
    try:
        header = json.loads(file[8 : 8 + size])
        about = dict(header.pop("__metadata__", {}))
        arrays = {name: _array(file, 8 + size, **entry) for name, entry in header.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise TensorsError(f"{where}: no safetensors file, or cut short: {error}") from error
    return arrays, about


def _array(file: bytes, start: int, *, dtype: str, shape: list[int], data_offsets: list[int]) -> Array:
    kind, (begin, end) = TYPES[dtype], data_offsets
    if not 0 <= begin <= end <= len(file) - start or end - begin != math.prod(shape) * kind.itemsize:
        raise ValueError(f"{shape} of {dtype} does not lie at {begin} to {end} of {len(file) - start}")
    flat: Array = np.frombuffer(file, kind, math.prod(shape), start + begin)
    return flat.reshape(shape)
