"""LightGBM's text format, read without LightGBM.

    tree                                what the file is of, and how many trees and features
    version=v4
    ...
    Tree=0                              each tree: inner nodes and leaves in lists of their own; -1 is the first leaf
    num_leaves=31
    split_feature=3 0 ...
    ...
    end of trees                        what follows changes no score and is not read

What is read here: binary objectives, numerical splits, all three ways of missing. What is not, is refused by name:
categorical splits, linear leaves, averaged (random forest) boosting, several classes. A line of a tree that is not
known is refused too, for it may mean another score.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np

from models.documents import ArtefactError
from models.exact import Floats
from models.kernel.leaves import TINY
from models.trees import NO_NODE, Ints, Trees, checked, renumbered

END: Final = "end of trees"

_VERSIONS: Final = ("v3", "v4")
_HEADER: Final = {
    "version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective", "feature_names",
    "monotone_constraints", "feature_infos", "tree_sizes",
}  # fmt: skip
_SAID: Final = {"split_gain", "leaf_weight", "internal_value", "internal_weight", "shrinkage"}  # and changes no score
_LINEAR: Final = {"leaf_const", "num_features", "leaf_features", "leaf_coeff"}
_TREE: Final = {
    "num_leaves", "num_cat", "split_feature", "threshold", "decision_type", "left_child", "right_child", "leaf_value",
    "leaf_count", "internal_count", "is_linear", *_SAID,
}  # fmt: skip
_CATEGORICAL: Final = 1  # bits of decision_type
_DEFAULT_LEFT: Final = 2
_MISSING_SHIFT: Final = 2
_MOST: Final = 11  # missing NaN, left
_MOST_LEAVES: Final = 1 << 17  # LightGBM's own limit

Number = TypeVar("Number", int, float)
Lines = Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Boosting:
    """A booster: log-odds are `sigmoid` times the sum of its trees."""

    names: tuple[str, ...]  # of the features
    read: tuple[str, ...]  # those that some split asks for
    sigmoid: float
    trees: Trees  # over `read`
    cover: Floats  # (m,) rows of the training data that came through each node


def parsed(content: bytes, where: str) -> Boosting:
    """The booster of a file; raises ArtefactError."""
    blocks = _blocks(content, where)
    header = _lines(blocks[0], where, _HEADER)
    names = tuple(_value(header, "feature_names", where).split())
    sigmoid = _sigmoid(header, where)
    if len(set(names)) != len(names) or _one(header, "max_feature_idx", where) != len(names) - 1:
        raise ArtefactError(f"{where}: {len(names)} feature_names: want max_feature_idx + 1 different ones")
    if len(_numbers(header, "tree_sizes", int, where)) != len(blocks) - 1:
        raise ArtefactError(f"{where}: {len(blocks) - 1} trees: want one for each of tree_sizes; the file was changed")
    parts = [_tree(block, f"{where}: Tree={nth}") for nth, block in enumerate(blocks[1:])]
    trees, cover = _joined(parts)
    trees, used = renumbered(checked(trees, len(names), where))
    return Boosting(names, tuple(names[at] for at in used.tolist()), sigmoid, trees, cover)


def _blocks(content: bytes, where: str) -> list[list[str]]:
    """The lines of the header, then those of each tree."""
    try:
        lines = content.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise ArtefactError(f"{where}: no text of LightGBM: {error}") from error
    if lines[0] != "tree":
        raise ArtefactError(f"{where}: begins with {lines[0][:20]!r}: want 'tree', as LightGBM writes its models")
    if END not in lines:
        raise ArtefactError(f"{where}: no {END!r}: the file was cut; fit the model again or restore it")
    blocks: list[list[str]] = [[]]
    for line in lines[1 : lines.index(END)]:
        if line.startswith("Tree="):
            if line != f"Tree={len(blocks) - 1}":
                raise ArtefactError(f"{where}: {line[:20]!r}: want Tree={len(blocks) - 1}")
            blocks.append([])
        elif line:
            blocks[-1].append(line)
    return blocks


def _lines(block: Sequence[str], where: str, known: set[str]) -> Lines:
    found: dict[str, str] = {}
    for line in block:
        key, _, value = line.partition("=")
        if key == "average_output":
            raise ArtefactError(f"{where}: a random forest (boosting rf): want one that was boosted; see kind forest")
        if key in _LINEAR:
            raise ArtefactError(f"{where}: linear leaves: fit it with linear_tree=false")
        if key not in known or key in found:
            raise ArtefactError(f"{where}: {key[:40]!r}: want each of {', '.join(sorted(known))} once at most")
        found[key] = value
    return found


def _value(lines: Lines, key: str, where: str) -> str:
    if key not in lines:
        raise ArtefactError(f"{where}: {key} is missing: the file was cut or is of another version; fit it again")
    return lines[key]


def _numbers(lines: Lines, key: str, of: Callable[[str], Number], where: str, count: int | None = None) -> list[Number]:
    words = _value(lines, key, where).split()
    try:
        numbers = [of(word) for word in words]
    except ValueError as error:
        raise ArtefactError(f"{where}: {key}: {error}") from error
    if count is not None and len(numbers) != count:
        raise ArtefactError(f"{where}: {len(numbers)} numbers in {key}: want {count}")
    if any(abs(number) > 1 << 53 for number in numbers if of is int):
        raise ArtefactError(f"{where}: {key}: want whole numbers of 53 bits")
    return numbers


def _one(lines: Lines, key: str, where: str) -> int:
    return _numbers(lines, key, int, where, 1)[0]


def _sigmoid(header: Lines, where: str) -> float:
    """What the objective multiplies a sum by; raises for what is not binary."""
    if (version := _value(header, "version", where)) not in _VERSIONS:
        raise ArtefactError(f"{where}: version {version[:20]!r}: want {' or '.join(_VERSIONS)}")
    if classes := [key for key in ("num_class", "num_tree_per_iteration") if _one(header, key, where) != 1]:
        raise ArtefactError(f"{where}: {classes[0]} is not 1: want a model of two classes")
    name, _, rest = _value(header, "objective", where).partition(" ")
    key, _, value = rest.partition(":")
    try:
        sigmoid = float(value)
    except ValueError:
        sigmoid = math.nan
    if name != "binary" or key != "sigmoid" or not 1e-6 <= sigmoid <= 1e6:
        raise ArtefactError(f"{where}: objective {header['objective'][:40]!r}: want 'binary sigmoid:1'")
    return sigmoid


def _tree(block: Sequence[str], where: str) -> tuple[Trees, Floats]:
    """A tree and its covers: inner nodes in LightGBM's order, then leaves."""
    lines = _lines(block, where, _TREE)
    leaves = _one(lines, "num_leaves", where)
    if not 1 <= leaves <= _MOST_LEAVES:
        raise ArtefactError(f"{where}: num_leaves={leaves}: want 1 to {_MOST_LEAVES}")
    if _one(lines, "num_cat", where):
        raise ArtefactError(f"{where}: categorical splits: fit it on numbers alone (no categorical_feature)")
    if "is_linear" in lines and _one(lines, "is_linear", where):
        raise ArtefactError(f"{where}: linear leaves: fit it with linear_tree=false")
    value = np.concatenate([np.zeros(leaves - 1), _numbers(lines, "leaf_value", float, where, leaves)])
    if leaves == 1:
        return _stump(value), np.ones(1)
    splits = leaves - 1
    kinds = np.array(_numbers(lines, "decision_type", int, where, splits))
    if (kinds & _CATEGORICAL).any():
        raise ArtefactError(f"{where}: categorical splits: fit it on numbers alone (no categorical_feature)")
    if ((kinds < 0) | (kinds > _MOST)).any():
        raise ArtefactError(f"{where}: decision_type {kinds.max()}: want 0 to {_MOST}")
    none = np.full(leaves, NO_NODE)
    left, right = (_children(lines, key, splits, where) for key in ("left_child", "right_child"))
    trees = Trees(
        roots=np.zeros(1, np.int64),
        feature=np.concatenate([_numbers(lines, "split_feature", int, where, splits), none]),
        threshold=np.concatenate([_thresholds(lines, splits, where), np.zeros(leaves)]),
        left=np.concatenate([left, none]),
        right=np.concatenate([right, none]),
        value=value,
        missing=np.concatenate([kinds >> _MISSING_SHIFT, np.zeros(leaves, np.int64)]),
        default_left=np.concatenate([kinds // _DEFAULT_LEFT & 1, np.zeros(leaves, np.int64)]),
    )
    counts = [_numbers(lines, key, int, where, n) for key, n in (("internal_count", splits), ("leaf_count", leaves))]
    return trees, np.concatenate(counts).astype(np.float64)


def _children(lines: Lines, key: str, splits: int, where: str) -> Ints:
    """Nodes: LightGBM's -1 is the first leaf, which comes here after the inner nodes."""
    child = np.array(_numbers(lines, key, int, where, splits))
    child = np.where(child < 0, splits - 1 - child, child)
    if (child > 2 * splits).any():
        raise ArtefactError(f"{where}: {key}: want inner nodes below {splits} and leaves from -{splits + 1}")
    return child


def _thresholds(lines: Lines, splits: int, where: str) -> Floats:
    """LightGBM takes an input between -TINY and TINY for 0 before it asks any tree; thresholds among these are moved
    so that no input needs to be.
    """
    given = np.array(_numbers(lines, "threshold", float, where, splits))
    within = np.where(given < 0, np.nextafter(-TINY, -np.inf), TINY)
    return np.where(np.abs(given) <= TINY, within, given)


def _stump(value: Floats) -> Trees:
    """A tree of one leaf."""
    none, zero = np.full(1, NO_NODE), np.zeros(1, np.int64)
    return Trees(zero, none, np.zeros(1), none, none, value, zero, zero)


def _joined(parts: Sequence[tuple[Trees, Floats]]) -> tuple[Trees, Floats]:
    """All trees in one."""
    starts = np.cumsum([0] + [len(trees.feature) for trees, _ in parts])

    def all_of(name: str, *, links: bool = False) -> Any:
        arrays = (getattr(trees, name) for trees, _ in parts)
        moved = (np.where(a == NO_NODE, a, a + start) if links else a for a, start in zip(arrays, starts, strict=False))
        return np.concatenate([np.empty(0, np.int64), *moved])

    trees = Trees(
        roots=starts[:-1],
        feature=all_of("feature"),
        threshold=all_of("threshold"),
        left=all_of("left", links=True),
        right=all_of("right", links=True),
        value=all_of("value"),
        missing=all_of("missing"),
        default_left=all_of("default_left"),
    )
    return trees, np.concatenate([np.empty(0), *(cover for _, cover in parts)])
