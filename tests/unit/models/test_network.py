"""The network as it is served: sequences, heads, and what is refused of a file from outside."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models import onnx_file
from models.documents import ArtefactError
from models.exact import Floats, log2_line
from models.network import FILE, GRAPH_FILE, Network
from models.network_inputs import Inputs, Read
from tests.support.networks import KINDS, STEPS, attention, random_network, with_sequence

NAMES = ("amount", "count", *STEPS)
FLAT = ("amount", "idle", "count", "risk")


def orders(n: int, seed: int = 3) -> Floats:
    """(n, 8): amounts, counts and the last orders, of which some have none, one, two or all three."""
    rng = np.random.default_rng(seed)
    x: Floats = rng.lognormal(3, 1.5, (n, len(NAMES)))
    known = rng.integers(0, 4, n)
    for step in (1, 2, 3):
        at = 2 + 2 * (step - 1)
        x[known < step, at] = 0.0
        x[known < step, at + 1] = -1.0
    return x


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 8, 17, 18, 64, 255, 256, 257])
def test_a_score_with_a_sequence_does_not_depend_on_its_batch(batch: int) -> None:
    model, x = with_sequence(NAMES), orders(1500)
    parts = [model.score(x[at : at + batch]) for at in range(0, len(x), batch)]
    assert np.concatenate(parts).tobytes() == model.score(x).tobytes()


def test_what_stands_where_there_was_no_order_changes_nothing() -> None:
    model, x = with_sequence(NAMES), orders(400)
    none = x[:, 3] < 0
    assert none.any()
    changed = x.copy()
    changed[none, 2], changed[none, 3] = 777.0, -5.0
    assert model.score(changed).tobytes() == model.score(x).tobytes()


def test_no_order_before_and_a_usual_one_are_two_things() -> None:
    model, x = with_sequence(NAMES), orders(400)
    usual, none = x.copy(), x.copy()
    usual[:, 2:] = 30.0
    none[:, 2::2], none[:, 3::2] = 0.0, -1.0
    assert (model.score(usual) != model.score(none)).mean() > 0.9


def test_the_order_of_the_last_orders_matters() -> None:
    model, x = with_sequence(NAMES), orders(400)
    x[:, 2::2], x[:, 3::2] = np.random.default_rng(4).lognormal(3, 1, (400, 3)), 10.0
    turned = x[:, [0, 1, 6, 7, 4, 5, 2, 3]]
    assert (model.score(turned) != model.score(x)).mean() > 0.9


def test_an_input_beyond_what_training_saw_counts_as_the_end_of_it() -> None:
    model, x = with_sequence(NAMES), orders(2)
    x[0], x[1] = x[0], x[0]
    x[0, 0], x[1, 0] = 1e5, 1e9
    first, second = model.score(x)
    assert first == second


def test_its_heads_say_how_likely_which_kind_and_how_much() -> None:
    model = attention(FLAT)
    assert isinstance(model, Network)
    x = np.random.default_rng(1).lognormal(2, 1, (500, 4))
    heads = model.heads(x)
    assert heads["fraud"].tobytes() == model.score(x).tobytes()
    assert heads["risk"].shape == (500,)
    assert ((heads["risk"] >= 0) & (heads["risk"] <= 1)).all()
    assert heads["type"].shape == (500, len(KINDS))
    assert heads["type"].sum(axis=1) == pytest.approx(np.ones(500))
    assert {name: len(head) for name, head in model.heads(x[:0]).items()} == {"fraud": 0, "risk": 0, "type": 0}


def test_without_kinds_there_is_no_head_of_them() -> None:
    assert with_sequence(NAMES).heads(orders(3)).keys() == {"fraud", "risk"}


def test_its_base_is_the_log_odds_of_an_order_that_is_usual_in_everything() -> None:
    model = attention(FLAT)
    assert model.score(np.array([[40.0, 9.9, 2.0, 0.25]]))[0] == pytest.approx(1 / (1 + np.exp(-model.base)), abs=1e-6)


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 300])
def test_what_the_kernel_makes_of_columns_is_what_numpy_makes_of_them(n: int) -> None:
    """Bit by bit: `exact.log2_line` of what is clipped, from the usual one, in spreads."""
    inputs, x = with_sequence(NAMES).inputs, 4 * orders(n) - 20
    got = inputs.of(x)
    low, high, spread = (np.array([getattr(one, key) for one in inputs.reads]) for key in ("low", "high", "spread"))
    line = log2_line(np.clip(x[:, inputs.columns], low, high)) - log2_line(np.clip(inputs.usual, low, high))
    want = (line / spread).astype(np.float32)
    absent = x[:, [3, 5, 7]] < 0
    steps = np.where(absent[:, :, None], np.float32(0), want[:, 2:].reshape(n, 3, 2))
    told = np.concatenate([steps, absent[:, :, None]], axis=2).astype(np.float32)
    assert got.tobytes() == np.concatenate([want[:, :2], told.reshape(n, 9)], axis=1).tobytes()


def test_a_sequence_with_a_hole_is_refused() -> None:
    def step(name: str) -> Read:
        return Read(name, "recent", 1.0, 1.0, 0.0, 9.0)

    for reads in (
        [step("user_recent_gap_s_2"), step("user_recent_amount_2")],
        [step("user_recent_gap_s_1"), step("user_recent_gap_s_2"), step("user_recent_amount_2")],
    ):
        with pytest.raises(ArtefactError, match="the sequence has holes"):
            Inputs(reads, [one.name for one in reads])
    with pytest.raises(ArtefactError, match="the sequence has no gap_s"):
        Inputs([step("user_recent_amount_1")], ["user_recent_amount_1"])


# What is refused of a graph from outside.


def graph() -> onnx.ModelProto:
    return onnx.load_model_from_string(attention(FLAT).files()[GRAPH_FILE])


def loaded(model: onnx.ModelProto) -> Network:
    return Network.of(attention(FLAT).files() | {GRAPH_FILE: model.SerializeToString()}, FLAT)


def custom_operator(model: onnx.ModelProto) -> None:
    model.graph.node[-1].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))


def operator_of_onnx_runtime(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def file_system(model: onnx.ModelProto) -> None:
    model.graph.node[-1].op_type = "Loop"


def branch(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node[-1].attribute.append(helper.make_attribute("body", body))


def weights_elsewhere(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[-1]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.append(onnx.StringStringEntryProto(key="location", value="/etc/passwd"))


def own_function(model: onnx.ModelProto) -> None:
    relu = helper.make_node("Relu", ["a"], ["b"])
    model.functions.append(helper.make_function("own", "F", ["a"], ["b"], [relu], [helper.make_opsetid("", 13)]))


def sparse_weights(model: onnx.ModelProto) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "values")
    places = numpy_helper.from_array(np.zeros(1, np.int64), "places")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [4]))


def large(model: onnx.ModelProto) -> None:
    model.doc_string = "x" * onnx_file.LIMIT_BYTES


def another_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1]))


def another_width(model: onnx.ModelProto) -> None:
    heads = model.graph.node[-1]
    last = next(one for one in model.graph.initializer if one.name == heads.input[1])
    last.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(last)[:, :3].copy(), last.name))


def one_row_for_all(model: onnx.ModelProto) -> None:
    node = model.graph.node[-1]
    model.graph.node.append(helper.make_node("Slice", ["wide", "begin", "end"], [node.output[0]]))
    node.output[0] = "wide"
    for name, value in (("begin", 0), ("end", 1)):
        model.graph.initializer.append(numpy_helper.from_array(np.array([value]), name))


def no_number(model: onnx.ModelProto) -> None:
    last = model.graph.initializer[-1]
    last.CopyFrom(numpy_helper.from_array(np.full(last.dims, np.nan, np.float32), last.name))


def no_opset(model: onnx.ModelProto) -> None:
    del model.opset_import[:]


def wrong_weights(model: onnx.ModelProto) -> None:
    model.graph.initializer[-1].dims[0] += 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (custom_operator, "operators of 'com.example': want those of ONNX alone"),
        (operator_of_onnx_runtime, "operators of 'com.microsoft'"),
        (file_system, "operator 'Loop': a network here is made of Add, Concat"),
        (branch, "a graph within a node"),
        (weights_elsewhere, "external data: weights in another file"),
        (own_function, "functions of its own"),
        (sparse_weights, "sparse weights"),
        (large, "want at most 16777216"),
        (another_input, "input x tensor.*y tensor.*: want x tensor"),
        (
            another_width,
            "want heads tensor|ONNX Runtime cannot load it|two usual orders give|it fails on a usual order",
        ),
        (one_row_for_all, "two usual orders give"),
        (no_number, "two usual orders give"),
        (no_opset, "says no version of its operators"),
        (wrong_weights, "ONNX Runtime cannot load it"),
    ],
)
def test_a_graph_that_is_more_than_a_network_is_refused(change: Callable[[onnx.ModelProto], None], why: str) -> None:
    model = graph()
    assert loaded(model).reads
    change(model)
    with pytest.raises(ArtefactError, match=why):
        loaded(model)


def test_a_graph_of_another_shape_is_refused() -> None:
    other = random_network(Inputs([Read("amount", "transaction", 40.0, 2.5, 0.0, 1e5)], FLAT), KINDS)
    with pytest.raises(ArtefactError, match=r"network\.onnx: input x tensor\(float\) \['orders', 1\]: want x"):
        Network.of(attention(FLAT).files() | {GRAPH_FILE: other.files()[GRAPH_FILE]}, FLAT)


@pytest.mark.parametrize(
    ("was", "now", "why"),
    [
        (b'"part": "user"', b'"part": "users"', "part = 'users': want transaction, user, device or recent"),
        (b'"spread": 1.5', b'"spread": 0.0', "spread = 0.0: want a number above 0"),
        (b'"usual": 2.0', b'"usual": 900.0', "want low <= usual <= high"),
        (b'"low": 0.0', b'"low": NaN', "want a finite number"),
        (b'"name": "count"', b'"name": "amount"', "a column is named twice"),
        (b'"types": [', b'"types": [7, ', "want the names of the kinds of fraud"),
        (b"network 1", b"network 7", "this release reads 'network 1'"),
    ],
)
def test_a_file_of_columns_that_makes_no_sense_is_refused(was: bytes, now: bytes, why: str) -> None:
    files = attention(FLAT).files()
    assert was in files[FILE]
    with pytest.raises(ArtefactError, match=why):
        Network.of(files | {FILE: files[FILE].replace(was, now, 1)}, FLAT)


def test_every_cut_of_a_graph_is_refused() -> None:
    files = attention(FLAT).files()
    whole = files[GRAPH_FILE]
    for end in range(0, len(whole), 37):
        with pytest.raises(ArtefactError):
            Network.of(files | {GRAPH_FILE: whole[:end]}, FLAT)
