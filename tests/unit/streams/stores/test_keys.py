"""Keys put a shard's state into one slot, and a batch's entities find their bags again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from streams.protocol.ports import Tp
from streams.stores import keys

TP = Tp("orders", 7, "id")
names = st.text(min_size=1, max_size=12)
entities = st.lists(names, unique=True, max_size=40)


def part(group: str, of: list[str]) -> keys.Part:
    return keys.Part(group, 32, of, [f"{group} {name}".encode() for name in of])


@given(shard=st.integers(0, 1023), entity=names)
def test_every_key_of_a_shard_is_in_the_slot_of_its_number(shard: int, entity: str) -> None:
    own = [keys.at_key(shard), keys.home_key(shard), keys.space_key(shard), keys.exits_key(shard)]
    logs = [keys.ids_key(shard, TP), keys.verdicts_key(shard, TP), b"{%d}user:%b" % (shard, entity.encode())]
    assert {key_slot(key) for key in own + logs} == {key_slot(b"%d" % shard)}
    assert {keys.shard_of_ours(key) for key in own + logs} == {shard}


@given(users=entities, cards=entities, shards=st.sampled_from([1, 3, 16]))
def test_bags_come_back_to_the_entities_that_they_belong_to(users: list[str], cards: list[str], shards: int) -> None:
    spread = keys.spread([part("user", users), part("card", cards)], shards)
    assert [call.shard for call in spread.calls] == list(range(shards))
    found = spread.gather([call.payloads for call in spread.calls])
    assert found == [[f"user {n}".encode() for n in users], [f"card {n}".encode() for n in cards]]


@given(users=entities)
def test_a_spread_entity_has_the_key_and_shard_of_bag_key(users: list[str]) -> None:
    spread = keys.spread([part("user", users)], 16)
    (found,), (owners,) = spread.gather([call.keys for call in spread.calls]), spread.owners()
    assert list(zip(owners, found, strict=True)) == [keys.bag_key("user", name, 16) for name in users]


def test_groups_of_other_entry_sizes_keep_their_size() -> None:
    spread = keys.spread([part("user", ["a"]), keys.Part("wide", 64, ["b"], [b""])], 1)
    assert list(spread.calls[0].sizes) == [32, 64]


def test_the_same_entity_in_two_groups_has_two_bags() -> None:
    assert keys.bag_key("user", "x", 16)[1] != keys.bag_key("card", "x", 16)[1]


@pytest.mark.parametrize("key", [b"stranger", b"{x}user:a", b"{3}", b"{3}:other", b"{3}user", b"a{3}user:b"])
def test_a_strangers_key_is_not_ours(key: bytes) -> None:
    assert keys.shard_of_ours(key) is None


def test_a_bag_never_looks_like_a_key_without_a_life_span() -> None:
    assert keys.WITHOUT_TTL.fullmatch(keys.bag_key("at", "home", 16)[1]) is None
    assert keys.BAG.fullmatch(keys.at_key(3)) is None
    assert keys.BAG.fullmatch(keys.config_key("c", 16)[1]) is None
