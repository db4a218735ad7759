"""Snapshots in a registry: what goes on, what is refused, and what is in force."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from models import kinds
from models.registry import Registry
from streams.learner.online import Kind, Online, Vectors
from streams.learner.snapshots import Snapshots
from streams.protocol.ports import Stop
from tests.unit.streams.learner.rows import COUNTS, VECTORS, Counts, rows

KNOWN = {**kinds.KINDS, "share": "tests.unit.streams.learner.rows:Share"}


@pytest.fixture(autouse=True)
def shares_can_be_loaded() -> Iterator[None]:
    with patch.object(kinds, "KINDS", KNOWN):
        yield


def snapshots(path: Path, vectors: Vectors = VECTORS, topic_id: str = "topic") -> Snapshots:
    return Snapshots(Registry.at(str(path)), vectors, topic_id, "test")


def model(count: int, topic_id: str = "topic") -> Online:
    made = Online.new(COUNTS, VECTORS, topic_id)
    made.take(rows(count))
    return made


def test_the_newest_goes_on(tmp_path: Path) -> None:
    for count in (5, 12, 9):
        assert snapshots(tmp_path).put(model(count).snapshot()) is not None
    found = snapshots(tmp_path).model(COUNTS, end=12)
    assert (found.place, found.learner.state()) == (model(12).place, model(12).learner.state())


def test_without_any_it_begins_at_the_first_record(tmp_path: Path) -> None:
    assert snapshots(tmp_path).model(COUNTS, end=12).place.rows == 0
    assert snapshots(tmp_path).newest("counts") is None


def test_putting_it_twice_is_once(tmp_path: Path) -> None:
    first = snapshots(tmp_path).put(model(5).snapshot())
    assert snapshots(tmp_path).put(model(5).snapshot()) == first


def test_another_model_under_the_same_offset_is_not_kept(tmp_path: Path) -> None:
    snapshots(tmp_path).put(model(5).snapshot())
    other = model(5)
    other.learner = Counts(4, 5)
    assert snapshots(tmp_path).put(other.snapshot()) is None
    assert snapshots(tmp_path).model(COUNTS, end=5).learner.state() == model(5).learner.state()


def test_a_state_that_was_changed_does_not_go_on_but_the_one_before_does(tmp_path: Path) -> None:
    for count in (5, 12):
        snapshots(tmp_path).put(model(count).snapshot())
    (tmp_path / "counts" / f"{12:020d}" / "card" / "state.json").write_bytes(b"[9, 9]")
    assert snapshots(tmp_path).model(COUNTS, end=12).place == model(5).place
    assert snapshots(tmp_path).newest("counts") is not None


def test_one_that_was_told_otherwise_begins_anew(tmp_path: Path) -> None:
    def refuses(_written: bytes, _names: object) -> Counts:
        raise ValueError("its seed was another")

    snapshots(tmp_path).put(model(5).snapshot())
    found = snapshots(tmp_path).model(Kind("counts", COUNTS.new, refuses), end=5)
    assert (found.place.offset, found.learner.state()) == (0, b"[0, 0]")


def test_one_for_other_features_begins_anew(tmp_path: Path) -> None:
    snapshots(tmp_path).put(model(5).snapshot())
    others = Vectors(("amount", "other"), "11ff00ff00ff00ff")
    assert snapshots(tmp_path, others).model(COUNTS, end=5).place.offset == 0


def test_a_topic_that_was_made_anew_or_lost_its_end_is_named(tmp_path: Path) -> None:
    snapshots(tmp_path).put(model(5).snapshot())
    with pytest.raises(Stop, match=r"the broker's id is other, snapshots of counts have it as topic: .* Move"):
        snapshots(tmp_path, topic_id="other").model(COUNTS, end=5)
    with pytest.raises(Stop, match="ends at offset 4, the newest snapshot of counts has read up to 5"):
        snapshots(tmp_path).model(COUNTS, end=4)


def test_in_force_is_the_newest_and_never_an_older_one(tmp_path: Path) -> None:
    one = snapshots(tmp_path)
    older, newer = one.put(model(5).snapshot()), one.put(model(12).snapshot())
    assert older is not None
    assert newer is not None
    assert (one.deploy({"counts": newer}) or 0) != 0
    assert one.deploy({"counts": older}) is None, "a process that had stood still"
    assert one.deploy({"counts": newer}) is None
    deployment = Registry.at(str(tmp_path)).deployed()
    assert (deployment.online, deployment.by) == ({"counts": newer}, "headrace learn")


def test_what_is_in_force_is_what_the_next_snapshot_is_held_to(tmp_path: Path) -> None:
    one = snapshots(tmp_path)
    assert one.in_force("counts") is None
    ref = one.put(model(5).snapshot())
    assert ref is not None
    one.deploy({"counts": ref})
    one.put(model(12).snapshot())  # kept back
    assert snapshots(tmp_path).in_force("counts") == model(5).snapshot().scorer
    assert snapshots(tmp_path, Vectors(("amount",), "11ff00ff00ff00ff")).in_force("counts") is None


def test_the_snapshot_of_then_knew_nothing_that_was_due_later(tmp_path: Path) -> None:
    one = snapshots(tmp_path)
    for count in (5, 12):
        one.put(model(count).snapshot())  # their last rows were due at 104 and 111
    for at_ms, version in ((104, None), (105, 5), (111, 5), (112, 12), (500, 12)):
        found = snapshots(tmp_path).of_then("counts", at_ms)
        assert found == (version and (f"{version:020d}", model(version).snapshot().scorer))
        assert one.of_then("counts", at_ms) == found


def test_a_snapshot_that_was_collected_is_passed_over(tmp_path: Path) -> None:
    one = snapshots(tmp_path)
    for count in (5, 12):
        one.put(model(count).snapshot())
    assert Registry.at(str(tmp_path)).collect([f"counts/{5:020d}"]) == [f"counts/{12:020d}"]
    found = one.of_then("counts", 500)
    assert found is not None
    assert found[0] == f"{5:020d}"
