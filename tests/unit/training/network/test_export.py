"""What ONNX Runtime answers is what torch answers, whatever the network is built of."""

# ruff: noqa: E402  # what is imported below needs torch

from __future__ import annotations

import numpy as np
import pytest

from tests.support.need import need_package

need_package("torch")

from models.network import Network
from models.network_inputs import Inputs
from tests.support.training import NAMES, orders
from training.fits.network import weights_of
from training.network.columns import learn
from training.network.config import Config
from training.network.export import graph_of
from training.network.framework import torch
from training.network.loop import logits
from training.network.net import Net
from training.network.rows import inputs_in_blocks

SMALL = Config(width=8, hidden=12, attention_heads=2)


def nets(kinds: tuple[str, ...], names: tuple[str, ...], config: Config) -> tuple[Net, Network, Inputs]:
    """A net of random weights, and what is served of it."""
    x, _, _ = orders()
    inputs = learn(x[:, [NAMES.index(name) for name in names]], names)
    torch.manual_seed(3)
    net = Net(inputs.shape, len(kinds), config).eval()
    return net, Network(graph_of(weights_of(net, config), inputs.shape), inputs, kinds, 100.0), inputs


@pytest.mark.parametrize("config", [SMALL, Config()], ids=["small", "default"])
@pytest.mark.parametrize("kinds", [(), ("card",), ("card", "merchant", "account")], ids=len)
@pytest.mark.parametrize(
    "names",
    [NAMES, NAMES[:5], NAMES[:1], ("user_mean_30d", "device_distinct_users_7d"), ("order_amount", *NAMES[5:])],
    ids=["all", "no-sequence", "one-column", "no-transaction", "only-a-sequence-beside"],
)
def test_onnx_runtime_answers_what_torch_answers(
    names: tuple[str, ...], kinds: tuple[str, ...], config: Config
) -> None:
    net, served, inputs = nets(kinds, names, config)
    x = orders(5000, seed=9)[0][:, [NAMES.index(name) for name in names]]
    theirs = logits(net, inputs_in_blocks(x, inputs), "cpu")
    heads = served.heads(x)
    assert heads["fraud"] == pytest.approx(1 / (1 + np.exp(-theirs[:, 0])), abs=1e-5)
    assert heads["risk"] == pytest.approx(1 / (1 + np.exp(-theirs[:, 1])), abs=1e-5)
    assert heads.keys() == ({"fraud", "risk", "type"} if kinds else {"fraud", "risk"})
    if kinds:
        share = np.exp(theirs[:, 2:]) / np.exp(theirs[:, 2:]).sum(axis=1, keepdims=True)
        assert heads["type"] == pytest.approx(share, abs=1e-5)


def test_the_weight_of_frauds_in_the_loss_is_taken_out_of_the_odds() -> None:
    net, even, inputs = nets((), NAMES, SMALL)
    weighted = Config(width=8, hidden=12, attention_heads=2, fraud_weight=10.0)
    taken = Network(graph_of(weights_of(net, weighted), inputs.shape), inputs, (), 100.0)
    assert taken.base == pytest.approx(even.base - np.log(10), abs=1e-5)


def test_the_same_weights_give_the_same_bytes() -> None:
    assert nets(("card",), NAMES, SMALL)[1].files() == nets(("card",), NAMES, SMALL)[1].files()
