"""Texts of reasons."""

from __future__ import annotations

import numpy as np
import pytest

from models.reasons import compile_template, plain


def rendered(text: str, **row: float) -> str:
    columns = {name: np.array([value], dtype=np.float64) for name, value in row.items()}
    return compile_template(text, row).render(columns, 1)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no hole", "no hole"),
        ("{a} of {b}", "3 of 12.50"),
        ("{a / 100:.2f} EUR", "0.03 EUR"),
        ("{b * 1000:,.0f}", "12,500"),
        ("{a / b:.1%}", "24.0%"),
        ("{max(a, b)}", "12.50"),
        ("{{literally}} {a}", "{literally} 3"),
        ("", ""),
    ],
)
def test_holes_are_filled_with_numbers_as_people_write_them(text: str, expected: str) -> None:
    assert rendered(text, a=3, b=12.5) == expected


def test_what_overflowed_is_shown_as_zero_so_that_it_can_be_written_as_json() -> None:
    assert rendered("{a * a}", a=1e300) == "0"


def test_there_is_no_minus_zero() -> None:
    assert rendered("{-a} {-a:.1f}", a=0) == "0 0.0"


@pytest.mark.parametrize(("value", "expected"), [(5.0, "5"), (-1.0, "-1"), (1.005, "1.00"), (1e15, "1000000000000000")])
def test_whole_numbers_have_no_point(value: float, expected: str) -> None:
    assert plain(value) == expected
