"""The network among the kinds that `headrace train` fits."""

# ruff: noqa: E402  # what is imported below needs torch

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.support.need import need_package

need_package("torch")

from models.network import Network
from tests.support.training import NAMES, orders
from training.batch.members import Offer, fit
from training.batch.step import Limit, Step
from training.batch.table import Table


def table(n: int, seed: int) -> Table:
    x, fraud, kinds = orders(n, seed)
    rows = np.arange(n)
    return Table(
        x=x, fraud=fraud, at_ms=rows, owner=rows, types=tuple(kinds), names=NAMES, feature_hash="f" * 16, hash=""
    )


def test_a_later_slice_says_how_many_epochs_and_the_door_passes_them_on() -> None:
    told = list[Step]()
    offer = Offer(seed=1, limit=Limit.of(lambda: 0.0, None), tell=told.append, epochs=3, params={"batch": 100})
    fitted = fit("network", table(900, 6), offer, later=table(600, 8))
    assert isinstance(fitted.model, Network)
    assert {step.total for step in told} == {3}
    assert fitted.count in (1, 2, 3)
    again = fit("network", table(900, 6), replace(offer, epochs=None, params={"batch": 100, "epochs": 1}))
    assert again.count is None
    assert told[-1].total == 1
