"""A set says of each order what was known at its decision, and of its label what was known at T; nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.arrow import parquet
from archive.errors import ArchiveError
from archive.listing import files_of
from storage.places import Place
from streams.cli.sets import replayed
from streams.protocol.ports import Verdict
from tests.support.history import DEFINITIONS, HOUR_MS, START_MS, History
from training.sets import file
from training.sets.asked import Asked, Vectors
from training.sets.build import build

DAY_MS = 86_400_000
T = START_MS + 20 * DAY_MS
ASKED = Asked(START_MS, START_MS + 10 * DAY_MS, T, mature_ms=15 * DAY_MS)
NAMES = DEFINITIONS.vector.names


def never(upto: Mapping[int, int]) -> Iterator[Vectors]:
    raise AssertionError(f"nothing is to be replayed, and {dict(upto)} was asked for")


def quiet(step: str, done: int, total: int) -> None:
    assert 0 <= done <= total, step


def built(place: Place, out: Path, asked: Asked = ASKED, *, rebuild: Any = never) -> list[dict[str, Any]]:
    """The rows of the set, `vector` the features together."""
    build(place, DEFINITIONS, asked, out, rebuild=rebuild, tell=quiet)
    rows: list[dict[str, Any]] = parquet.read_table(out).to_pylist()
    return [row | {"vector": [row[name] for name in NAMES]} for row in rows]


def again(place: Place, asked: Asked) -> Any:
    return partial(replayed, place, DEFINITIONS, asked, 0.0)


def at(days: float) -> int:
    return START_MS + round(days * DAY_MS)


def labels(history: History, folder: Path, asked: Asked = ASKED) -> dict[str, int | None]:
    """By order, what its label is."""
    place = history.decided().archived(folder / "archive")
    return {row["order_id"]: row["label"] for row in built(place, folder / "set.parquet", asked)}


def some(*, feature_hash: str = DEFINITIONS.vector.hash, marks: float = 0.0) -> History:
    """Six orders of two partitions, labels on two of them, one order outside the window on either side."""
    history = History(feature_hash=feature_hash, marks=marks)
    history.order("before", at(-1))
    for n in range(6):
        history.order(f"{n}", at(n), n % 2, value=5.0 + n)
    history.order("after", at(10))
    history.chargeback("1", at(9))
    history.reviewed("3", at(4), fraud=False)
    return history


def test_a_set_has_the_orders_of_its_window_by_time_with_what_was_said_of_them(tmp_path: Path) -> None:
    place = some().decided().archived(tmp_path / "a")
    rows = built(place, tmp_path / "set.parquet")
    assert [row["order_id"] for row in rows] == [f"o-{n}" for n in range(6)]
    first = rows[0]
    assert (first["event_id"], first["card_id"], first["merchant_id"], first["ip"]) == ("e-0", "c-1", "m", "10.0.0.1")
    assert (first["score"], first["action"], first["model"], first["replayed"]) == (0.25, "allow", "m", False)
    assert [row["order_amount"] for row in rows] == [5.0 + n for n in range(6)]
    assert rows[2]["user_count_7d"] == 4, "the order before the window is in the vector that was logged"


def test_a_fraud_is_a_label_at_once_and_a_good_one_when_it_is_old_enough(tmp_path: Path) -> None:
    said = labels(some(), tmp_path)
    assert said == {"o-0": 0, "o-1": 1, "o-2": 0, "o-3": 0, "o-4": 0, "o-5": 0}
    early = replace(ASKED, mature_ms=17 * DAY_MS)
    place = some().decided().archived(tmp_path / "b")
    rows = built(place, tmp_path / "early.parquet", early)
    assert [row["label"] for row in rows] == [0, 1, 0, 0, None, None]
    assert [row["matured"] for row in rows] == [True, True, True, True, False, False]


def test_a_reviewers_early_good_is_no_label_before_the_order_is_old_enough(tmp_path: Path) -> None:
    place = some().decided().archived(tmp_path / "a")
    rows = built(place, tmp_path / "set.parquet", replace(ASKED, mature_ms=18 * DAY_MS))
    good = rows[3]
    assert (good["label"], good["label_type"], good["matured"]) == (None, "review_outcome", False)
    assert good["label_time"].timestamp() * 1000 == at(4)


def test_a_label_that_became_known_after_t_is_not_there(tmp_path: Path) -> None:
    history = some()
    history.chargeback("2", at(5), known_ms=T + 1)
    history.chargeback("4", T + 1, known_ms=T)
    history.chargeback("5", T, known_ms=T)
    said = labels(history, tmp_path)
    assert (said["o-2"], said["o-4"], said["o-5"]) == (0, 0, 1)


def test_a_correction_counts_from_when_it_was_known(tmp_path: Path) -> None:
    history = some()
    history.reviewed("1", at(12), fraud=False)
    history.chargeback("3", at(13))
    history.reviewed("3", T + 5, fraud=False)
    said = labels(history, tmp_path)
    assert (said["o-1"], said["o-3"]) == (0, 1)


def test_the_newest_label_counts_by_event_time_however_they_came(tmp_path: Path) -> None:
    history = some()
    history.reviewed("1", at(8), fraud=False, known_ms=at(15))
    assert labels(history, tmp_path)["o-1"] == 1


def test_a_label_that_did_not_count_with_the_workers_does_not_count_here(tmp_path: Path) -> None:
    history = some()
    twin = {"type": "chargeback", "event_id": "twin", "event_time": "2024-10-08T00:00:00Z", "user_id": "ann"}
    history.say("labels", 0, twin | {"order_id": "o-4"}, at(12))
    history.say("labels", 0, twin | {"order_id": "o-5"}, at(12), Verdict.CONFLICT)
    said = labels(history, tmp_path)
    assert (said["o-4"], said["o-5"]) == (1, 0)


def test_an_order_that_came_twice_or_in_a_conflict_is_there_once(tmp_path: Path) -> None:
    history = some()
    copy = {"type": "purchase", "event_id": "e-2", "event_time": "2024-10-06T00:00:00Z", "user_id": "ann"}
    history.say("orders", 0, copy | {"order_id": "o-2"}, at(3), Verdict.DUPLICATE)
    place = history.decided().archived(tmp_path / "a")
    assert [row["order_id"] for row in built(place, tmp_path / "s.parquet")] == [f"o-{n}" for n in range(6)]


def test_an_order_that_came_after_t_is_not_in_the_set(tmp_path: Path) -> None:
    history = some()
    history.order("late", at(3), known_ms=T + 1)
    history.order("later", at(3), known_ms=T)
    place = history.decided().archived(tmp_path / "a")
    assert {"o-later"} == {row["order_id"] for row in built(place, tmp_path / "s.parquet")} - {
        f"o-{n}" for n in range(6)
    }


def test_a_vector_is_the_one_that_was_logged_even_where_a_replay_says_otherwise(tmp_path: Path) -> None:
    place = some(marks=0.5).decided().archived(tmp_path / "a")
    asked = replace(ASKED, source="auto")
    rows = built(place, tmp_path / "s.parquet", asked, rebuild=again(place, asked))
    assert [row["order_amount"] for row in rows] == [5.5 + n for n in range(6)]
    assert not any(row["replayed"] for row in rows)


def test_of_a_decision_that_was_published_twice_the_first_counts(tmp_path: Path) -> None:
    history = some().decided()
    first = history._ranges[1]
    history.decide(first, np.full(len(NAMES), 9.0), score=0.99, recovered=True)
    rows = built(history.archived(tmp_path / "a"), tmp_path / "s.parquet")
    assert (rows[0]["score"], rows[0]["order_amount"], rows[0]["recovered"]) == (0.25, 5.0, False)


def test_what_was_decided_with_other_features_is_replayed_and_is_what_a_worker_would_have_had(tmp_path: Path) -> None:
    live = built(some().decided().archived(tmp_path / "a"), tmp_path / "live.parquet")
    place = some(feature_hash="0" * 16, marks=0.5).decided().archived(tmp_path / "b")
    rows = built(place, tmp_path / "again.parquet", rebuild=again(place, ASKED))
    assert [row["vector"] for row in rows] == [row["vector"] for row in live]
    assert all(row["replayed"] and row["exact"] for row in rows)
    assert {row["feature_hash"] for row in rows} == {"0" * 16}, "which features decided is still told"
    assert rows[0]["score"] == 0.25


def test_without_decisions_a_replay_makes_the_vectors_and_nothing_says_a_score(tmp_path: Path) -> None:
    live = built(some().decided().archived(tmp_path / "a"), tmp_path / "live.parquet")
    place, asked = some().archived(tmp_path / "b"), replace(ASKED, source="replayed")
    rows = built(place, tmp_path / "again.parquet", asked, rebuild=again(place, asked))
    assert [row["vector"] for row in rows] == [row["vector"] for row in live]
    assert [(row["decision_id"], row["score"], row["action"]) for row in rows] == [
        (row["decision_id"], None, None) for row in live
    ]


@pytest.mark.parametrize("source", ["logged", "replayed"])
def test_no_vector_knows_of_anything_after_its_decision(tmp_path: Path, source: Any) -> None:
    """The whole story against the one that ends with each order: other orders, clicks, frauds come behind it."""
    asked = replace(ASKED, source=source)

    def told(upto: int, folder: Path) -> list[dict[str, Any]]:
        history = History()
        for n in range(6):
            history.order(f"{n}", at(n) - (DAY_MS if n == 4 else 0), n % 2, value=5.0 + n)
            if n == upto:
                break
            click = {"type": "page_view", "event_id": f"k{n}", "event_time": "2024-10-04T00:00:00Z", "user_id": "ann"}
            history.say("clickstream", 0, click | {"session_id": "s"}, at(n))
        history.chargeback("1", at(9))
        place = history.decided().archived(folder / "archive")
        return built(place, folder / "set.parquet", asked, rebuild=again(place, asked))

    whole = {row["order_id"]: row["vector"] for row in told(9, tmp_path / "whole")}
    for n in range(6):
        cut = {row["order_id"]: row["vector"] for row in told(n, tmp_path / f"{n}")}
        assert cut[f"o-{n}"] == whole[f"o-{n}"]


def test_the_footer_says_what_the_set_is(tmp_path: Path) -> None:
    built(some().decided().archived(tmp_path / "a"), tmp_path / "s.parquet")
    told = file.about(tmp_path / "s.parquet")
    assert (told["from"], told["labels_as_of"]) == ("2024-10-04T00:00:00.000Z", "2024-10-24T00:00:00.000Z")
    assert told["feature_hash"] == DEFINITIONS.vector.hash
    assert told["counts"] == {"rows": 6, "fraud": 1, "good": 5, "unknown": 0, "matured": 6, "logged": 6, "replayed": 0,
                              "inexact": 0, "undecided": 0}  # fmt: skip


def test_in_a_folder_there_is_a_file_for_each_day(tmp_path: Path) -> None:
    place = some().decided().archived(tmp_path / "a")
    done = build(place, DEFINITIONS, ASKED, tmp_path / "set", rebuild=never, tell=quiet)
    assert [Path(path).parent.name for path in done.files] == [f"date=2024-10-{4 + n:02d}" for n in range(6)]
    with pytest.raises(ArchiveError, match="is not empty"):
        build(place, DEFINITIONS, ASKED, tmp_path / "set", rebuild=never, tell=quiet)


def test_a_window_without_orders_is_a_set_without_rows(tmp_path: Path) -> None:
    place = some().decided().archived(tmp_path / "a")
    empty = replace(ASKED, from_ms=at(6.5), to_ms=at(7))
    assert built(place, tmp_path / "s.parquet", empty) == []


# ---- what the archive lacks


@pytest.mark.parametrize("topic", ["orders", "labels", "applied"])
def test_a_topic_that_is_not_archived_is_named(tmp_path: Path, topic: str) -> None:
    place = some().decided().archived(tmp_path / "a", less=[topic])
    with pytest.raises(ArchiveError, match=topic):
        built(place, tmp_path / "s.parquet")
    assert not (tmp_path / "s.parquet").exists()


def test_without_decisions_it_says_that_a_replay_can_make_them(tmp_path: Path) -> None:
    place = some().archived(tmp_path / "a")
    with pytest.raises(ArchiveError, match=r"orders/0 offset 1 .*no decision of it is archived.*--vectors replayed"):
        built(place, tmp_path / "s.parquet")


def test_a_hole_in_a_topic_is_refused(tmp_path: Path) -> None:
    place = some().decided().archived(tmp_path / "a", a_file=1)
    (gone,) = [one for one in files_of(place, "orders") if one.span.partition == 0 and one.first == 1]
    place.remove(gone.span.path)
    with pytest.raises(ArchiveError, match="orders/0: offsets 1 to 1 are missing"):
        built(place, tmp_path / "s.parquet")


def test_a_window_that_begins_before_the_archive_does_is_refused(tmp_path: Path) -> None:
    place = some().decided().archived(tmp_path / "a", a_file=1)
    for gone in [one for one in files_of(place, "orders") if one.span.partition == 0 and one.first <= 1]:
        place.remove(gone.span.path)
    with pytest.raises(ArchiveError, match=r"orders/0 begins at offset 2 .* dated 2024-10-06"):
        built(place, tmp_path / "s.parquet")
    later = replace(ASKED, from_ms=at(2.5))
    assert [row["order_id"] for row in built(place, tmp_path / "s.parquet", later)] == ["o-3", "o-4", "o-5"]


def test_records_that_no_row_tells_of_yet_are_refused(tmp_path: Path) -> None:
    history = some().decided()
    history.logs["labels", 0].append(history.logs["labels", 0][-1]._replace(offset=2, timestamp=T))
    with pytest.raises(ArchiveError, match="labels/0: what became of offset 2 is not in the archive"):
        built(history.archived(tmp_path / "a"), tmp_path / "s.parquet")


def test_an_archive_that_is_behind_what_was_taken_is_refused(tmp_path: Path) -> None:
    history = some().decided()
    history.logs["orders", 0].pop()
    with pytest.raises(ArchiveError, match="orders/0 is archived up to offset 3, and was taken up to 4"):
        built(history.archived(tmp_path / "a"), tmp_path / "s.parquet")


# ---- the same question is the same bytes

moments = st.floats(-2, 30).map(lambda days: round(days * 24) / 24)
happened = st.lists(st.tuples(moments, st.sampled_from("obgr"), st.integers(0, 5), st.integers(0, 1)), max_size=14)


@given(first=happened, later=happened, sizes=st.tuples(st.integers(1, 5), st.integers(1, 5)))
@settings(max_examples=15, deadline=None)
def test_a_set_that_is_built_again_from_a_longer_archive_is_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, first: Any, later: Any, sizes: tuple[int, int]
) -> None:
    """`later` is what came after T: orders, labels of old orders, corrections, late ones among them."""

    def tell(history: History, events: Any, since_ms: int, part: str) -> None:
        for n, (days, kind, which, partition) in enumerate(events):
            when = at(days)
            known = max(since_ms, when) if part == "later" else min(when, T)
            if kind == "o":
                history.order(f"{part}{n}", min(when, known), partition, known_ms=known, value=1.0 + n)
            elif kind == "b":
                history.chargeback(f"first{which}", min(when, known), known_ms=known, event_id=f"{part}-cb-{n}")
            else:
                history.reviewed(f"first{which}", min(when, known) + n, fraud=kind == "r", known_ms=known + n)

    folder = tmp_path_factory.mktemp("sets")
    content = []
    for name, events, a_file in (("short", (), sizes[0]), ("long", later, sizes[1])):
        history = History()
        history.order("x", at(-3), 0)
        history.order("y", at(-3), 1)
        history.chargeback("x", at(-1))
        tell(history, first, 0, "first")
        tell(history, events, T + HOUR_MS, "later")
        place = history.decided().archived(folder / name, a_file=a_file)
        built(place, folder / f"{name}.parquet")
        content.append(sha256((folder / f"{name}.parquet").read_bytes()).hexdigest())
    assert content[0] == content[1]
