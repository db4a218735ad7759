"""What a worker decides by: its rules, its model, and the configuration that a range was begun with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from schemas.decisions import NO_MODEL
from streams.configuration import DEFAULT_RULES
from tests.e2e.test_worker_killed import killed_over_work
from tests.support.events import order, orders
from tests.support.worker import Stream

NEW_RULE = """
[[rule]]
name = "new_and_large"
code = "NEW_ACCOUNT_LARGE"
text = "{order_amount:.2f} by an account first seen {user_since_first_s / 3600:.1f} hours ago"
when = "user_since_first_s < 86400 and order_amount >= 500"
action = "review"
"""
EVERYTHING = """
[[rule]]
name = "{name}"
code = "MARKED"
text = "an order of {{order_amount:.2f}}"
when = "order_amount >= 0"
action = "{action}"
"""


async def decided(stream: Stream) -> dict[str, dict[str, Any]]:
    """By order id; what was decided more than once says the same each time."""
    found = await stream.decisions()
    assert all(len(set(copies)) == 1 for copies in found.values())
    return {name: orjson.loads(copies[0]) for name, copies in found.items()}


async def test_a_rule_of_ones_own_over_a_feature_that_exists_works_without_code(
    embedded_stream: Stream, tmp_path: Path
) -> None:
    rules = tmp_path / "my-rules.toml"
    rules.write_text(DEFAULT_RULES.read_text() + NEW_RULE)
    embedded_stream.worker(RULES=str(rules))
    await embedded_stream.send(order("small"), order("large", after_ms=3_600_000, value=512.0))
    await embedded_stream.settled(2)
    decisions = await decided(embedded_stream)
    assert decisions["o-small"]["action"] == "allow"
    large = decisions["o-large"]
    assert large["action"] == "review"
    assert large["rules"] == ["new_and_large"]
    assert large["reasons"][0]["code"] == "NEW_ACCOUNT_LARGE"
    assert large["reasons"][0]["text"] == "512.00 by an account first seen 1.0 hours ago"
    assert large["model"]["version"] is not None


@pytest.mark.parametrize("what", ["empty folder", "corrupt model"])
async def test_without_a_usable_model_rules_decide_alone_and_say_so(
    embedded_stream: Stream, tmp_path: Path, what: str
) -> None:
    if what == "corrupt model":
        (tmp_path / "model.json").write_text('{"weights": [')
        (tmp_path / "manifest.json").write_text("{}")
    worker = embedded_stream.worker(MODEL=str(tmp_path))
    testing = [order(f"t{n}", "mallory", 1_000 * n, card_id=f"stolen{n}", value=2.0) for n in range(5)]
    await embedded_stream.send(order("plain", "alice"), *testing)
    await embedded_stream.settled(6)
    decisions = await decided(embedded_stream)
    assert {one["model"]["version"] for one in decisions.values()} == {None}
    assert {one["model"]["name"] for one in decisions.values()} == {None}
    assert {one["score"] for one in decisions.values()} == {0.0}
    assert [reason["code"] for reason in decisions["o-plain"]["reasons"]] == [NO_MODEL]
    assert decisions["o-plain"]["action"] == "allow"
    assert decisions["o-t4"]["action"] == "block"
    codes = [reason["code"] for reason in decisions["o-t4"]["reasons"]]
    assert codes[0] == "CARD_TESTING"
    assert NO_MODEL in codes
    assert worker.metric("headrace_no_model") == 1
    assert "no model: rules decide alone" in worker.said


async def test_a_range_begun_under_other_rules_is_decided_by_those_whoever_finishes_it(
    stream: Stream, tmp_path: Path
) -> None:
    """Worker a is killed over open ranges; worker b has other rules, and obeys a's for these alone."""
    for name, action in (("a", "review"), ("b", "block")):
        (tmp_path / f"{name}.toml").write_text(EVERYTHING.format(name=f"rule_{name}", action=action))
    await stream.send(*orders(2_000))
    left = await killed_over_work(stream, RULES=str(tmp_path / "a.toml"), RANGE_RECORDS="50")
    assert left, "the kill met no open range"
    stream.worker(0, RULES=str(tmp_path / "b.toml"))
    await stream.settled(2_000)
    decisions = await decided(stream)
    rules = {name: tuple(one["rules"]) for name, one in decisions.items()}
    configs = {tuple(one["rules"]): one["config"] for one in decisions.values()}
    assert configs.keys() == {("rule_a",), ("rule_b",)}
    assert all(one["config"] == configs[tuple(one["rules"])] for one in decisions.values())
    for record in await stream.read("orders"):
        name = orjson.loads(record.value or b"")["order_id"]
        if record.partition in left:
            begun_by_a = record.offset <= left[record.partition][1]
            assert rules[name] == (("rule_a",) if begun_by_a else ("rule_b",)), (name, record.offset, left)
    for row in await stream.rows():
        if row["partition"] in left and row["first"] <= left[row["partition"]][0] <= row["last"]:
            assert row["config"] == configs["rule_a",]
