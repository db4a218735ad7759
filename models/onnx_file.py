"""ONNX files from anywhere: what one may hold, checked before ONNX Runtime sees it.

An ONNX file is a program. This reads protobuf's wire format, for which serving needs no further package, and lets
through what a feed-forward network is made of: operators of a closed list in ONNX's own domain, with their weights in
the file. Refused by name are other operators and domains (custom ones too), loops, branches and functions, weights in
other files, and every field that is not known here, so that nothing is skipped that ONNX Runtime would read.

The price: a new operator of a network needs a line here. What is not bounded is the memory that a hostile graph of
allowed operators may ask for; a registry is trusted as far as that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from models.documents import ArtefactError

LIMIT_BYTES: Final = 16 * 1024 * 1024  # of a file: networks for one row at a time are a hundredth of it
OPERATORS: Final = frozenset(
    (
        "Add",
        "Concat",
        "Gather",
        "Gemm",
        "LayerNormalization",
        "MatMul",
        "Mul",
        "Relu",
        "Reshape",
        "Sigmoid",
        "Slice",
        "Softmax",
        "Split",
        "Squeeze",
        "Sub",
        "Tanh",
        "Transpose",
        "Unsqueeze",
    )
)

# Fields by number, of onnx.proto3: those that hold no message of interest, and those that are looked into.
_MODEL: Final = {1: "", 2: "", 3: "", 4: "", 5: "", 6: "", 7: "graph", 8: "opset", 14: "note"}
_GRAPH: Final = {1: "node", 2: "", 5: "tensor", 10: "", 11: "value", 12: "value", 13: "value"}
_NODE: Final = {1: "", 2: "", 3: "", 4: "operator", 5: "attribute", 6: "", 7: "domain"}
_ATTRIBUTE: Final = {1: "", 2: "", 3: "", 4: "", 5: "tensor", 7: "", 8: "", 9: "", 13: "", 20: ""}
_TENSOR: Final = {1: "", 2: "", 4: "", 5: "", 7: "", 8: "", 9: "", 10: "", 11: "", 12: ""}
_OPSET: Final = {1: "domain", 2: ""}
_MESSAGES: Final = {
    "model": _MODEL,
    "graph": _GRAPH,
    "node": _NODE,
    "attribute": _ATTRIBUTE,
    "tensor": _TENSOR,
    "opset": _OPSET,
}
# What a field that is refused would have meant.
_REFUSED: Final = {
    ("model", 20): "training information",
    ("model", 25): "functions of its own",
    ("graph", 15): "sparse weights",
    ("attribute", 6): "a graph within a node (a loop or a branch)",
    ("attribute", 11): "a graph within a node (a loop or a branch)",
    ("tensor", 13): "external data: weights in another file",
    ("tensor", 14): "external data: weights in another file",
}
_OWN_DOMAINS: Final = ("", "ai.onnx")


def check(written: bytes, where: str) -> None:
    """Raises ArtefactError where the file is no ONNX model, or holds what a network here may not."""
    if len(written) > LIMIT_BYTES:
        raise ArtefactError(f"{where}: {len(written)} bytes: want at most {LIMIT_BYTES}; make the network smaller")
    found = dict.fromkeys(("graph", "node", "opset"), 0)
    for what in _walk(memoryview(written), "model", where):
        found[what] = found.get(what, 0) + 1
    if not all(found[what] for what in ("graph", "node", "opset")):
        raise ArtefactError(f"{where}: not an ONNX model: it has no graph or says no version of its operators")


def _walk(message: memoryview, kind: str, where: str) -> Iterator[str]:
    """What is in a message, and in all within it."""
    for number, value in _fields(message, where):
        within = _MESSAGES[kind].get(number)
        if within is None:
            means = _REFUSED.get((kind, number), f"field {number} of its {kind}, which is not known here")
            raise ArtefactError(f"{where}: it has {means}: export the network without that")
        if within in ("operator", "domain"):
            _check_name(within, bytes(value), where)
        elif within in _MESSAGES:
            yield from _walk(value, within, where)
        if within:
            yield within


def _check_name(within: str, value: bytes, where: str) -> None:
    name = value.decode(errors="replace")
    if within == "operator" and name not in OPERATORS:
        raise ArtefactError(f"{where}: operator {name!r}: a network here is made of {', '.join(sorted(OPERATORS))}")
    if within == "domain" and name not in _OWN_DOMAINS:
        raise ArtefactError(
            f"{where}: operators of {name!r}: want those of ONNX alone; export without custom operators"
        )


def _fields(message: memoryview, where: str) -> Iterator[tuple[int, memoryview]]:
    """Number and bytes of each field; numbers that are no messages have none."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at, where)
        size = 0
        if (wire := tag & 7) == 0:
            _, at = _varint(message, at, where)
        elif wire == 2:
            size, at = _varint(message, at, where)
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise ArtefactError(f"{where}: not an ONNX model: no field of protobuf at byte {at}; restore the file")
        if at + size > len(message):
            raise ArtefactError(f"{where}: cut short: a field of {size} bytes ends behind the file; restore it")
        yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int, where: str) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(message[at : at + 10]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise ArtefactError(f"{where}: cut short, or not an ONNX model: no number at byte {at}; restore the file")
