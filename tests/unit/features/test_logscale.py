from __future__ import annotations

import numpy as np

from features.logscale import place


def test_a_place_is_the_number_of_rungs_at_or_below_the_amount_in_exact_arithmetic() -> None:
    amounts = [*range(2_000), 10**6 - 1, 10**6, 2**40 - 1, 2**40, 2**40 + 1, 2**53]
    assert place(np.array(amounts)).tolist() == [(a**32).bit_length() if a > 0 else 0 for a in amounts]


def test_amounts_of_nothing_and_less_have_place_0() -> None:
    assert place(np.array([0, -1, -(10**9)])).tolist() == [0, 0, 0]


def test_doubling_an_amount_raises_its_place_by_32() -> None:
    amounts = np.array([3, 100, 12_345, 10**9])
    assert (place(amounts * 2) - place(amounts)).tolist() == [32] * 4


def test_every_place_fits_into_an_entry() -> None:
    assert place(np.array([2**62])).item() < 1 << 12
