from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.columns import Columns, Ints
from features.definitions import Definitions, DefinitionsError, Flow, load
from features.entry import own_of
from features.fold import fold
from features.group import Group
from features.shop import shop_definitions
from features.vector import Vector
from schemas.decode import Decoded
from tests.unit.features.build import group

MINIMAL = """
from features.definitions import Definitions, Flow
from features.entry import own_of
from features.fold import fold
from features.feature import MONEY, each
from features.group import Group
from features.vector import Vector
from features.window import WINDOWS

user = Group("user", layout=1, entity="user", features=each(WINDOWS, *MONEY))
flow = Flow("orders", decode=None, identify=None, columns=None, groups=(user,), scored=True)
vector = Vector(user.columns, (user,), lambda columns, folded: folded["user"].T)
definitions = Definitions(flows=(flow,), vector=vector)
"""


def flow(topic: str, *groups: Group, scored: bool = True) -> Flow:
    nothing = np.zeros(0, np.int64)
    return Flow(
        topic,
        decode=lambda values: Decoded([None] * len(values), {}, nothing),
        identify=lambda events: [str(event) for event in events],
        columns=lambda events, at_ms: Columns(len(events), at_ms, at_ms, at_ms, {}, {}, events),
        groups=groups,
        scored=scored,
    )


def columns_of(numbers: Ints, **ids: list[str | None]) -> Columns:
    return Columns(len(numbers), numbers, numbers, numbers, ids, {}, ())


def vector(*groups: Group) -> Vector:
    return Vector(("amount",), groups, lambda columns, _folded: [columns.amount.astype(np.float64)])


def test_a_file_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINIMAL)
    assert [g.name for g in load(file).groups] == ["user"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 +", "SyntaxError"),
        ("import nowhere_to_be_found", "ModuleNotFoundError: .*nowhere_to_be_found"),
        ("x = 1", "exports nothing as `definitions`: want"),
        ("definitions = 3", "exports int as `definitions`"),
        (MINIMAL.replace("layout=1", "layout=99"), "GroupError: group 'user': layout 99"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "broken.py"
    file.write_text(text)
    with pytest.raises(DefinitionsError, match=message) as raised:
        load(file)
    assert str(file) in str(raised.value)


def test_a_missing_file_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(DefinitionsError, match=r"no such file.*HEADRACE_FEATURES"):
        load(tmp_path / "absent.py")


def test_what_is_no_python_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text("")
    with pytest.raises(DefinitionsError, match=r"must end in \.py"):
        load(tmp_path / "rules.toml")


def test_two_different_groups_of_one_name_are_refused() -> None:
    with pytest.raises(DefinitionsError, match="two groups are named 'g'"):
        Definitions((flow("a", group()), flow("b", group(grace_ms=5))), vector(group()))


def test_two_groups_of_one_layout_are_refused() -> None:
    with pytest.raises(DefinitionsError, match="'g' and 'h' have layout 1"):
        Definitions((flow("a", group(), group(name="h")),), vector(group()))


def test_two_flows_of_one_topic_are_refused() -> None:
    with pytest.raises(DefinitionsError, match="two flows of one topic"):
        Definitions((flow("a", group()), flow("a", group())), vector(group()))


def test_a_topic_to_write_that_is_not_in_a_tuple_is_refused() -> None:
    with pytest.raises(DefinitionsError, match=r"""flow 'a': writes='risk': want a tuple, writes=\("risk",\)"""):
        Definitions((replace(flow("a", group()), writes="risk"),), vector(group()))  # type: ignore[arg-type] # the slip


def test_no_flows_are_refused() -> None:
    with pytest.raises(DefinitionsError, match="no flows"):
        Definitions((), vector())


def test_a_vector_reads_only_groups_of_its_flow() -> None:
    with pytest.raises(DefinitionsError, match="flow 'a': its vector reads group 'g': add it"):
        Definitions((flow("a"), flow("b", group(), scored=False)), vector(group()))


def test_a_group_of_several_flows_is_one_group() -> None:
    made = Definitions((flow("a", group()), flow("b", group(), group(name="h", layout=2))), vector(group()))
    assert [g.name for g in made.groups] == ["g", "h"]
    assert made.longest_ms == 60_000


def test_the_layout_changes_with_what_stored_bytes_mean_and_not_with_what_is_read_of_them() -> None:
    def layout(**changes: Any) -> str:
        return Definitions((flow("a", group(**changes)),), vector(group(**changes))).layout

    assert layout(grace_ms=7) == layout(cap=99) == layout()
    assert len({layout(), layout(layout=2), layout(others=("a",)), layout(keep=1)}) == 4


def test_a_vector_has_one_row_per_event_and_contiguous_columns() -> None:
    columns = columns_of(np.array([10, 20]))
    made = Vector(("a", "b"), (), lambda c, _folded: [c.amount.astype(float) / 10, c.at_ms.astype(float) * 2])
    rows = made.rows(columns, {})
    assert rows.tolist() == [[1.0, 20.0], [2.0, 40.0]]
    assert rows[:, 0].flags.c_contiguous


def test_a_vector_that_fills_another_number_of_columns_than_it_names_is_an_error() -> None:
    columns = columns_of(np.array([10]))
    with pytest.raises(ValueError, match="1 columns filled for 2 names"):
        Vector(("a", "b"), (), lambda c, _folded: [c.amount / 10]).rows(columns, {})


def test_the_hash_covers_names_definitions_and_revision() -> None:
    def fill(_columns: Columns, _folded: object) -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
        return []

    made = [
        Vector(("a",), (group(),), fill),
        Vector(("b",), (group(),), fill),
        Vector(("a",), (group(exact=3),), fill),
        Vector(("a",), (group(),), fill, revision=2),
    ]
    assert len({vector.hash for vector in made}) == 4
    assert all(len(vector.hash) == 16 for vector in made)
    assert made[0].hash == Vector(("a",), (group(),), fill).hash


def test_ids_are_hashed_to_30_bits_and_nobody_to_0() -> None:
    columns = columns_of(np.zeros(4, np.int64), card=["a", None, "b", "a"])
    hashes = columns.hashes("card").tolist()
    assert hashes[1] == 0
    assert hashes[0] == hashes[3] != hashes[2]
    assert all(0 < h < 1 << 30 for h in (hashes[0], hashes[2]))


def test_the_example_of_the_documentation_works(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "features.md").read_text()
    file = tmp_path / "mine.py"
    file.write_text(page.split("```python\n")[1].split("```")[0])
    made = load(file)
    [flow] = made.flows
    order = {
        "type": "purchase", "event_id": "e", "event_time": "2026-03-07T12:00:00Z", "user_id": "u", "order_id": "o",
        "value": 2.5, "currency": "EUR", "items": [{"item_id": "i", "price": 2.5, "quantity": 1}],
        "shipping_country": "DE",
    }  # fmt: skip
    decoded = flow.decode([json.dumps(order).encode()])
    columns = flow.columns(decoded.events, decoded.at_ms)
    [country] = made.groups
    keys, own = own_of(country, columns)
    assert keys == ["DE"]
    row = made.vector.rows(columns, {"country": fold(country, [None], np.array([1], np.uint64), own)})
    assert dict(zip(made.vector.names, row[0].tolist(), strict=True))["country_mean_24h"] == 250


def test_what_counts_a_sessions_events_is_a_column_of_its_vector() -> None:
    with pytest.raises(DefinitionsError, match="milestones='session_clicks': `session` has no such column"):
        replace(shop_definitions(), milestones="session_clicks")
