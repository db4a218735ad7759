"""Topology: the table on the page says what the definitions come to."""

from dataclasses import replace

from features.shop import shop_definitions
from schemas.topics import INPUTS, TOPICS, registry_of
from streams import topology
from streams.topology import agents_of, outputs_of, topics_of


def test_the_table_on_the_page_is_what_the_shops_definitions_come_to() -> None:
    """A row that goes on in the next line has no topic there."""
    rows: dict[str, tuple[list[str], list[str]]] = {}
    for line in (topology.__doc__ or "").split("\n\n")[1].splitlines()[2:]:
        bags, writes = rows.setdefault(line[:15].strip() or list(rows)[-1], ([], []))
        bags += line[15:75].split()
        writes += line[75:].split()
    assert rows == {agent.topic: ([*agent.bags], [*agent.writes]) for agent in agents_of(shop_definitions())}


def test_a_worker_of_the_shop_needs_every_topic_that_it_reads_or_writes() -> None:
    its = {name for name, t in TOPICS.items() if "headrace worker" in t.writer or "headrace worker" in t.readers}
    assert set(topics_of(shop_definitions())) == its


def test_inputs_come_first_in_the_order_that_fixes_the_rows_of_applied() -> None:
    assert topics_of(shop_definitions())[: len(INPUTS)] == INPUTS


def test_topics_that_a_flow_names_are_written_and_must_be_there() -> None:
    orders, *others = shop_definitions().flows
    own = replace(orders, outputs=lambda _: [], writes=("risk",))
    definitions = replace(shop_definitions(), flows=(own, *others))
    assert outputs_of(definitions) == ("risk", "outcomes", "anomalies", "sessions")
    assert "risk" in topics_of(definitions)
    assert "risk" in registry_of(INPUTS, outputs_of(definitions))


def test_the_shop_writes_decisions_anomalies_sessions_and_outcomes() -> None:
    assert set(outputs_of(shop_definitions())) == {"fraud", "decisions", "anomalies", "sessions", "outcomes"}


def test_sessions_are_written_only_where_a_column_counts_their_events() -> None:
    assert "sessions" not in topics_of(replace(shop_definitions(), milestones=None))
