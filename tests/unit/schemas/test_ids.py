"""Hashes and partitions: Java's partitions, in batches and alone."""

from __future__ import annotations

import hashlib

import pytest
from aiokafka.partitioner import murmur2 as aiokafka_murmur2  # type: ignore[import-untyped] # it has no types
from hypothesis import given
from hypothesis import strategies as st

from schemas import ids

JAVA = {  # org.apache.kafka.common.utils.UtilsTest.testMurmur2
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
KEYS = st.lists(st.one_of(st.binary(max_size=20), st.binary(max_size=600)), max_size=30)


@pytest.mark.parametrize("key", JAVA)
def test_murmur2_is_javas(key: bytes) -> None:
    assert ids.murmur2(key) == JAVA[key] & 0xFFFF_FFFF
    assert ids.murmur2_batch([key]).tolist() == [JAVA[key] & 0xFFFF_FFFF]


@given(st.binary(max_size=64))
def test_murmur2_is_that_of_another_client(key: bytes) -> None:
    assert ids.murmur2(key) == aiokafka_murmur2(key) & 0xFFFF_FFFF


@given(KEYS, st.integers(1, 100))
def test_a_batch_is_the_same_as_one_by_one_the_first_time_and_the_second(keys: list[bytes], partitions: int) -> None:
    alone = [ids.partition_for(key, partitions) for key in keys]
    assert ids.partitions_for(keys, partitions) == alone
    assert ids.partitions_for(keys, partitions) == alone


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "CACHED_KEYS", 100)
    monkeypatch.setattr(ids, "_KNOWN", {})
    for start in range(0, 1000, 50):
        keys = [b"u%d" % at for at in range(start, start + 50)] + [b"x" * 65]
        assert ids.partitions_for(keys, 7) == [ids.partition_for(key, 7) for key in keys]
        assert len(ids._KNOWN) <= 100
        assert b"x" * 65 not in ids._KNOWN


def test_more_new_keys_than_the_cache_holds_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "CACHED_KEYS", 10)
    monkeypatch.setattr(ids, "_KNOWN", {})
    keys = [b"u%d" % at for at in range(50)]
    assert ids.partitions_for(keys, 7) == [ids.partition_for(key, 7) for key in keys]


def test_a_text_and_its_bytes_have_one_hash() -> None:
    assert ids.hash64("käse") == ids.hash64("käse".encode()) == ids.hashes64(["käse"])[0]
    assert ids.hash32("käse") == ids.hash64("käse") & 0xFFFF_FFFF == ids.payload_hashes(["käse".encode()])[0]


def test_hashes_never_change() -> None:
    assert ids.hash64("") == 0x2D06800538D394C2  # XXH3_64bits of nothing, by its author's test vectors
    assert ids.hashes64([]).tolist() == ids.payload_hashes([]).tolist() == []


def test_a_decision_id_is_half_a_sha256_of_the_event_id() -> None:
    assert ids.decision_id("e1") == hashlib.sha256(b"e1").digest()[:16].hex()
