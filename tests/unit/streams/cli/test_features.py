"""`headrace features ls` and `docs`: of the shop, and of definitions of one's own."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from features.shop import shop_definitions
from streams.cli import COULD_NOT_RUN, HOLDS, run

OWN = """
from features.definitions import Definitions, Flow
from features.feature import Count, Feature, Mean
from features.group import Group
from features.vector import Vector
from features.window import WINDOW_24H

country = Group("country", 4, "country", (Feature(Count(), WINDOW_24H), Feature(Mean(), WINDOW_24H, of=0x2)))
flow = Flow("orders", None, None, None, (country,), scored=True)
definitions = Definitions((flow,), Vector(country.columns, (country,), None))
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    monkeypatch.setenv("HEADRACE_FEATURES", str(path))


def test_every_feature_of_the_shop_is_listed_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["features", "ls", "--json"]) == HOLDS
    told = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["column"] for one in told] == [name for group in shop_definitions().groups for name in group.columns]
    (risk,) = (one for one in told if one["column"] == "card_risk_7d")
    assert (risk["window"], risk["delay"], risk["of"], risk["current"], risk["order"]) == (
        "7 d",
        "7 d",
        "known fraud less fraud taken back, of order",
        True,
        "any",
    )
    assert len(risk["definition"]) == 8


def test_people_see_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["features", "ls"]) == HOLDS
    told = capsys.readouterr().out
    assert all(name in told for group in shop_definitions().groups for name in group.columns)


@pytest.mark.usefixtures("own")
def test_definitions_of_ones_own_are_listed_and_make_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["features", "ls", "--json"]) == HOLDS
    count, mean = (orjson.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (count["column"], count["group"], count["layout"]) == ("country_count_24h", "country", 4)
    assert mean["of"] == "kind 0x2"
    assert run(["features", "docs"]) == HOLDS
    page = capsys.readouterr().out
    assert page.startswith("# Features\n\n## country\n")
    assert "| `country_mean_24h` |" in page


def test_a_group_that_nobody_defined_is_refused_before_the_store_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["features", "show", "nobody:1"]) == COULD_NOT_RUN
    assert "the groups are user, card" in capsys.readouterr().err
