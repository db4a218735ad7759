"""What the registry promises wherever it lies: one suite, on a folder and on a real S3 server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from models.collecting import HALF_PUT_MS, collect, later_of_their_day
from models.deployments import DeploymentError, activated, deactivated, named_since, online, promoted, rolled_back
from models.documents import ArtefactError
from models.logistic import Input, Logistic
from models.registry import Registry, RegistryError
from schemas.deployments import Deployment, Ref
from storage.errors import StorageDown
from storage.places import Place

NAMES = ("amount", "count")
HASH = "f" * 16
ABOUT: dict[str, Any] = {"feature_hash": HASH, "metrics": {"ap": 0.7}, "data": {}, "seed": 1, "revision": "r"}
WHO: dict[str, str] = {"why": "a test", "by": "tests"}


def model(weight: float = 0.5) -> Logistic:
    return Logistic([Input("amount", 40.0, 0.0, 1e5, weight)], -3.0, NAMES)


class Clock:
    ms = 1_800_000_000_000

    def __call__(self) -> int:
        self.ms += 1
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(place: Place, clock: Clock) -> Registry:
    place.check()
    return Registry(place, clock)


def put(registry: Registry, name: str = "shop", weight: float = 0.5, **more: Any) -> Ref:
    manifest = registry.put(model(weight), name=name, **ABOUT, **more)
    return Ref(manifest.name, manifest.version, manifest.model_hash)


# ---------------------------------------------------------------- models


def test_what_was_put_is_what_is_loaded(registry: Registry) -> None:
    manifest = registry.put(model(), name="shop", card={"card.md": b"# Shop", "roc.png": b"\x89PNG"}, **ABOUT)
    assert (manifest.version, registry.names(), registry.versions("shop")) == ("1", ["shop"], ["1"])
    loaded = registry.load("shop", "1", NAMES, HASH)
    x = np.random.default_rng(1).lognormal(3, 2, (50, 2))
    assert loaded.model.score(x).tobytes() == model().score(x).tobytes()
    assert loaded.manifest == registry.manifest("shop", "1") == manifest
    assert registry.card("shop", "1") == {"card.md": b"# Shop", "roc.png": b"\x89PNG"}
    assert registry.files("shop", "1").keys() == {"model.json", "manifest.json"}


def test_versions_are_whole_numbers_in_their_order_unless_they_are_named(registry: Registry) -> None:
    for _ in range(11):
        put(registry)
    put(registry, version="2026-11-22")
    assert registry.versions("shop") == [*map(str, range(1, 12)), "2026-11-22"]
    assert put(registry).version == "12"


def test_a_number_that_was_removed_is_given_again_only_if_it_was_the_last(registry: Registry) -> None:
    for _ in range(3):
        put(registry)
    collect(registry, {"shop/1", "shop/3"})
    assert put(registry).version == "4"


def test_an_empty_registry_has_nothing(registry: Registry) -> None:
    assert (registry.names(), registry.versions("shop"), list(registry.history())) == ([], [], [])
    assert registry.deployed() == Deployment.none()
    with pytest.raises(ArtefactError, match=r"shop/1/manifest.json: not in the registry"):
        registry.load("shop", "1", NAMES, HASH)


def test_puts_at_once_have_numbers_of_their_own_and_none_is_half(registry: Registry) -> None:
    done, seen = threading.Event(), list[float]()

    def look() -> None:
        while not done.is_set():
            for version in registry.versions("shop"):
                registry.load("shop", version, NAMES, HASH)
                seen.append(1)

    looking = threading.Thread(target=look)
    looking.start()
    with ThreadPoolExecutor(8) as pool:
        refs = list(pool.map(lambda n: put(registry, weight=n / 10), range(24)))
    done.set()
    looking.join()
    assert sorted(int(ref.version) for ref in refs) == list(range(1, 25))
    for n, ref in enumerate(refs):
        loaded = registry.of(ref, NAMES, HASH)
        assert loaded.model.files() == model(n / 10).files()


def test_the_same_model_put_twice_at_once_is_there_twice(registry: Registry) -> None:
    with ThreadPoolExecutor(8) as pool:
        refs = list(pool.map(lambda _: put(registry), range(8)))
    assert len({ref.version for ref in refs}) == 8


def test_a_named_version_put_again_is_the_same_one(registry: Registry) -> None:
    """A learner that was killed makes the snapshot of an offset again."""
    first = put(registry, version="00000000000000000017")
    assert put(registry, version="00000000000000000017") == first
    with pytest.raises(RegistryError, match="is there and is another model: versions are never changed"):
        put(registry, weight=9.0, version="00000000000000000017")
    assert registry.of(first, NAMES, HASH).model.files() == model().files()


class Killed(BaseException):
    """The writer ends where it stands."""


def dying(place: Place, verb: str, times: int) -> Any:
    """The place for somebody who dies when the verb has been done so often."""
    left = iter(range(times))

    class Dying:
        def __getattr__(self, name: str) -> Any:
            done = getattr(place, name)
            if name != verb:
                return done

            def once_more(*given: Any, **more: Any) -> Any:
                if next(left, None) is None:
                    raise Killed
                return done(*given, **more)

            return once_more

    return Dying()


@pytest.mark.parametrize("commits", [0, 1, 2, 3])
def test_a_writer_that_dies_leaves_nothing_to_see_and_nobody_in_the_way(registry: Registry, commits: int) -> None:
    writer = Registry(dying(registry.place, "commit", commits), registry.now_ms)
    with pytest.raises(Killed):
        put(writer, card={"card.md": b"x"})
    with pytest.raises(Killed):
        put(Registry(dying(registry.place, "commit", commits), registry.now_ms), version="17", card={"card.md": b"x"})
    assert registry.names() == []
    assert put(registry, version="17").version == "17"
    assert registry.of(put(registry), NAMES, HASH).model.files() == model().files()


def test_what_a_dead_writer_left_is_collected_a_day_later(registry: Registry, clock: Clock) -> None:
    with pytest.raises(Killed):
        put(Registry(dying(registry.place, "commit", 2), clock))
    assert collect(registry, ()) == []
    clock.ms += HALF_PUT_MS
    assert collect(registry, ()) == ["shop/1"]
    assert registry.place.list() == []


def test_a_model_that_was_cut_or_is_for_other_features_is_refused_by_name(registry: Registry) -> None:
    ref = put(registry)
    with pytest.raises(ArtefactError, match=r"shop/1 was fitted for features f+, this worker computes 0+"):
        registry.of(ref, NAMES, "0" * 16)
    whole = registry.files("shop", "1")["model.json"]
    registry.place.commit("shop/1/model.json", whole[: len(whole) // 2])
    with pytest.raises(ArtefactError, match=r"shop/1/model.json: its SHA-256 is"):
        registry.of(ref, NAMES, HASH)
    registry.place.remove("shop/1/model.json")
    with pytest.raises(ArtefactError, match=r"shop/1/model.json: not in the registry"):
        registry.of(ref, NAMES, HASH)


def test_a_version_that_was_replaced_by_hand_is_not_the_one_in_force(registry: Registry) -> None:
    ref = put(registry)
    other = put(registry, "other", 9.0)
    for file, content in registry.files(other.name, other.version).items():
        registry.place.commit(f"shop/1/{file}", content)
    with pytest.raises(ArtefactError, match=r"shop/1: .*its files were replaced by hand"):
        registry.of(ref, NAMES, HASH)


@pytest.mark.parametrize("name", ["../shop", "Shop", "a/b", "", ".shop", "x" * 65])
def test_a_name_that_leads_elsewhere_is_refused(registry: Registry, name: str) -> None:
    for asked in (lambda: put(registry, name), lambda: registry.versions(name), lambda: registry.manifest("x", name)):
        with pytest.raises(ArtefactError, match="want small letters"):
            asked()


def test_names_that_the_registry_needs_itself_are_refused(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="the registry keeps deployments there"):
        put(registry, "deployments")
    with pytest.raises(RegistryError, match=r"card file '../x'"):
        put(registry, card={"../x": b""})


# ---------------------------------------------------------------- deployments


def test_each_change_is_a_deployment_and_the_newest_is_in_force(registry: Registry) -> None:
    first, second = put(registry), put(registry, weight=0.6)
    assert registry.deploy(promoted(first), **WHO).number == 1
    done = registry.deploy(promoted(second), why="better", by="somebody")
    assert registry.deployed() == done
    assert (done.number, done.champion, done.why, done.by) == (2, second, "better", "somebody")
    assert [one.champion for one in registry.history()] == [second, first]
    assert [one.number for one in registry.history()] == [2, 1]


def test_a_change_that_changes_nothing_is_no_deployment(registry: Registry) -> None:
    done = registry.deploy(promoted(put(registry)), **WHO)
    assert done.champion is not None
    assert registry.deploy(promoted(done.champion), **WHO) == done
    assert len(list(registry.history())) == 1


def test_deployments_made_at_once_lose_none(registry: Registry) -> None:
    refs = [put(registry, f"m{n}", version="1") for n in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda ref: registry.deploy(activated(ref), **WHO), refs))
    assert {ref.name for ref in registry.deployed().challengers} == {ref.name for ref in refs}
    numbers = [one.number for one in registry.history()]
    assert numbers == list(range(12, 0, -1))
    times = [one.at_ms for one in registry.history()]
    assert times == sorted(times, reverse=True)


def test_the_newest_is_found_from_any_number_that_was_the_newest(registry: Registry) -> None:
    refs = [put(registry), put(registry, weight=0.7)]
    for n in range(20):
        registry.deploy(promoted(refs[n % 2]), **WHO)
    assert [registry.deployed(since=n).number for n in (0, 1, 7, 19, 20, 99)] == [20] * 6


def test_a_deployment_that_was_changed_by_hand_is_named(registry: Registry) -> None:
    registry.place.commit("deployments/00000001.json", b"{")
    with pytest.raises(RegistryError, match=r"deployments/00000001.json is no deployment"):
        registry.deployed()


@pytest.fixture
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.deployment_log.PACK", 4)
    monkeypatch.setattr("models.registry.PACK", 4)


def deployed_often(registry: Registry, times: int) -> list[Deployment]:
    refs = [put(registry), put(registry, weight=0.7)]
    return [registry.deploy(promoted(refs[n % 2]), **WHO) for n in range(times)]


def listed(registry: Registry) -> list[str]:
    return sorted(path.removeprefix("deployments/") for path, _ in registry.place.list("deployments"))


PACKS = [f"{n:08d}-{n + 3:08d}.ndjson" for n in (1, 5, 9)]


@pytest.mark.usefixtures("small_packs")
def test_old_deployments_are_packed_and_none_is_lost(registry: Registry) -> None:
    made = deployed_often(registry, 18)
    assert listed(registry) == sorted(PACKS + [f"{n:08d}.json" for n in range(13, 19)])
    assert list(registry.history()) == made[::-1]
    assert [registry.deployed(since=n).number for n in (0, 1, 4, 9, 15, 18)] == [18] * 6


@pytest.mark.usefixtures("small_packs")
@pytest.mark.parametrize("verb", ["commit", "remove"])
@pytest.mark.parametrize("times", [0, 1, 2, 5])
def test_a_packer_that_dies_loses_none_and_the_next_one_goes_on(registry: Registry, verb: str, times: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.registry.PACK", 10_000)
        made = deployed_often(registry, 14)
    with pytest.raises(Killed):
        Registry(dying(registry.place, verb, times if verb == "remove" else times % 2), registry.now_ms).tidy()
    assert list(registry.history()) == made[::-1]
    registry.tidy()
    assert listed(registry) == sorted(PACKS[:2] + [f"{n:08d}.json" for n in range(9, 15)])
    assert list(registry.history()) == made[::-1]


@pytest.mark.usefixtures("small_packs")
def test_who_stood_still_while_its_number_was_packed_takes_another(registry: Registry) -> None:
    made, late = deployed_often(registry, 14), put(registry, weight=0.9)
    behind = iter([made[4]])  # what it had read before it stood still

    class Late(Registry):
        def deployed(self, since: int = 0) -> Deployment:
            return next(behind, None) or super().deployed(since)

    done = Late(registry.place, registry.now_ms).deploy(promoted(late), **WHO)
    assert (done.number, registry.deployed()) == (15, done)
    assert list(registry.history()) == [done, *made[::-1]]


# ---------------------------------------------------------------- what changes do

A, B, C = (Ref(name, "1", name * 8) for name in "abc")


def after(*changes: Callable[[Deployment], Deployment]) -> list[Deployment]:
    """The deployments, newest first."""
    made = [Deployment.none()]
    for change in changes:
        made.insert(0, replace(change(made[0]), number=len(made), at_ms=len(made) * 1000))
    return made[:-1]


def test_a_challenger_that_is_promoted_is_no_challenger_any_more() -> None:
    now = after(promoted(A), activated(B), activated(C), promoted(B))[0]
    assert (now.champion, now.challengers) == (B, (C,))


def test_another_version_of_a_challenger_takes_its_place() -> None:
    newer = Ref("b", "2", "n")
    assert after(activated(B), activated(newer))[0].challengers == (newer,)


def test_the_champion_is_no_challenger_of_itself() -> None:
    with pytest.raises(DeploymentError, match="a/1 is the champion"):
        after(promoted(A), activated(A))


def test_a_rollback_brings_the_champion_from_before_the_last_change_of_champion() -> None:
    made = after(promoted(A), promoted(B), activated(C), online({"fast": A}))
    now = rolled_back(made)(made[0])
    assert (now.champion, now.challengers, now.online) == (A, (C,), {"fast": A})


def test_a_rollback_of_a_rollback_goes_forward_again() -> None:
    made = after(promoted(A), promoted(B))
    made.insert(0, replace(rolled_back(made)(made[0]), number=3))
    assert rolled_back(made)(made[0]).champion == B


def test_a_rollback_of_the_first_champion_is_what_was_before_any() -> None:
    made = after(promoted(A))
    now = rolled_back(made)(made[0])
    assert (now.champion, now.rules_only) == (None, False)
    with pytest.raises(DeploymentError, match="no earlier champion"):
        rolled_back([])(Deployment.none())


def test_without_its_champion_rules_decide_until_one_is_promoted_or_rolled_back_to() -> None:
    made = after(promoted(A), deactivated("champion"))
    assert (made[0].champion, made[0].rules_only) == (None, True)
    back = rolled_back(made)(made[0])
    assert (back.champion, back.rules_only) == (A, False)
    assert not promoted(B)(made[0]).rules_only


def test_what_is_not_in_force_cannot_be_taken_out_of_it() -> None:
    with pytest.raises(DeploymentError, match=r"model 'x' is not in force: a/1, b/1 is"):
        after(promoted(A), activated(B), deactivated("x"))


def test_an_online_snapshot_replaces_that_of_its_member_alone() -> None:
    made = after(promoted(A), online({"fast": B, "slow": C}), online({"fast": C}), deactivated("slow"))
    assert made[0].online == {"fast": C}


def test_named_since_counts_what_was_in_force_at_that_moment() -> None:
    made = after(promoted(A), promoted(B), promoted(C))
    assert named_since(made, None) == {"a/1", "b/1", "c/1"}
    assert named_since(made, 2500) == {"b/1", "c/1"}
    assert named_since(made, 9999) == {"c/1"}


# ---------------------------------------------------------------- collecting


def test_collecting_leaves_what_is_kept_what_is_young_and_what_is_in_force(registry: Registry, clock: Clock) -> None:
    refs = [put(registry, weight=n / 10, card={"card.md": b"x"}) for n in range(4)]
    registry.deploy(promoted(refs[3]), **WHO)
    clock.ms += 100_000
    put(registry, "young")
    asked: dict[str, Any] = {"keep": {"shop/1"}, "older_than_ms": 50_000}
    assert collect(registry, **asked, dry_run=True) == ["shop/2", "shop/3"]
    assert registry.versions("shop") == ["1", "2", "3", "4"]
    assert collect(registry, **asked) == ["shop/2", "shop/3"]
    assert (registry.versions("shop"), registry.versions("young")) == (["1", "4"], ["1"])
    assert not [path for path, _ in registry.place.list("shop/2")]


def test_of_many_versions_only_those_that_go_are_looked_at(registry: Registry, clock: Clock) -> None:
    for n in range(6):
        put(registry, version=f"{n:020d}", card={"state.json": b"x"})
        clock.ms += 10_000
    asked = list[str]()

    class Asked:
        def __getattr__(self, name: str) -> Any:
            def noted(*given: Any, **more: Any) -> Any:
                asked.append(f"{name} {given[0] if given else ''}")
                return getattr(registry.place, name)(*given, **more)

            return noted

    place: Any = Asked()
    gone = collect(Registry(place, clock), {f"shop/{1:020d}"}, older_than_ms=35_000)
    assert gone == [f"shop/{n:020d}" for n in (0, 2)]
    assert not [one for one in asked if f"{4:020d}" in one or f"{5:020d}" in one or one in ("list ", "list shop")]
    assert registry.begun("shop") == registry.versions("shop") == [f"{n:020d}" for n in (1, 3, 4, 5)]


def test_thinned_out_the_first_of_each_day_stays() -> None:
    hour = 3_600_000
    aged = [("a", 0), ("b", 23 * hour), ("c", 24 * hour), ("d", 25 * hour), ("e", 80 * hour)]
    assert later_of_their_day(aged) == ["b", "d"]
    assert later_of_their_day([]) == []


def test_what_was_put_there_by_hand_stays(registry: Registry) -> None:
    put(registry)
    registry.place.remove("shop/1/claim.json")
    assert collect(registry, ()) == []
    assert registry.versions("shop") == ["1"]


def test_a_place_that_does_not_answer_is_told_as_down(place: Place) -> None:
    if "s3" in place.shown:
        pytest.skip("an empty bucket is there")
    with pytest.raises(StorageDown, match="no such folder"):
        Registry(place).deployed()
