"""The board counts what the topics say: once, and only what is of this run."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO

import pytest
from rich.console import Console

from schemas.decisions import Anomaly, AppliedRow, Decision, Model, ReasonCode, encode
from streams.live.board import Balance, Board
from streams.live.view import Picture, Plain, _why, counts, summary

START_MS = 1_700_000_000_000


@dataclass(frozen=True)
class Rec:
    """A record as a consumer gives it."""

    topic: str
    value: bytes | None
    timestamp: int = START_MS
    partition: int = 0
    offset: int = 0
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()


def decision(order_id: str, action: str = "allow", at_ms: int = START_MS + 1) -> Rec:
    made = Decision(
        decision_id=f"d-{order_id}",
        order_id=order_id,
        event_id=f"e-{order_id}",
        user_id="u1",
        event_time="2026-01-01T00:00:00Z",
        score=0.25,
        action=action,  # type: ignore[arg-type]  # a str of a test's parameter
        reasons=[] if action == "allow" else [ReasonCode("CARD_TESTING", "6 cards were tried", 6.0)],
        rules=[] if action == "allow" else ["card_testing_device"],
        model=Model(None, None),
        config="c",
        feature_hash="f",
        recovered=False,
    )
    return Rec("fraud", encode(made), at_ms)


def row(first: int, last: int, topic: str = "orders", **exceptions: list[int]) -> Rec:
    made = AppliedRow(1, topic, 0, "t", first, last, "c", exceptions, [1], False, -1)
    return Rec("applied", encode(made))


def dead_letter(offset: int) -> Rec:
    return Rec("orders.dlq", b"{", headers=(("dlq-partition", b"0"), ("dlq-offset", b"%d" % offset)))


def anomaly(kind: str) -> Rec:
    reasons = [ReasonCode("BOT", "90 events a minute")]
    made = Anomaly("a", kind, "e", "page_view", "2026-01-01T00:00:00Z", None, "v1", "s1", reasons, "c", False)
    return Rec("anomalies", encode(made))


def board_with(*orders: str) -> Board:
    board = Board()
    for order in orders:
        board.sends("orders", order, "normal", START_MS)
    return board


def test_a_decision_that_is_published_twice_counts_once() -> None:
    board = board_with("o1")
    board.reads([decision("o1"), decision("o1")])
    assert board.decided == 1


def test_a_decision_of_an_earlier_run_does_not_count() -> None:
    board = board_with("o1")
    board.reads([decision("of another run", "block")])
    assert board.decided == 0
    assert not board.alerts


def test_it_adds_up_by_what_the_topics_say_and_not_by_subtraction() -> None:
    board = board_with("o1", "o2", "o3")
    board.sends("orders", None, "normal", START_MS)  # a copy
    board.sends("orders", None, "garbage", START_MS)
    board.reads([row(0, 3, duplicate=[2], dead=[3]), dead_letter(3), decision("o1")])
    assert not board.balance().holds  # o2 is done with, and its decision is yet to be read
    board.reads([decision("o2")])
    assert board.balance() == Balance(sent=5, decided=2, copies=1, dead=1, on_the_way=1, twice=0, repeated=0)
    assert board.balance().holds


def test_the_same_bytes_again_are_a_repeat_and_other_bytes_a_second_decision() -> None:
    board = board_with("o1")
    board.reads([decision("o1"), decision("o1")])
    assert (board.balance().repeated, board.balance().twice) == (1, 0)
    board.reads([decision("o1", "block")])
    assert (board.balance().twice, board.balance().holds) == (1, False)
    assert board.action_of("o1") == "allow"


def test_a_range_that_is_published_twice_counts_once() -> None:
    board = Board()
    board.reads([row(0, 9, duplicate=[3]), row(0, 9, duplicate=[3]), row(10, 14)])
    assert board.consumed["orders"] == 15
    assert board.verdicts == {("orders", "duplicate"): 1}


def test_what_workers_tell_each_other_was_sent_by_nobody_and_is_not_counted() -> None:
    board = Board()
    board.reads([row(0, 9), row(0, 4, "outcomes", duplicate=[3])])
    assert board.consumed.total() == 10
    assert board.verdicts == {}


def test_an_alert_carries_the_order_and_the_reasons_in_words() -> None:
    (alert,) = board_with("o1").reads([decision("o1", "block")])
    assert (alert.what, alert.subject, alert.reasons) == ("block", "o1", ("6 cards were tried",))


def test_an_unusual_session_is_an_alert_too() -> None:
    board = Board()
    (alert,) = board.reads([anomaly("bot")])
    assert (alert.what, alert.subject, alert.score) == ("bot", "s1", None)
    assert board.anomalies == {"bot": 1}


def test_a_session_that_is_told_twice_is_one() -> None:
    board = Board()
    board.reads([anomaly("bot")])
    assert board.reads([anomaly("bot")]) == []
    assert board.anomalies == {"bot": 1}


def test_it_is_settled_when_all_that_was_sent_is_consumed_and_every_order_decided() -> None:
    board = board_with("o1")
    assert not board.settled
    board.reads([row(0, 0)])
    assert not board.settled
    board.reads([decision("o1")])
    assert board.settled


def test_orders_that_waited_for_the_first_worker_do_not_count_as_slow() -> None:
    board = board_with("waited")
    board.reads([decision("waited", at_ms=START_MS + 4_000)])
    assert board.latency_ms() is None
    board.sends("orders", "live", "normal", START_MS + 5_000)
    board.reads([decision("live", at_ms=START_MS + 5_020)])
    assert board.latency_ms() == (20.0, 20.0)


def test_the_rate_is_of_the_last_seconds() -> None:
    board = Board()
    board.rate(0.0)
    board.reads([row(0, 99)])
    assert board.rate(1.0) == 100.0
    assert board.rate(2.0) == 50.0
    assert [board.rate(now_s) for now_s in (7.0, 13.0)][-1] == 0.0


def test_dead_letters_count_by_topic() -> None:
    board = Board()
    board.reads([dead_letter(3), dead_letter(4), dead_letter(4)])
    assert board.dead == {"orders.dlq": 2}


def test_the_plain_view_shows_the_first_alerts_of_a_burst_and_counts_the_rest() -> None:
    board = board_with(*map(str, range(10)))
    alerts = board.reads([decision(str(number), "block") for number in range(10)])
    out = StringIO()
    plain = Plain(out)
    plain.show(board, alerts, 1.0)
    plain.show(board, [], 5.0)
    lines = out.getvalue().splitlines()
    assert [line for line in lines if "cards were tried" in line] == lines[:3]
    assert lines[3].endswith("10 orders decided: 10 block, 0 review, 0 allow; 7 more alerts")


def test_the_plain_view_says_that_events_wait_while_the_worker_starts() -> None:
    out = StringIO()
    Plain(out).show(board_with("o1", "o2"), [], 5.0)
    assert out.getvalue() == "  5.0 s  2 events wait for the worker\n"


def test_as_many_reasons_are_shown_as_fit_and_the_rest_counted() -> None:
    reasons = ("a" * 40, "b" * 40, "c" * 40)
    assert _why(reasons, 60) == "a" * 40 + " (+2 more)"
    assert _why(reasons, 100) == "; ".join(reasons[:2]) + " (+1 more)"
    assert _why(reasons, 130) == "; ".join(reasons)
    assert _why(reasons[:1], 10) == reasons[0], "one there always is; the terminal cuts it"


def test_the_summary_says_what_became_of_whom() -> None:
    board = board_with("o1")
    board.sends("orders", "o2", "card_testing", START_MS)
    board.reads([decision("o1"), decision("o2", "block"), row(0, 2, duplicate=[1]), anomaly("bot")])
    told = "\n".join(summary(board, 60.0, 3.25))
    assert "2 events were sent and 3 consumed: 2 orders decided,\n1 duplicates dropped, 0 dead letters" in told
    assert "The first decision came 3.2 s after the start" in told
    assert "card testing                 1        1         0        0" in told
    assert "card_testing_device            1" in told
    assert "Sessions: bot 1." in told


def test_the_picture_shows_counts_and_alerts() -> None:
    board = board_with("o1")
    console = Console(file=StringIO(), force_terminal=True, width=140, height=30, record=True)
    picture = Picture(console, "Headrace", ["broker  127.0.0.1:9092"])
    picture.show(board, board.reads([decision("o1", "block")]), 2.0)
    picture.say("worker 0 has ended")
    picture.show(board, [], 3.0)
    picture.close()
    shown = console.export_text()
    assert all(word in shown for word in ("6 cards were tried", "127.0.0.1:9092", "worker 0 has ended", "dead letters"))


def test_the_summary_of_a_run_that_was_too_short_says_so() -> None:
    assert any("still starting" in line for line in summary(Board(), 3.0, None))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (160, 50)])
def test_the_picture_fits_its_terminal_and_cuts_no_short_reason(width: int, height: int) -> None:
    board = board_with(*map(str, range(100)))
    console = Console(file=StringIO(), force_terminal=True, width=width, height=height, record=True)
    picture = Picture(console, "Headrace", [f"address {number}" for number in range(7)])
    picture.say("worker 0 has ended\nstarting it again at once")
    picture.show(board, board.reads([decision(str(number), "block") for number in range(100)]), 2.0)
    shown = console.export_text().split("\x1b")[-1].rstrip().splitlines()
    picture.close()
    assert len(shown) <= height
    assert max(map(len, shown)) <= width
    text = "\n".join(shown)
    assert "starting it again" in text
    assert "6 cards were tried" in text
    assert text.count("block") > 3
    assert "…" not in text


def test_the_line_of_counts_names_the_latency_once_it_is_known() -> None:
    board = board_with("o1")
    board.first_decision_ms = START_MS
    board.reads([decision("o1", at_ms=START_MS + 7)])
    assert counts(board, 1.0).endswith("p50 7 ms, p99 7 ms")
