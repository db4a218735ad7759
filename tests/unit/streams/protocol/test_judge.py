"""The judge is a pure function of the log: it equals the naive reading of the rule, however ranges are cut."""

from __future__ import annotations

import random
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.protocol.judge import FEW, HEADER, VERSION, Judge, before_every_offset, decode_ids
from streams.protocol.memory import MemoryStore
from streams.protocol.ports import Begin, Facts, IdLog, Limits, Open, Stop, Tp, Verdict
from tests.simulation.log import Partition
from tests.simulation.threads import instant
from tests.simulation.work import SimWork

TP = Tp("orders", 0, "a")
LIMITS = Limits(dedup_offsets=100, dedup_s=3600, late_ms=1000, future_ms=500)
NOON_MS = 1_700_000_000_000


def facts(
    ids: list[int],
    *,
    first: int = 0,
    payloads: list[int] | None = None,
    record_ms: list[int] | None = None,
    ahead_ms: list[int] | None = None,
    dead: list[bool] | None = None,
) -> Facts:
    n = len(ids)
    times = np.array(record_ms or [NOON_MS] * n, np.int64)
    return Facts(
        np.arange(first, first + n, dtype=np.int64),
        times,
        times + np.array(ahead_ms or [0] * n, np.int64),
        np.array(ids, np.uint64),
        np.array(payloads or [0] * n, np.uint32),
        np.array(dead or [False] * n, np.bool_),
    )


def take(judge: Judge, asked: Facts) -> dict[int, Verdict]:
    judged = judge.judge(asked, int(asked.offset[-1]))
    judge.accept(judged)
    return judged.proposal.exceptions


def test_an_id_seen_before_is_a_duplicate_with_the_same_payload_and_a_conflict_with_another() -> None:
    judge = Judge(LIMITS)
    assert take(judge, facts([1, 2], payloads=[7, 8])) == {}
    assert take(judge, facts([1, 2, 3], first=2, payloads=[7, 9, 0])) == {2: Verdict.DUPLICATE, 3: Verdict.CONFLICT}


def test_within_one_batch_the_second_of_an_id_is_the_duplicate() -> None:
    assert take(Judge(LIMITS), facts([5, 5, 5])) == {1: Verdict.DUPLICATE, 2: Verdict.DUPLICATE}


def test_judging_changes_nothing_until_the_range_is_open() -> None:
    judge = Judge(LIMITS)
    batch = facts([1, 2])
    judge.judge(batch, 1)
    assert take(judge, batch) == {}


def test_only_a_fresh_record_registers_its_id() -> None:
    judge = Judge(LIMITS)
    wrong = facts([1, 2, 3], dead=[True, False, False], ahead_ms=[0, -1001, 501])
    assert take(judge, wrong) == {0: Verdict.DEAD, 1: Verdict.TOO_LATE, 2: Verdict.FUTURE}
    assert take(judge, facts([1, 2, 3], first=3)) == {}


def test_the_limits_of_time_are_inside() -> None:
    assert take(Judge(LIMITS), facts([1, 2], ahead_ms=[-1000, 500])) == {}


@pytest.mark.parametrize(("gap", "verdict"), [(100, {100: Verdict.DUPLICATE}), (101, {})])
def test_an_id_is_remembered_for_n_offsets(gap: int, verdict: dict[int, Verdict]) -> None:
    judge = Judge(LIMITS)
    take(judge, facts([1]))
    assert take(judge, facts([1], first=gap)) == verdict


@pytest.mark.parametrize(("later_s", "verdict"), [(3600, {1: Verdict.DUPLICATE}), (3601, {})])
def test_an_id_is_remembered_for_h_hours_of_the_logs_own_clock(later_s: int, verdict: dict[int, Verdict]) -> None:
    judge = Judge(LIMITS)
    take(judge, facts([1]))
    assert take(judge, facts([1], first=1, record_ms=[NOON_MS + later_s * 1000])) == verdict


def test_a_timestamp_that_goes_back_does_not_turn_the_clock_back() -> None:
    judge = Judge(LIMITS)
    take(judge, facts([1]))
    take(judge, facts([2], first=1, record_ms=[NOON_MS + 3_601_000]))
    assert take(judge, facts([1, 2], first=2, record_ms=[NOON_MS, NOON_MS])) == {3: Verdict.DUPLICATE}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([6, 40, 1000]), st.sampled_from([5, 60, 10_000]))
def test_any_cut_and_any_reload_gives_the_naive_verdicts(seed: int, offsets: int, seconds: int) -> None:
    rng = random.Random(seed)
    limits = Limits(offsets, seconds, 10_000_000, 5_000_000)
    log = Partition(TP, 0, True, limits)
    log.grow(rng, [], 120)
    store, judge = MemoryStore(2, lambda: 1, limits), Judge(limits)
    work, place = SimWork(log, 2, rng), 0
    said: dict[int, Verdict] = {}
    while batch := log.batch(place, 2**62, rng.randint(1, 2 * FEW)):
        if rng.random() < 0.3:
            judge = Judge(limits)
            judge.load(instant(store.ids(TP)), place)
        judged = judge.judge(work.facts(work.prepare(batch)), batch.last)
        opened = instant(store.begin(TP, Begin(place - 1, judged.proposal, place, 0, "c", b"t")))
        assert isinstance(opened, Open)
        said |= judged.proposal.exceptions
        judge.accept(judged)
        place = batch.last + 1
    naive = {r.offset: v for r, v in zip(log.records, log.verdicts(), strict=True) if v != Verdict.FRESH}
    assert said == naive


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.booleans(), st.sampled_from([0.0, 0.02]))
def test_a_few_records_are_judged_as_if_they_were_many(seed: int, dedup: bool, odd: float) -> None:
    rng, limits = np.random.default_rng(seed), Limits(10 * FEW, 600, 0, 0)
    few, many = Judge(limits, dedup=dedup), Judge(limits, dedup=dedup)
    for first in range(0, 30 * FEW, FEW):
        record_ms = 1000 * rng.integers(0, 900, FEW)
        ahead_ms = rng.integers(-1, 2, FEW) * (rng.random(FEW) < odd)
        ids = rng.integers(0, 30 if rng.random() < odd else 2**64, FEW, dtype=np.uint64)
        payload, dead = rng.integers(0, 2, FEW, dtype=np.uint32), rng.random(FEW) < odd
        asked = Facts(np.arange(first, first + FEW), record_ms, record_ms + ahead_ms, ids, payload, dead)
        judged = few.judge(asked, first + FEW - 1)
        with patch("streams.protocol.judge.FEW", 0):
            same = many.judge(asked, first + FEW - 1)
            many.accept(same)
        few.accept(judged)
        assert judged.proposal == same.proposal
        assert few.ids == many.ids


def test_the_window_is_bounded_by_n_and_counted() -> None:
    limits = Limits(dedup_offsets=20_000, dedup_s=10**9, late_ms=10**9, future_ms=0)
    judge, rng = Judge(limits), np.random.default_rng(7)
    for first in range(0, 200_000, 2000):
        ids = rng.integers(0, 2**64, 2000, dtype=np.uint64).tolist()
        take(judge, facts(ids, first=first))
    assert 20_000 <= judge.ids <= 32_000
    assert judge.bytes < 3_500_000


def test_ids_that_want_the_same_slot_are_all_found() -> None:
    judge, same_low_bits = Judge(LIMITS), [i << 40 for i in range(1, 60)]
    take(judge, facts(same_low_bits))
    found = take(judge, facts(same_low_bits[:30], first=59))
    assert set(found.values()) == {Verdict.DUPLICATE}
    assert len(found) == 30


def test_an_id_log_of_a_newer_version_is_refused() -> None:
    with pytest.raises(Stop, match="has version 2 and this worker reads up to 1: upgrade this worker"):
        decode_ids([bytes([VERSION + 1]) + HEADER[1:]])


def test_after_a_rebase_known_ids_are_fresh_just_before_every_offset() -> None:
    judge = Judge(LIMITS)
    blob = judge.judge(facts([1, 2, 3], first=500), 502).proposal.ids
    log = IdLog(0, 602, NOON_MS // 1000, [blob])  # offsets 500 and 501 are out of reach at 602
    judge.load(IdLog(40, 40, log.clock_s, before_every_offset(log, 40, LIMITS)), 40)
    assert take(judge, facts([1, 2, 3], first=40)) == {42: Verdict.DUPLICATE}


def test_a_range_without_records_moves_only_the_position() -> None:
    judge = Judge(LIMITS)
    take(judge, facts([1]))
    judge.accept(judge.skip(9))
    assert (judge.position, judge.ids) == (10, 1)
