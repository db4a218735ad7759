"""Numbers are written from arrays as msgspec writes them from objects, but for the sign of an exponent."""

import msgspec
import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from features.columns import Floats2d
from features.text import json_rows

ODD = [[0.0, -0.0, 1.0, -1.0, 0.001, -0.001, 0.0005, 0.1 + 0.2, 5e-324, -1e300, 1e15, 1e16, 1e22, 2.0**53]]
EDGES = [[999.999, 1000.0, -1000.001, 999999.5, 1e6, 123456789012.345, 999999999999.999, 1e12, 1000000000000.001]]


def written(rows: Floats2d) -> list[bytes]:
    return [msgspec.json.encode(row).replace(b"e+", b"e") for row in json_rows(rows)]


def expected(rows: Floats2d) -> list[bytes]:
    return [msgspec.json.encode(row) for row in rows.tolist()]


def numbers() -> st.SearchStrategy[float]:
    """Whole ones, those with few decimals, and any."""
    decimals = st.builds(lambda steps, places: steps / 10**places, st.integers(-(10**16), 10**16), st.integers(0, 7))
    return st.one_of(decimals, st.floats(allow_nan=False, allow_infinity=False))


@given(arrays(np.float64, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9), elements=numbers()))
@example(np.array(ODD))
@example(np.array(EDGES))
def test_each_row_is_the_shortest_text_that_means_its_numbers(rows: Floats2d) -> None:
    assert written(rows) == written(np.asfortranarray(rows)) == expected(rows)


def test_every_number_up_to_a_thousand_is_written_with_its_three_decimals() -> None:
    rows = np.arange(-1_000_000, 1_000_000).reshape(1000, -1) / 1000
    assert written(rows) == expected(rows)
