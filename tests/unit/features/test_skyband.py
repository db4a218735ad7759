from __future__ import annotations

import numpy as np
import pytest

from features.columns import HASH_BITS
from features.skyband import latest, undominated


@pytest.mark.parametrize("keep", [1, 2, 5, 33])
def test_what_fewer_than_keep_dominate_stays(keep: int) -> None:
    rng = np.random.default_rng(keep)
    bins = np.sort(rng.integers(0, 6, 400))
    seen = rng.integers(0, 25, 400)
    found = undominated(keep, bins, seen)
    for i in range(len(bins)):
        smaller = [j for j in range(i) if bins[j] == bins[i]]
        assert found[i] == (sum(seen[j] >= seen[i] for j in smaller) < keep)


def test_forgetting_in_steps_is_forgetting_at_once() -> None:
    rng = np.random.default_rng(4)
    key = rng.integers(0, 3, 900) << HASH_BITS | rng.integers(1, 200, 900)
    tick = rng.integers(0, 50, 900)
    at_once = latest(4, key, tick)
    kept_key, kept_tick = key[:0], tick[:0]
    for part in np.array_split(np.arange(900), 13):
        kept = latest(4, np.append(kept_key, key[part]), np.append(kept_tick, tick[part]))
        kept_key, kept_tick = kept.bins << HASH_BITS | kept.hash, kept.tick
    assert kept_key.tolist() == (at_once.bins << HASH_BITS | at_once.hash).tolist()
    assert kept_tick.tolist() == at_once.tick.tolist()


def test_keys_too_wide_to_be_sorted_with_their_times_are_sorted_all_the_same() -> None:
    key = np.array([5, 9, 5]) << HASH_BITS | 7
    wide = latest(2, key, np.array([1 << 40, 3, 1 << 41]))
    assert (wide.bins.tolist(), wide.tick.tolist()) == ([5, 9], [1 << 41, 3])
    assert (wide.hash == 7).all()


def test_nobody_stays_nobody() -> None:
    empty = np.empty(0, np.int64)
    assert len(latest(3, empty, empty).bins) == 0
