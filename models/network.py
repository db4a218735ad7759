"""The attention-fusion network, served by ONNX Runtime: risk of fraud, kind of fraud, and money at risk of an order.

Transaction, user with the last orders, and device signals each go through an encoder of their own; the transaction then
asks the others (cross-attention), and three heads answer (docs/network.md has the shapes, training/network/net.py the
network). Here is what serves it: columns in (network_inputs.py), one session of ONNX Runtime on the caller's thread,
and out come, of each order,
    fraud  log-odds of fraud: the score is their logistic curve (exact.py)
    risk   log-odds of the share of a large order's money that is at stake: 1 is a certain fraud of `large` or more
    type   which kind of fraud, if it is one; none where it was trained without kinds

The file of weights may come from anywhere (onnx_file.py says what it may hold). Scores have the same bytes whatever the
batch: ONNX Runtime's kernels add up a row's products in one order however many rows there are, and the checks of every
scorer hold it to that on the machine they run on. The price: a last bit may differ between kinds of CPU, so that in
rare cases a score does by .000001; and contributions are all 0, for attention does not add up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # ships no types

from models import onnx_file
from models.documents import ArtefactError, file_of, number, object_of, with_format
from models.exact import Floats
from models.kernel.curve import risks
from models.network_inputs import Inputs, inputs_of
from models.scorer import checked_width

FORMAT: Final = "network 1"  # of network.json: raise it when the same files come to mean another score
FILE: Final = "network.json"
GRAPH_FILE: Final = "network.onnx"
INPUT: Final = "x"
HEADS: Final = "heads"  # (n, 2 + kinds): fraud, risk, kinds
BLOCK: Final = 256  # rows at a time: what they need stays in the second cache level


class Network:
    """A trained network, bound to the vector whose columns it reads. A value: nothing changes it after construction."""

    kind: ClassVar[str] = "network"
    additive: ClassVar[bool] = False
    __slots__ = ("_graph", "_session", "base", "inputs", "large", "reads", "types", "usual")

    def __init__(self, graph: bytes, inputs: Inputs, types: Sequence[str], large: float) -> None:
        """`types` name the kinds of fraud; `large` is the amount that `risk` calls 1. Raises ArtefactError."""
        self._graph, self.inputs, self.types, self.large = graph, inputs, tuple(types), large
        self.reads, self.usual = inputs.names, inputs.usual
        onnx_file.check(graph, GRAPH_FILE)
        self._session = _session(graph)
        _check_ends(self._session, inputs.shape.width, 2 + len(self.types))
        self.base: float = self._tried()

    def score(self, x: Floats) -> Floats:
        """(n, d) vectors -> (n,) risk in [0, 1], rounded to 1e-6."""
        return _risk(self._logits(x)[:, 0])

    def heads(self, x: Floats) -> dict[str, Floats]:
        """(n, d) -> `fraud` (n,), `risk` (n,) and, where there are kinds, `type` (n, kinds) adding up to 1."""
        told = self._logits(x)
        fraud, risk = _risk(told[:, 0]), _risk(told[:, 1])
        if not self.types:
            return {"fraud": fraud, "risk": risk}
        likely = np.exp(told[:, 2:] - told[:, 2:].max(axis=1, keepdims=True, initial=-np.inf))
        return {"fraud": fraud, "risk": risk, "type": likely / likely.sum(axis=1, keepdims=True)}

    def contributions(self, x: Floats) -> Floats:
        """(n, d) -> (n, reads): zeros."""
        checked_width(x, self.inputs.width)
        return np.zeros((len(x), len(self.reads)))

    def files(self) -> dict[str, bytes]:
        """The network, and for people one line a column."""
        columns = ",\n".join("    " + json.dumps(one) for one in self.inputs.as_json())
        head = f'  "format": "{FORMAT}",\n  "types": {json.dumps(self.types)},\n  "large": {json.dumps(self.large)},\n'
        return {FILE: f'{{\n{head}  "columns": [\n{columns}\n  ]\n}}\n'.encode(), GRAPH_FILE: self._graph}

    @classmethod
    def of(cls, files: Mapping[str, bytes], names: Sequence[str]) -> Self:
        """The model of `files`; raises ArtefactError."""
        document = object_of(file_of(files, FILE), FILE)
        with_format(document, FORMAT, FILE)
        types = document.get("types")
        if not isinstance(types, list) or not all(isinstance(one, str) for one in types):
            raise ArtefactError(f"{FILE}: types = {types!r}: want the names of the kinds of fraud")
        large = number(document.get("large"), f"{FILE}: large")
        return cls(file_of(files, GRAPH_FILE), inputs_of(document.get("columns"), names, FILE), types, large)

    def _tried(self) -> float:
        """The log-odds of a usual order; raises ArtefactError where the network does not answer for each row."""
        x = np.zeros((2, self.inputs.width))
        x[:, self.inputs.columns] = self.inputs.usual
        ordinary = self.inputs.of(x)
        try:
            (told,) = self._session.run([HEADS], {INPUT: ordinary})
        except Exception as error:  # ONNX Runtime's have no class in common
            raise ArtefactError(f"{GRAPH_FILE}: it fails on a usual order: {error}; train the network again") from error
        if told.shape != (2, 2 + len(self.types)) or told[0, 0] != told[1, 0] or not np.isfinite(told).all():
            raise ArtefactError(
                f"{GRAPH_FILE}: two usual orders give {told.tolist()}: "
                f"want {2 + len(self.types)} numbers for each, the same for both; train the network again"
            )
        return float(told[0, 0])

    def _logits(self, x: Floats) -> Floats:
        """(n, d) -> (n, 2 + kinds)"""
        checked_width(x, self.inputs.width)
        told = np.empty((len(x), 2 + len(self.types)))
        for at in range(0, len(x), BLOCK):
            rows = slice(at, at + BLOCK)
            (told[rows],) = self._session.run([HEADS], {INPUT: self.inputs.of(x[rows])})
        told[told != told] = 0.0  # weights so large that they cancel to nothing say nothing: even odds
        return told


def _risk(logit: Floats) -> Floats:
    """(n,) log-odds -> (n,) in [0, 1], rounded to 1e-6."""
    risk = np.array(logit)  # a copy that lies in one piece
    risks(risk, 1.0)
    return risk


def _session(graph: bytes) -> Any:
    """One thread, the caller's: a worker has its core, and a second one would cost more to wake than a row takes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # what is wrong is raised
    options.add_session_config_entry("session.load_model_format", "ONNX")  # no other format slips past the check
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's have no class in common
        raise ArtefactError(f"{GRAPH_FILE}: ONNX Runtime cannot load it: {error}; train the network again") from error


def _check_ends(session: Any, width: int, heads: int) -> None:
    """Raises ArtefactError where what goes in or comes out is not what the other file says."""
    ends = (("input", session.get_inputs(), INPUT, width), ("output", session.get_outputs(), HEADS, heads))
    for end, found, name, want in ends:
        told = [(one.name, one.type, *one.shape[1:]) for one in found if len(one.shape) == 2]
        if len(found) != 1 or told != [(name, "tensor(float)", want)]:
            said = ", ".join(f"{one.name} {one.type} {one.shape}" for one in found)
            raise ArtefactError(
                f"{GRAPH_FILE}: {end} {said}: want {name} tensor(float) [any, {want}], as {FILE} says: "
                "the files are of two models; train the network again"
            )
