"""Topology: the table on the page says what the definitions come to."""

from features.shop import shop_definitions
from schemas.topics import INPUTS, TOPICS
from streams import topology
from streams.topology import agents_of, outputs_of, topics_of


def test_the_table_on_the_page_is_what_the_shops_definitions_come_to() -> None:
    page = topology.__doc__ or ""
    rows = {line.split()[0]: line for line in page.splitlines() if line.strip() and line.split()[0] in INPUTS}
    for agent in agents_of(shop_definitions()):
        named = rows[agent.topic].split()[2:]
        assert [name for name in named if name != "-"] == [*agent.bags, *agent.writes]


def test_a_worker_of_the_shop_needs_every_topic_of_the_registry() -> None:
    assert set(topics_of(shop_definitions())) == set(TOPICS)


def test_inputs_come_first_in_the_order_that_fixes_the_rows_of_applied() -> None:
    assert topics_of(shop_definitions())[: len(INPUTS)] == INPUTS


def test_the_shop_writes_decisions_and_anomalies() -> None:
    assert set(outputs_of(shop_definitions())) == {"fraud", "decisions", "anomalies"}
