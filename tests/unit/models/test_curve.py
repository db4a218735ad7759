"""What the kernel does to scores on the spot is what models/exact.py and numpy would, and nothing in it is fused."""

from __future__ import annotations

import platform
import re
from typing import Any, Final

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import exact
from models.kernel import curve, leaves, shares

LOGITS = st.lists(st.floats(allow_nan=False), min_size=1, max_size=50)


@settings(deadline=None)
@given(values=LOGITS)
def test_risks_are_the_curve_rounded_as_numpy_rounds(values: list[float]) -> None:
    logits = np.array(values)
    risk = logits.copy()
    curve.risks(risk, 1.0)
    assert risk.tobytes() == np.round(exact.logistic(logits), 6).tobytes()


def test_risks_are_the_same_all_along_the_curve() -> None:
    logits = np.linspace(-45, 45, 200_001)
    risk = logits * 2.0
    curve.risks(risk, 0.5)
    assert risk.tobytes() == np.round(exact.logistic(logits), 6).tobytes()


def test_halved_is_a_power_of_one_half() -> None:
    values = np.array([0.0, 1.0, 2.0, 0.5, 3.7, 40.0, 1e9, 1e300])
    halved = values.copy()
    curve.halved(halved, 0.25)
    assert halved.tolist() == [round(2.0 ** -(value / 4), 6) for value in values.tolist()]


KERNEL: Final[dict[str, tuple[Any, Any]]] = {
    "logistic": (curve.logistic_of, curve._logistic_of),
    "log": (curve.log_of, curve._log_of),
    "softplus": (curve.softplus_of, curve._softplus_of),
    "risks": (curve.risks, curve._risks),
    "halved": (curve.halved, curve._halved),
    "sums": (leaves.sums, leaves._sums),
    "shares": (shares.shares, shares._shares),
    "link": (shares.link, shares._link),
}


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads the instructions of x86-64")
@pytest.mark.parametrize("name", KERNEL)
def test_no_multiplication_is_fused_with_an_addition(name: str) -> None:
    """A fused one rounds once where two round twice, on those processors alone that have it: other bytes."""
    kept, function = KERNEL[name]
    (signature,) = kept.signatures
    code = numba.njit(signature, nogil=True, error_model="numpy")(function).inspect_asm(signature)
    assert re.search(r"\bv?(mul|add|div)[sp]d", code)
    assert not re.search(r"\bvfn?m(add|sub)", code)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_curves_keep_the_shape_that_they_are_given(shape: tuple[int, ...]) -> None:
    x = np.full(shape, 0.25)
    for of in (exact.logistic, exact.log, exact.logit, exact.softplus):
        assert of(x).shape == shape
        assert of(x.copy(order="F")).tolist() == of(x).tolist()
