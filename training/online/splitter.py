"""Where a leaf of a Hoeffding tree may be split: counts of goods and frauds by code of a feature's value.

River's own splitters for numbers suppose that values are Gaussian, cut their range in equal parts, and keep a random
generator each, seeded by the system. Amounts and counts have heavy tails, so here a value is a whole number, its
logarithm in steps (coding.py), and a leaf counts the codes it has seen: nothing is supposed, and equal streams have
equal states. Thresholds lie between codes. The price: 60 bytes a code seen, of each feature that a leaf looks at.
"""

from __future__ import annotations

import math
from typing import Any

from river.tree.splitter import Splitter
from river.tree.utils import BranchFactory


class BinSplitter(Splitter):
    """`n_splits` thresholds are tried at most, so that about as many cases lie between each two."""

    def __init__(self, n_splits: int = 32) -> None:
        super().__init__()
        self.n_splits = n_splits
        self.goods: dict[int, float] = {}  # code -> how many
        self.frauds: dict[int, float] = {}

    def update(self, att_val: int, target_val: Any, w: float) -> None:
        """Counts a value."""
        of = self.frauds if target_val else self.goods
        of[att_val] = of.get(att_val, 0.0) + w

    def cond_proba(self, att_val: int, target_val: Any) -> float:
        """The share of a class that has this code."""
        of = self.frauds if target_val else self.goods
        return of.get(att_val, 0.0) / sum(of.values()) if of else 0.0

    def best_evaluated_split_suggestion(
        self,
        criterion: Any,
        pre_split_dist: Any,
        att_idx: Any,
        binary_only: bool,  # noqa: ARG002 - River's signature
    ) -> BranchFactory:
        """The threshold that gains most information; none where all values are one, or a side would be too small."""
        found, least = -math.inf, criterion.min_branch_fraction
        best: tuple[int, float, float, float, float] | None = None
        for cut in self._cuts():
            below, above = cut[1] + cut[2], cut[3] + cut[4]
            if min(below, above) > least * (below + above) and (merit := -_bits(*cut[1:]) / (below + above)) > found:
                found, best = merit, cut
        if best is None:
            return BranchFactory()
        code, goods, frauds, goods_above, frauds_above = best
        sides = [{0: goods, 1: frauds}, {0: goods_above, 1: frauds_above}]
        return BranchFactory(criterion.current_merit(pre_split_dist) + found, att_idx, code, sides)

    def _cuts(self) -> list[tuple[int, float, float, float, float]]:
        """Code at or below which a case goes left, and goods and frauds on both sides."""
        codes = sorted(self.goods.keys() | self.frauds.keys())
        all_goods, all_frauds = sum(self.goods.values()), sum(self.frauds.values())
        apart = (all_goods + all_frauds) / (self.n_splits + 1) if len(codes) > self.n_splits else 0.0
        goods = frauds = 0.0
        last = -math.inf
        cuts = []
        for code in codes[:-1]:
            goods, frauds = goods + self.goods.get(code, 0.0), frauds + self.frauds.get(code, 0.0)
            if goods + frauds - last >= apart:
                last = goods + frauds
                cuts.append((code, goods, frauds, all_goods - goods, all_frauds - frauds))
        return cuts


def _bits(goods: float, frauds: float, goods_above: float, frauds_above: float) -> float:
    """What is still to be told of the classes of all cases, once it is known on which side each is."""
    return (
        _times_log(goods + frauds)
        - _times_log(goods)
        - _times_log(frauds)
        + _times_log(goods_above + frauds_above)
        - _times_log(goods_above)
        - _times_log(frauds_above)
    )


def _times_log(count: float) -> float:
    return count * math.log2(count) if count > 0 else 0.0
