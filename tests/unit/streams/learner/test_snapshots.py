"""Snapshots in a registry: what goes on, what is refused, and what is in force."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from models import kinds
from models.blend import Blend
from models.calibration import Beta
from models.collecting import collect
from models.deployments import Change, activated, promoted
from models.registry import Registry
from schemas.deployments import Ref
from schemas.topics import DAY_MS
from streams.learner.online import Kind, Online, Vectors
from streams.learner.snapshots import LabelSnapshots
from streams.protocol.ports import Stop
from tests.unit.streams.learner.rows import COUNTS, VECTORS, Counts, Share, rows

KNOWN = {**kinds.KINDS, "share": "tests.unit.streams.learner.rows:Share"}


@pytest.fixture(autouse=True)
def shares_can_be_loaded() -> Iterator[None]:
    with patch.object(kinds, "KINDS", KNOWN):
        yield


def snapshots(path: Path, vectors: Vectors = VECTORS, topic_id: str = "topic") -> LabelSnapshots:
    return LabelSnapshots(Registry.at(str(path)), vectors, topic_id, "test")


def model(count: int, topic_id: str = "topic") -> Online:
    made = Online.new(COUNTS, VECTORS, topic_id)
    made.take(rows(count))
    return made


def has_member(registry: Registry, member: str, change: Callable[[Ref], Change] = promoted) -> None:
    """A champion, or what the change makes of it, that has such a member."""
    blend = Blend({member: Share(1, 5)}, {member: 1.0}, Beta(), VECTORS.names)
    about: dict[str, Any] = {"feature_hash": VECTORS.hash, "metrics": {}, "data": {}, "seed": 0, "revision": "test"}
    manifest = registry.put(blend, name=f"of-{member}", **about)
    registry.deploy(change(registry.ref(manifest.name, manifest.version)), why="a test", by="tests")


def goes_on(some: LabelSnapshots, kind: Kind = COUNTS, *, end: int) -> Online:
    found = some.going_on(kind, end)
    assert found is not None
    return Online(kind, VECTORS, *found)


def test_the_newest_goes_on(tmp_path: Path) -> None:
    for count in (5, 12, 9):
        assert snapshots(tmp_path).put(model(count).snapshot()) is not None
    found = goes_on(snapshots(tmp_path), end=12)
    assert (found.place, found.learner.state()) == (model(12).place, model(12).learner.state())


def test_without_any_it_begins_at_the_first_record(tmp_path: Path) -> None:
    assert snapshots(tmp_path).going_on(COUNTS, end=12) is None
    assert snapshots(tmp_path).newest("counts") == -1


def test_putting_it_twice_is_once(tmp_path: Path) -> None:
    first = snapshots(tmp_path).put(model(5).snapshot())
    assert snapshots(tmp_path).put(model(5).snapshot()) == first


def test_another_model_under_the_same_offset_is_not_kept(tmp_path: Path) -> None:
    snapshots(tmp_path).put(model(5).snapshot())
    other = model(5)
    other.learner = Counts(4, 5)
    assert snapshots(tmp_path).put(other.snapshot()) is None
    assert goes_on(snapshots(tmp_path), end=5).learner.state() == model(5).learner.state()


def test_a_state_that_was_changed_does_not_go_on_but_the_one_before_does(tmp_path: Path) -> None:
    for count in (5, 12):
        snapshots(tmp_path).put(model(count).snapshot())
    (tmp_path / "counts" / f"{12:020d}" / "card" / "state.json").write_bytes(b"[9, 9]")
    assert goes_on(snapshots(tmp_path), end=12).place == model(5).place
    assert snapshots(tmp_path).newest("counts") == 12


def test_one_that_was_told_otherwise_begins_anew(tmp_path: Path) -> None:
    def refuses(_written: bytes, _names: object) -> Counts:
        raise ValueError("its seed was another")

    snapshots(tmp_path).put(model(5).snapshot())
    assert snapshots(tmp_path).going_on(Kind("counts", COUNTS.new, refuses), end=5) is None


def test_one_for_other_features_begins_anew(tmp_path: Path) -> None:
    snapshots(tmp_path).put(model(5).snapshot())
    others = Vectors(("amount", "other"), "11ff00ff00ff00ff")
    assert snapshots(tmp_path, others).going_on(COUNTS, end=5) is None


def test_a_topic_that_was_made_anew_or_lost_its_end_is_named(tmp_path: Path) -> None:
    snapshots(tmp_path).put(model(5).snapshot())
    with pytest.raises(Stop, match=r"the broker's id is other, snapshots of counts have it as topic: .* Move"):
        snapshots(tmp_path, topic_id="other").going_on(COUNTS, end=5)
    with pytest.raises(Stop, match="ends at offset 4, the newest snapshot of counts has read up to 5"):
        snapshots(tmp_path).going_on(COUNTS, end=4)


def test_in_force_is_the_newest_and_never_an_older_one(tmp_path: Path) -> None:
    one = snapshots(tmp_path)
    has_member(Registry.at(str(tmp_path)), "counts")
    older, newer = one.put(model(5).snapshot()), one.put(model(12).snapshot())
    assert older is not None
    assert newer is not None
    assert (one.deploy({"counts": newer}) or 0) != 0
    assert one.deploy({"counts": older}) is None, "a process that had stood still"
    assert one.deploy({"counts": newer}) is None
    deployment = Registry.at(str(tmp_path)).deployed()
    assert (deployment.online, deployment.by) == ({"counts": newer}, "headrace learn")


def test_a_challenger_that_has_such_a_member_is_enough(tmp_path: Path) -> None:
    registry, one = Registry.at(str(tmp_path)), snapshots(tmp_path)
    ref = one.put(model(5).snapshot())
    assert ref is not None
    has_member(registry, "others")
    assert one.deploy({"counts": ref}) is None
    has_member(registry, "counts", activated)
    assert one.deploy({"counts": ref}) is not None


def test_the_last_good_one_is_what_the_next_snapshot_is_held_to(tmp_path: Path) -> None:
    one = snapshots(tmp_path)
    assert one.sane("counts") is None
    ref = one.put(model(5).snapshot())
    assert ref is not None
    one.keep_sane(ref)
    one.put(model(12).snapshot())  # kept back
    assert snapshots(tmp_path).sane("counts") == ref
    assert snapshots(tmp_path).scorer("counts", ref) == model(5).snapshot().scorer
    assert snapshots(tmp_path, Vectors(("amount",), "11ff00ff00ff00ff")).scorer("counts", ref) is None


def test_learning_goes_on_from_the_newest_few_and_older_ones_lose_their_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.learner.snapshots.STATES", 2)
    one, registry = snapshots(tmp_path), Registry.at(str(tmp_path))
    for count in (5, 12, 13):
        one.put(model(count).snapshot())
    assert [list(registry.card("counts", f"{n:020d}")) for n in (5, 12, 13)] == [[], ["state.json"], ["state.json"]]
    assert registry.load("counts", f"{5:020d}", VECTORS.names, VECTORS.hash).model == model(5).snapshot().scorer
    assert goes_on(snapshots(tmp_path), end=13).place == model(13).place


def test_of_old_ones_that_nobody_needs_the_first_of_each_day_stays(tmp_path: Path) -> None:
    registry = Registry.at(str(tmp_path))
    began_ms, hours = 1_800_000_000_000 // DAY_MS * DAY_MS, iter(range(0, 1_000, 6))
    registry.now_ms = lambda: began_ms + next(hours) * 3_600_000 - 1
    one = LabelSnapshots(registry, VECTORS, "topic", "test")
    for count in range(1, 13):  # the first a moment before day 0, then four a day
        one.put(model(count).snapshot())
    ref = Ref("counts", f"{8:020d}", "")
    registry.now_ms = lambda: began_ms + 9 * DAY_MS
    assert one.thin("counts", {ref.label}) == [f"counts/{n:020d}" for n in (3, 4, 5, 7, 9)]
    assert registry.versions("counts") == [f"{n:020d}" for n in (1, 2, 6, 8, 10, 11, 12)]
    found = one.of_then("counts", 105)  # what is gone is passed over
    assert found is not None
    assert found[0] == f"{2:020d}"


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
    assert collect(Registry.at(str(tmp_path)), [f"counts/{5:020d}"]) == [f"counts/{12:020d}"]
    found = one.of_then("counts", 500)
    assert found is not None
    assert found[0] == f"{5:020d}"
