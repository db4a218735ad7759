"""Text: rows of numbers as JSON, straight from the array: no number becomes an object of Python's.

The price: exponents get their sign (1e+16); otherwise the bytes are those that msgspec writes.
"""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
import orjson

from features.columns import Floats2d
from features.packed import kernel


def json_rows(rows: Floats2d) -> list[msgspec.Raw]:
    """(n, d) finite -> each row as a JSON array, to stand for the numbers in a record that is to be encoded."""
    rows = np.ascontiguousarray(rows)
    long = orjson.dumps(kernel().long_numbers(rows), option=orjson.OPT_SERIALIZE_NUMPY)
    out, ends = kernel().write_rows(rows, np.frombuffer(long, np.uint8))
    text, bounds = memoryview(out), [0, *ends.tolist()]
    return [msgspec.Raw(text[start:end]) for start, end in pairwise(bounds)]
