"""To ONNX: the network's graph, node by node, with its weights; what ONNX Runtime runs is what is written here.

The graph is made with ONNX's own builder and needs no torch: torch's exporters want a package more, and give a graph
that changes with their release. The names of the weights are those of net.py's `state_dict`. The same weights give the
same bytes. OPSET is the oldest that has what is used, so that an older ONNX Runtime reads it too.

The price: the network is written twice, here and in net.py; a test holds the two equal within 1e-5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.network import HEADS, INPUT
from models.network_inputs import PARTS, Shape, Singles

OPSET: Final = 13
IR_VERSION: Final = 7


class _Graph:
    """Nodes and weights as they are added."""

    def __init__(self, weights: Mapping[str, Singles]) -> None:
        self.nodes, self.tensors, self.weights = list[Any](), dict[str, Any](), weights

    def add(self, operator: str, *inputs: str, to: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [to], name=to, **attributes))
        return to

    def weight(self, name: str, *, turned: bool = False) -> str:
        value = self.weights[name]
        self.tensors[name] = numpy_helper.from_array(np.ascontiguousarray(value.T if turned else value, "<f4"), name)
        return name

    def numbers(self, name: str, values: Sequence[int]) -> str:
        self.tensors[name] = numpy_helper.from_array(np.array(values, "<i8"), name)
        return name

    def linear(self, layer: str, x: str, *, to: str) -> str:
        """(m, a) -> (m, b), with its bias."""
        return self.add("Gemm", x, self.weight(f"{layer}.weight", turned=True), self.weight(f"{layer}.bias"), to=to)

    def turned(self, layer: str, x: str, *, to: str) -> str:
        """(B, m, a) -> (B, m, b), without a bias."""
        return self.add("MatMul", x, self.weight(f"{layer}.weight", turned=True), to=to)

    def shaped(self, x: str, *sizes: int, to: str) -> str:
        return self.add("Reshape", x, self.numbers(f"{to}.sizes", sizes), to=to)

    def encoder(self, layer: str, x: str, *, to: str) -> str:
        """(m, inputs) -> (m, d)"""
        hidden = self.add("Relu", self.linear(f"{layer}.first", x, to=f"{layer}.hidden"), to=f"{layer}.relu")
        return self.linear(f"{layer}.second", hidden, to=to)

    def seen(self, asking: str, telling: str, *, to: str) -> str:
        """(B, q, d), (B, s, d) -> (B, q, d): the tokens that tell, as far as each that asks looks at them."""
        across = self.add("Transpose", telling, to=f"{to}.across", perm=[0, 2, 1])  # (B, d, s)
        looks = self.add("Softmax", self.add("MatMul", asking, across, to=f"{to}.looks"), to=f"{to}.shares", axis=-1)
        return self.add("MatMul", looks, telling, to=to)


def graph_of(weights: Mapping[str, Singles], shape: Shape) -> bytes:
    """The ONNX file of a net with these weights (numpy, by the names of its `state_dict`)."""
    g = _Graph(weights)
    width, kinds = weights["fusion.out.bias"].shape[0], weights["heads.bias"].shape[0] - 2
    heads = weights["fusion.ask.bias"].shape[0] // width
    parts = [part for part in PARTS if shape.parts[part]]
    split = [*parts, *(["recent"] if shape.steps else [])]
    sizes = [*(shape.parts[part] for part in parts), *([shape.recent] if shape.steps else [])]
    g.nodes.append(helper.make_node("Split", [INPUT, g.numbers("sizes", sizes)], split, name="split", axis=1))
    tokens = [g.encoder(f"encoders.{part}", part, to=f"{part}.token") for part in parts]  # each (B, d)
    together = g.add("Concat", *tokens, to="tokens", axis=1)  # (B, parts d)
    telling = g.shaped(together, 0, len(parts), width, to="telling")  # (B, parts, d)
    if shape.steps:
        orders = _orders(g, shape, width)  # (B, T, d)
        telling = g.add("Concat", telling, orders, to="telling.all", axis=1)  # (B, parts + T, d)
    asked = g.shaped(g.linear("fusion.ask", tokens[0], to="asking"), 0, heads, width, to="asked")  # (B, H, d)
    seen = g.shaped(g.seen(asked, telling, to="seen"), 0, heads * width, to="seen.flat")  # (B, H d)
    attended = g.linear("fusion.out", seen, to="attended")  # (B, d)
    fused = g.linear("fused", g.add("Concat", together, attended, to="all", axis=1), to="fused")  # (B, h)
    g.linear("heads", g.add("Relu", fused, to="fused.relu"), to=HEADS)  # (B, 2 + K)
    return _file(g, shape, kinds)


def _orders(g: _Graph, shape: Shape, width: int) -> str:
    each = g.shaped("recent", -1, shape.channels + 1, to="orders.each")  # (B T, c)
    tokens = g.shaped(g.encoder("orders.order", each, to="orders.told"), -1, shape.steps, width, to="orders.tokens")
    placed = g.add("Add", tokens, g.weight("orders.place"), to="orders.placed")  # (B, T, d)
    seen = g.seen(g.turned("orders.ask", placed, to="orders.asking"), placed, to="orders.seen")
    return g.add("Add", placed, g.turned("orders.out", seen, to="orders.out"), to="orders")


def _file(g: _Graph, shape: Shape, kinds: int) -> bytes:
    graph = helper.make_graph(
        g.nodes,
        "headrace network",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["orders", shape.width])],
        [helper.make_tensor_value_info(HEADS, TensorProto.FLOAT, ["orders", 2 + kinds])],
        list(g.tensors.values()),
    )
    model = helper.make_model(
        graph, producer_name="headrace", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
