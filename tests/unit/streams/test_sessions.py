"""Sessions at their milestones: which are written to `sessions`, and that the bytes are those of the log alone."""

import re
from collections.abc import Sequence
from typing import Any

import pytest

from schemas.decisions import anomaly_id
from schemas.timestamps import rfc3339
from streams.configuration import Chosen, Configuration, configured, rules_text
from streams.outputs import RangeOutputs
from streams.protocol.ports import Batch
from tests.support.sessions import VECTOR as SESSION
from tests.support.sessions import artefact_of, model
from tests.unit.streams.test_work import (
    DEFINITIONS,
    NOW_MS,
    OWN,
    Rec,
    Store,
    click,
    decided,
    empty,
    order,
    range_of,
    values,
    work,
)

CLICKS = [click(offset, "view_item", items=[{"item_id": f"p{offset % 5}"}]) for offset in range(70)]


def sessions(records: Sequence[Rec], topic: str = "clickstream") -> list[Any]:
    return values(decided(work(topic), records), "sessions")


def test_a_session_is_written_down_at_its_4th_8th_16th_event_and_so_on() -> None:
    told = sessions(CLICKS)
    assert [(one["events"], one["offset"]) for one in told] == [(4, 3), (8, 7), (16, 15), (32, 31), (64, 63)]
    assert {one["session_id"] for one in told} == {"s1"}


def test_its_vector_is_under_the_hash_of_sessions_and_names_its_event() -> None:
    first, *_ = sessions(CLICKS)
    told = dict(zip(SESSION.names, first["vector"], strict=True))
    assert (told["session_events"], told["session_distinct_products"], told["visitor_count_1h"]) == (4, 4, 0)
    assert (first["feature_hash"], first["config"], first["score"]) == (SESSION.hash, OWN.id, None)
    assert (first["event_id"], first["topic"], first["partition"], first["recovered"]) == (
        "k3",
        "clickstream",
        0,
        False,
    )


def test_all_sessions_go_to_one_partition_under_their_own_key() -> None:
    out = [one for one in decided(work("clickstream"), CLICKS).records if one.topic == "sessions"]
    assert {(one.partition, one.key) for one in out} == {(0, b"s1")}
    assert [one.offset for one in out] == [3, 7, 15, 31, 63]


def test_events_of_no_session_and_orders_are_written_down_nowhere() -> None:
    assert sessions([click(offset, session=None) for offset in range(9)]) == []
    assert sessions([order(offset, session_id="s1") for offset in range(9)], "orders") == []


def test_however_the_log_is_cut_into_ranges_the_records_are_the_same() -> None:
    def cut(size: int) -> list[bytes]:
        store, found = Store(), list[RangeOutputs]()
        w = work("clickstream")
        for start in range(0, len(CLICKS), size):
            found.append(store.decides(w, CLICKS[start : start + size]))
        return [one.value or b"" for out in found for one in out.records if one.topic == "sessions"]

    assert cut(1) == cut(7) == cut(70)
    assert len(cut(70)) == 5


# ---- which of them are unusual

WITH_MODEL = Chosen(sessions=artefact_of(model()))
AT = 0.95  # what was learned is made up, and little


def watching(unusual_at: float) -> Configuration:
    text = f"{rules_text(DEFINITIONS, None)}\n[session]\nunusual_at = {unusual_at}\n"
    return configured(DEFINITIONS, text, WITH_MODEL)


WATCHING = watching(AT)
BOT = [click(offset, "view_item", items=[{"item_id": f"p{offset}"}]) for offset in range(40)]


def visitor(session: str, first: int, seconds: Sequence[float]) -> list[Rec]:
    """A person's clicks, so many seconds apart."""
    at_ms, records = NOW_MS - 600_000, []
    for number, gap in enumerate(seconds):
        at_ms += round(gap * 1000)
        items = [{"item_id": f"p{number * 7 % 3}"}]
        records.append(
            click(first + number, "view_item", session, items=items, event_time=rfc3339(at_ms), visitor_id=session)
        )
    return records


def watched(records: Sequence[Rec], topic: str = "anomalies", config: Configuration = WATCHING) -> list[Any]:
    w = work("clickstream", config)
    prepared = w.prepare(Batch(records[0].offset, records))
    calls = w.calls(prepared, {}, records[0].offset)
    return values(w.decide(prepared, range_of(records, config=config.id), empty(calls), False), topic)


def test_a_bot_is_unusual_with_the_features_that_make_it_so_and_people_are_not() -> None:
    (found,) = [one for one in watched(BOT) if one["kind"] == "unusual_session"]
    assert (found["session_id"], found["anomaly_id"]) == ("s1", anomaly_id("s1", "unusual_session"))
    whole, *named = found["reasons"]
    assert whole["code"] == "UNUSUAL_SESSION"
    assert whole["value"] >= AT
    assert re.fullmatch(r"more unusual than 9\d\.\d\d % of sessions of late", whole["text"])
    assert named
    assert {one["code"] for one in named} <= {
        f"{side}_{name.upper()}" for side in ("HIGH", "LOW") for name in SESSION.names
    }
    assert all(", usually " in one["text"] for one in named)
    assert watched(visitor("s2", 0, [0, 5, 9, 3, 7, 6, 4, 8, 5, 6])) == []


def test_how_unusual_each_was_is_in_topic_sessions() -> None:
    scores = [one["score"] for one in watched(BOT, "sessions")]
    people = [one["score"] for one in watched(visitor("s2", 0, [0, 5, 9, 3, 7, 6, 4, 8]), "sessions")]
    assert max(scores) >= AT > max(people)
    assert {one["config"] for one in watched(BOT, "sessions")} == {WATCHING.id} != {OWN.id}


def test_a_session_is_told_of_once_however_often_it_doubles() -> None:
    long = [click(offset, "view_item", items=[{"item_id": f"p{offset}"}]) for offset in range(300)]
    assert [one["kind"] for one in watched(long)].count("unusual_session") == 1


def test_the_share_of_sessions_that_are_told_of_is_the_rules_files() -> None:
    kinds = {at: {one["kind"] for one in watched(BOT, config=watching(at))} for at in (0.5, 1.0)}
    assert "unusual_session" in kinds[0.5]
    assert "unusual_session" not in kinds[1.0], "no score reaches 1"


@pytest.mark.parametrize("size", [1, 7])
def test_however_the_log_is_cut_the_same_sessions_are_unusual(size: int) -> None:
    def cut(at_once: int) -> list[tuple[str, bytes]]:
        store, w = Store(), work("clickstream", WATCHING)
        found = []
        for start in range(0, len(BOT), at_once):
            found += store.decides(w, BOT[start : start + at_once], WATCHING.id).records
        return sorted((one.topic, one.value or b"") for one in found)

    assert cut(size) == cut(len(BOT))
    assert {topic for topic, _ in cut(len(BOT))} == {"anomalies", "sessions"}
