"""A partition's home depends on topic and number alone, and is the same in every process."""

from __future__ import annotations

from streams.protocol.places import home_shard


def test_homes_are_fixed_for_ever() -> None:
    assert [home_shard("orders", partition, 16) for partition in range(4)] == [6, 11, 4, 3]


def test_homes_are_spread() -> None:
    assert len({home_shard(topic, p, 16) for topic in ("orders", "cart", "labels") for p in range(8)}) > 8
