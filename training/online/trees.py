"""River's adaptive random forest with branches that are walked in a loop.

River walks a tree by generators inside generators: each step down passes through all those above it, which was a fifth
of the time that learning takes. The answers are River's own (a test holds the two together).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from river.forest import ARFClassifier
from river.forest.adaptive_random_forest import BaseTreeClassifier
from river.tree.nodes.branch import NumericBinaryBranch


class LoopBranch(NumericBinaryBranch):
    """River's, for vectors that have all columns."""

    def walk(self, x: Any, until_leaf: bool = True) -> Iterator[Any]:  # noqa: ARG002 - River's signature
        """The nodes from here to the leaf."""
        node: Any = self
        while type(node) is LoopBranch:
            yield node
            node = node.children[0 if x[node.feature] <= node.threshold else 1]
        yield node

    def traverse(self, x: Any, until_leaf: bool = True) -> Any:  # noqa: ARG002 - River's signature
        """The leaf."""
        node: Any = self
        while type(node) is LoopBranch:
            node = node.children[0 if x[node.feature] <= node.threshold else 1]
        return node


class LoopTree(BaseTreeClassifier):
    """River's tree of a forest; all its features are numbers, and it splits in two."""

    def _branch_selector(self, numerical_feature: bool = True, multiway_split: bool = False) -> Any:
        if not numerical_feature or multiway_split:
            raise ValueError("a split that is not of a number in two: the forest was made for no other")
        return LoopBranch


class LoopForest(ARFClassifier):
    """River's forest, of such trees."""

    def _new_base_model(self) -> Any:
        tree = super()._new_base_model()  # type: ignore[no-untyped-call]  # River's
        tree.__class__ = LoopTree  # which has no state of its own
        return tree
