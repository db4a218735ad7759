"""Sampled bags have the sizes that workers would give them."""

from __future__ import annotations

import numpy as np
import pytest

from features.budget import ENTRY, Population, Visits, largest_bag, sampled
from features.compact import over_cap
from features.feature import Count, Distinct, Feature, each
from features.group import Group
from features.shop import shop_definitions
from features.window import DAY_MS, HOUR_MS, WINDOW_1H, WINDOW_24H, WINDOW_30D
from tests.unit.features.build import compacted, own, stamped

DAY = Group("day", 1, "who", each((WINDOW_1H, WINDOW_24H), Count()))
MONTH = Group("month", 2, "who", (Feature(Count(), WINDOW_30D), Feature(Distinct("card"), WINDOW_30D)))
TTL, YEAR = 2 * DAY_MS, 365 * DAY_MS


def test_as_many_have_a_bag_as_were_seen_within_its_life() -> None:
    seen = sampled(DAY, Population(10_000, 5_000, skew=0.0), TTL, YEAR)
    assert seen.keys == pytest.approx(10_000 * (1 - np.exp(-0.5 * 2)), rel=0.01)


def test_before_anything_expired_as_many_have_one_as_were_ever_seen() -> None:
    seen = sampled(DAY, Population(10_000, 5_000, skew=0.0), YEAR, DAY_MS)
    assert seen.keys == pytest.approx(10_000 * (1 - np.exp(-0.5)), rel=0.01)
    assert seen.mean == pytest.approx(ENTRY * 0.5 / (1 - np.exp(-0.5)), rel=0.05)


def test_a_bag_of_few_events_is_their_entries() -> None:
    seen = sampled(MONTH, Population(1_000, 1.0, skew=0.0), TTL, YEAR)
    assert set(seen.length.tolist()) <= {ENTRY, 2 * ENTRY, 3 * ENTRY}


def test_who_comes_once_leaves_what_a_visit_does() -> None:
    seen = sampled(DAY, Visits(300.0, 4.0), TTL, YEAR)
    assert seen.keys == pytest.approx(600)
    assert seen.mean == pytest.approx(4 * ENTRY, rel=0.05)


def test_nobody_has_nothing() -> None:
    assert sampled(DAY, Population(1_000, 0.0), TTL, YEAR).keys == 0


def test_the_mean_of_a_few_hundred_stands_whatever_is_drawn() -> None:
    month = 30 * DAY_MS
    means = [sampled(DAY, Population(300, 1_000), month, month, wait=8.0, seed=seed).mean for seed in range(5)]
    assert max(means) < 1.05 * min(means)


def test_where_a_few_have_all_the_events_bags_differ_more_and_are_smaller_on_average() -> None:
    alike = sampled(MONTH, Population(1_000, 10_000, skew=0.0), 40 * DAY_MS, YEAR)
    skewed = sampled(MONTH, Population(1_000, 10_000, skew=1.2), 40 * DAY_MS, YEAR)
    assert skewed.quantile(0.05) < alike.quantile(0.05)
    assert skewed.mean < alike.mean


def test_a_group_that_counts_more_counterparties_takes_more() -> None:
    few, many = ({"card": 1.0}, {"card": 1e9})
    small, large = (sampled(MONTH, Population(100, 5_000, 0.0, deals), 40 * DAY_MS, YEAR) for deals in (few, many))
    assert large.mean > small.mean + 8 * 20


def test_the_same_is_predicted_each_time() -> None:
    one, two = (sampled(MONTH, Population(500, 900), TTL, YEAR) for _ in range(2))
    assert one.length.tolist() == two.length.tolist()


def test_no_bag_is_left_far_over_its_cap() -> None:
    seen = sampled(DAY, Population(50, 5_000, skew=0.0), TTL, YEAR)
    assert seen.length.max() < largest_bag(DAY) + 20 * ENTRY


@pytest.mark.parametrize("group", shop_definitions().groups, ids=lambda group: group.name)
def test_every_bag_of_the_shop_stays_under_16_kb(group: Group) -> None:
    assert largest_bag(group) < 16 * 1024


@pytest.mark.parametrize("group", [DAY, MONTH], ids=lambda group: group.name)
def test_no_compacted_bag_is_larger_than_the_largest(group: Group) -> None:
    rng = np.random.default_rng(3)
    at = np.sort(rng.integers(0, 32 * DAY_MS, 5_000)) + 1_790_000_000_000
    late = np.sort(rng.integers(0, 2 * HOUR_MS, 500)) + at[-1]
    strangers = rng.integers(1, 1 << 30, (len(group.others), 5_500))
    bag = b"".join(
        stamped(group, own([int(when)], others=strangers[:, [n]].tolist()), n + 1)
        for n, when in enumerate((*at, *late))
    )
    assert over_cap(group, [bag]).tolist() == [0]
    assert len(compacted(group, bag)) <= largest_bag(group)


def test_more_that_is_counted_exactly_makes_a_larger_bag() -> None:
    wide = Group("month", 2, "who", MONTH.features, exact=256)
    assert largest_bag(wide) > 2 * largest_bag(MONTH)
