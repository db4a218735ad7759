"""History: the vectors are those of a worker, whatever the batches and whenever bags were compacted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from features.columns import Columns, Floats2d, Ints
from features.definitions import Flow
from features.feature import MONEY, RECENCY, each
from features.group import Group
from features.vector import Vector
from features.window import WINDOWS
from schemas.decode import Decoded
from training.history import Bags, vectors

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
USER = Group(
    "user", 1, "user_id", (*each(WINDOWS, *MONEY), *RECENCY), cap=4
)  # so short that compaction is all the time
N = 300


def _unused(values: object) -> Decoded:
    raise AssertionError(f"history does not decode: {values!r}")


def _columns(events: Sequence[tuple[str, int]], at_ms: Ints) -> Columns:
    users = [user for user, _ in events]
    amounts = np.array([amount for _, amount in events], np.int64)
    return Columns(len(events), at_ms, amounts, np.zeros(len(events), np.int64), {"user_id": users}, {}, events)


def _vector(group: Group) -> Vector:
    def fill(columns: Columns, folded: Mapping[str, Floats2d]) -> Floats2d:
        return np.array([columns.amount.astype(np.float64), *folded["user"].T])

    return Vector(("order_amount", *group.columns), (group,), fill)


def _history(seed: int = 4) -> tuple[list[tuple[str, int]], Ints]:
    rng = np.random.default_rng(seed)
    at_ms = 1_700_000_000_000 + np.sort(rng.integers(0, 40 * 24 * HOUR_MS, N))
    users = rng.integers(0, 6, N).tolist()
    return [(f"u{user}", amount) for user, amount in zip(users, rng.integers(1, 9999, N).tolist(), strict=True)], at_ms


def _replayed(batch: int, group: Group = USER) -> Floats2d:
    events, at_ms = _history()
    flow = Flow("orders", _unused, lambda _: [], _columns, (group,), scored=True)

    def batches() -> Iterator[tuple[list[tuple[str, int]], Ints]]:
        for start in range(0, N, batch):
            yield events[start : start + batch], at_ms[start : start + batch]

    return np.concatenate(list(vectors(flow, _vector(group), batches())))


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_vectors_do_not_depend_on_the_batches(batch: int) -> None:
    assert _replayed(batch).tobytes() == _replayed(N).tobytes()


def test_compaction_never_changes_a_vector() -> None:
    assert _replayed(7).tobytes() == _replayed(7, replace(USER, cap=10_000)).tobytes()


def test_an_order_is_in_its_own_windows_with_those_before_it() -> None:
    events, at_ms = _history()
    x, names = _replayed(50), _vector(USER).names
    for row in range(0, N, 13):
        start = (at_ms[row] // HOUR_MS - 23) * HOUR_MS
        mine = [i for i in range(row + 1) if events[i][0] == events[row][0] and at_ms[i] >= start]
        assert x[row, names.index("user_count_24h")] == len(mine)
        assert x[row, names.index("user_sum_24h")] == sum(events[i][1] for i in mine)


def test_bags_are_kept_per_entity() -> None:
    bags = Bags(USER)
    bags.fold_in(_columns(*_history()))
    assert len(bags) == 6
