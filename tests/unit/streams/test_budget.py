"""The budget of a state space: rows from definitions and demand, and what no bag may pass."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from features import budget as sampling
from features.columns import Columns
from features.definitions import Definitions, Flow
from features.feature import Count, Distinct, Feature, each
from features.group import Group
from features.shop import shop_definitions
from features.vector import Vector
from features.window import WINDOW_24H, WINDOW_30D
from streams import growth
from streams.budget import Demand, Server, assumed, check_bounds, dealt_with, predict, specimens
from streams.cli import COULD_NOT_RUN, HOLDS, run
from streams.protocol.ports import Stop

SHOP = shop_definitions()
COUNTRY = Group("country", 1, "country", (*each((WINDOW_24H,), Count()), Feature(Distinct("card"), WINDOW_24H)))
OWN = """
from features.columns import Columns
from features.definitions import Definitions, Flow
from features.feature import Count, Distinct, Feature
from features.group import Group
from features.vector import Vector
from features.window import WINDOW_24H

country = Group("country", 1, "country", (Feature(Count(), WINDOW_24H), Feature(Distinct("card"), WINDOW_24H)))
flow = Flow("orders", None, None, None, (country,), scored=True)
definitions = Definitions((flow,), Vector(country.columns, (country,), None))
"""


def own(group: Group) -> Definitions:
    def columns(*_: object) -> Columns:
        raise NotImplementedError

    flow = Flow("orders", columns, columns, columns, (group,), scored=True)  # type: ignore[arg-type]  # never called
    return Definitions((flow,), Vector(group.columns, (group,), lambda _, folded: folded[group.name].T))


def test_every_kind_of_record_has_its_row() -> None:
    found = predict(SHOP, assumed(1_000, 500), Server(), specimens())
    names = [group.name for group in SHOP.groups]
    assert [row.name for row in found.rows] == [*names, "order", "ids", "places"]
    assert found.unknown == ()
    assert found.total_bytes > sum(row.total_bytes for row in found.rows)
    assert all(row.key_bytes > row.bag_bytes for row in found.rows[: len(names)])


def test_an_order_waits_for_its_label_for_120_days() -> None:
    young, old = (
        predict(SHOP, replace(assumed(1_000, 500), since_days=days), Server(), specimens()).rows[-3]
        for days in (10, 1_000)
    )
    assert (young.name, round(young.keys), round(old.keys)) == ("order", 5_000, 60_000)


def test_of_a_meeting_without_specimens_it_says_that_it_knows_nothing() -> None:
    found = predict(SHOP, assumed(100, 50), Server(), {})
    assert found.unknown == ("order",)
    assert "order" not in {row.name for row in found.rows}


@pytest.mark.parametrize("topic", ["orders", "labels", "outcomes"])
@pytest.mark.parametrize("size", [4, 12, 40])
def test_a_specimen_is_taken_by_its_flow(topic: str, size: int) -> None:
    flow = next(flow for flow in SHOP.flows if flow.topic == topic)
    assert flow.decode([specimens(size)[topic]]).faults == {}


def test_longer_ids_take_more_room() -> None:
    short, long = (
        predict(SHOP, replace(assumed(1_000, 500), id_bytes=size), Server(), specimens(size)).total_bytes
        for size in (8, 40)
    )
    assert long > short


def test_counterparties_are_those_told_or_our_share_or_a_few() -> None:
    demand = Demand({"user": 1_000, "card": 3_000, "merchant": 5}, {}, deals={"user.device": 7.0})
    assert dealt_with(demand, "user", "card") == 3
    assert dealt_with(demand, "card", "user") == 1
    assert dealt_with(demand, "user", "device") == 7
    assert dealt_with(demand, "user", "merchant") == 5
    assert dealt_with(demand, "user", "country") == 8


def test_bags_are_compacted_in_the_prediction_as_often_as_by_workers() -> None:
    assert (sampling.NOTABLE, sampling.ENTRY) == (growth.NOTABLE_BYTES, growth.ENTRY_BYTES)


def test_where_ranges_are_short_bags_wait_longer_for_their_compaction() -> None:
    rows = {
        records: {row.name: row.bag_bytes for row in predict(SHOP, assumed(1_000, 5_000), server, specimens()).rows}
        for records in (1.0, 500.0)
        for server in [Server(records_a_range=records)]
    }
    assert rows[1.0]["user"] > 1.05 * rows[500.0]["user"]


def test_the_shop_is_within_bounds() -> None:
    check_bounds(SHOP)


def test_a_group_whose_bag_may_become_too_large_is_refused_with_the_feature_named() -> None:
    features = (
        Feature(Count(), WINDOW_30D),
        Feature(Distinct("card"), WINDOW_30D),
        Feature(Distinct("ip"), WINDOW_24H),
    )
    wide = replace(COUNTRY, features=features, exact=1024)
    with pytest.raises(
        Stop, match=r"group 'country': a bag may come to [\d,]+ bytes.*country_distinct_cards_30d.*exact="
    ):
        check_bounds(own(wide))


def test_the_command_tells_each_group_and_the_total(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["features", "budget", "--users", "1000", "--cards", "2e3", "--orders-per-day", "500"]) == HOLDS
    told = capsys.readouterr()
    assert "used_memory" in told.out
    assert all(group.name in told.out for group in SHOP.groups)
    assert "2,000 card" in told.err


def test_the_command_tells_programs_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["features", "budget", "--users", "1000", "--deals", "user.card=2", "--json"]) == HOLDS
    told = orjson.loads(capsys.readouterr().out)
    assert told["demand"]["deals"]["user.card"] == 2
    assert told["total_bytes"] > sum(row["total_bytes"] for row in told["rows"])


def test_of_definitions_of_ones_own_everything_must_be_told(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"{tmp_path}/own.py"
    with open(path, "w") as file:
        file.write(OWN)
    monkeypatch.setenv("HEADRACE_FEATURES", path)
    assert run(["features", "budget"]) == COULD_NOT_RUN
    assert "--entities country=1000" in capsys.readouterr().err
    assert run(["features", "budget", "--entities", "country=200"]) == COULD_NOT_RUN
    assert "--events orders=1000" in capsys.readouterr().err
    assert run(["features", "budget", "--entities", "country=200", "--events", "orders=5000"]) == HOLDS
    assert "country" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["card", "card=", "=5", "card=many", "card=-1"])
def test_what_is_no_name_and_number_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["features", "budget", "--entities", text]) == COULD_NOT_RUN
    assert "want a name and a number" in capsys.readouterr().err
