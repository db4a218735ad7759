"""What a few keys tell of all."""

from __future__ import annotations

import pytest

from streams.stores.sampling import Census, Drawn


def test_keys_and_bytes_are_those_of_the_sample_times_what_it_stands_for() -> None:
    found = Census().look([Drawn("a", 100, [("user", 300), ("user", 500), ("card", 200), (None, 50)])])
    assert found == {"user": (50.0, 20_000.0), "card": (25.0, 5_000.0)}


def test_servers_add_up_each_with_its_own_keys() -> None:
    found = Census().look([Drawn("a", 100, [("user", 300)]), Drawn("b", 10, [("user", 100), ("card", 100)])])
    assert found == {"user": (105.0, 30_500.0), "card": (5.0, 500.0)}


def test_looks_add_up_and_older_ones_fade() -> None:
    census = Census()
    census.look([Drawn("a", 100, [("user", 100)])])
    assert census.look([Drawn("a", 100, [("card", 100)])])["user"][0] == pytest.approx(100 * 0.8 / 1.8)
    for _ in range(30):
        found = census.look([Drawn("a", 100, [("card", 100)])])
    assert found["user"][0] < 1


def test_an_empty_server_has_nothing() -> None:
    assert Census().look([Drawn("a", 0, [])]) == {}
