"""Swapping: what is in force is used for new ranges soon, and what cannot be read leaves in force what is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from models.deployments import Change, activated, promoted, rolled_back
from schemas.deployments import Deployment
from storage.places import Folder
from streams.configuration import Configuration, of_folder
from streams.configurations import Configurations
from streams.metrics import Metrics
from streams.models import watch as watching
from streams.models.choose import Chooser
from streams.models.watch import LOOK_S, Bell, ModelWatch
from streams.protocol.ports import SinkDown
from tests.support.models import DEFINITIONS, WHO, cut_off, put, registry_in
from tests.support.worker import until


class Rig:
    """A worker's models: the watch over a registry in a folder, a bell that is rung by hand, a log of what was kept."""

    def __init__(self, folder: Path) -> None:
        self.registry = registry_in(folder)
        self.metrics = Metrics(CollectorRegistry())
        self.kept = list[str]()
        self.broker_is_away = False
        self.announced = 0
        chooser = Chooser(DEFINITIONS, "", of_folder(DEFINITIONS, None), self.registry, pinned=False)
        first = chooser.choose(self.registry.deployed())
        self.configurations = Configurations(DEFINITIONS, first.configuration, self._nothing, chooser.load, self._keep)
        self.place = self.registry
        self.watch = ModelWatch(chooser, self.registry, self.configurations, self._bell(), self.metrics, first)

    @staticmethod
    async def _nothing(_: str) -> bytes | None:
        return None

    async def _keep(self, configuration: Configuration) -> None:
        if self.broker_is_away:
            raise SinkDown("no broker")
        self.kept.append(configuration.id)

    def _bell(self) -> Bell:
        rig = self

        class ByHand(Bell):
            async def rung(self) -> int:
                told, rig.announced = rig.announced, 0
                return told

        return ByHand(None)  # type: ignore[arg-type]  # there is no log

    def deploy(self, change: Change) -> Deployment:
        return self.registry.deploy(change, **WHO)

    @property
    def model(self) -> str | None:
        return self.configurations.own.model_name

    def metric(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(name)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "registry")


async def test_a_promotion_is_used_for_new_ranges_once_it_is_kept(rig: Rig) -> None:
    rig.deploy(promoted(put(rig.registry, "a", 0.25)))
    assert await rig.watch.look() == LOOK_S
    assert (rig.model, rig.metric("headrace_deployment")) == ("a", 1)
    assert rig.kept == [rig.configurations.own.id]
    await rig.watch.look()
    assert len(rig.kept) == 1, "nothing has changed"


async def test_since_when_the_champion_is_in_force_is_told_and_other_changes_do_not_make_it_younger(rig: Rig) -> None:
    assert rig.metric("headrace_champion_since_seconds") == 0
    since = rig.deploy(promoted(put(rig.registry, "a", 0.25))).at_ms / 1000
    await rig.watch.look()
    rig.deploy(activated(put(rig.registry, "b", 0.5)))
    await rig.watch.look()
    assert rig.metric("headrace_deployment") == 2
    assert rig.metric("headrace_champion_since_seconds") == since


async def test_a_configuration_that_cannot_be_kept_is_not_used(rig: Rig) -> None:
    """Else a range could be decided by one that nobody will find."""
    rig.deploy(promoted(put(rig.registry, "a", 0.25)))
    rig.broker_is_away = True
    assert await rig.watch.look() < LOOK_S
    assert rig.model == "shop-logistic"
    rig.broker_is_away = False
    await rig.watch.look()
    assert rig.model == "a"


async def test_a_rollback_goes_back(rig: Rig) -> None:
    rig.deploy(promoted(put(rig.registry, "a", 0.25)))
    await rig.watch.look()
    rig.deploy(promoted(put(rig.registry, "b", 0.75)))
    await rig.watch.look()
    rig.deploy(rolled_back(rig.registry.history()))
    await rig.watch.look()
    assert rig.model == "a"


async def test_a_registry_that_is_away_leaves_in_force_what_is(rig: Rig, tmp_path: Path) -> None:
    rig.deploy(promoted(put(rig.registry, "a", 0.25)))
    await rig.watch.look()
    (tmp_path / "registry").rename(tmp_path / "elsewhere")
    waits = [await rig.watch.look() for _ in range(7)]
    assert (rig.model, rig.metric("headrace_no_model")) == ("a", 0)
    assert rig.metric("headrace_registry_errors_total") == 7
    assert waits == [1, 2, 4, 8, 16, LOOK_S, LOOK_S]
    (tmp_path / "elsewhere").rename(tmp_path / "registry")
    assert await rig.watch.look() == LOOK_S


async def test_a_folder_that_is_not_mounted_is_no_registry_that_was_emptied(rig: Rig, tmp_path: Path) -> None:
    rig.deploy(promoted(put(rig.registry, "a", 0.25)))
    await rig.watch.look()
    (tmp_path / "registry").rename(tmp_path / "elsewhere")
    Folder(tmp_path / "registry").check()
    await rig.watch.look()
    assert rig.model == "a"


async def test_a_registry_that_was_restored_from_an_older_copy_is_followed(rig: Rig) -> None:
    refs = [put(rig.registry, name, 0.25) for name in "abc"]
    for ref in refs[:2]:
        rig.deploy(promoted(ref))
    await rig.watch.look()
    rig.registry.place.remove("deployments/00000002.json")
    await rig.watch.look()
    assert rig.model == "a"
    rig.deploy(promoted(refs[2]))
    await rig.watch.look()
    assert rig.model == "c"


async def test_a_champion_that_is_cut_off_leaves_the_rules_and_comes_back_when_it_is_restored(rig: Rig) -> None:
    ref = put(rig.registry, "a", 0.25)
    whole = cut_off(rig.registry, ref)
    rig.deploy(promoted(ref))
    await rig.watch.look()
    assert (rig.model, rig.metric("headrace_no_model"), rig.metric("headrace_models_refused")) == (None, 1, 1)
    rig.registry.place.commit("a/1/model.json", whole)
    await rig.watch.look()
    assert (rig.model, rig.metric("headrace_no_model"), rig.metric("headrace_models_refused")) == ("a", 0, 0)


async def test_a_challenger_that_fails_is_out_until_the_next_deployment(rig: Rig) -> None:
    rig.deploy(promoted(put(rig.registry, "a", 0.25)))
    rig.deploy(activated(put(rig.registry, "b", 0.75)))
    await rig.watch.look()
    assert rig.metric("headrace_challengers") == 1
    with_it = rig.configurations.own.id
    rig.configurations.note({"b/1": "ValueError: no"})
    for _ in range(2):
        await rig.watch.look()
    assert (rig.metric("headrace_challengers"), rig.metric("headrace_models_refused")) == (0, 1)
    assert (rig.model, rig.configurations.own.id != with_it) == ("a", True)
    rig.deploy(activated(put(rig.registry, "c", 0.5)))
    await rig.watch.look()
    assert (rig.metric("headrace_challengers"), rig.metric("headrace_models_refused")) == (2, 0)


async def test_a_challenger_of_a_range_from_before_is_no_reason_to_refuse_one_now(rig: Rig) -> None:
    rig.deploy(promoted(put(rig.registry, "a", 0.25)))
    await rig.watch.look()
    rig.configurations.note({"gone/1": "ValueError: no"})
    await rig.watch.look()
    assert (rig.metric("headrace_models_refused"), rig.configurations.failed.is_set()) == (0, False)


async def test_what_is_newer_than_this_release_or_no_deployment_leaves_in_force_what_is(rig: Rig) -> None:
    rig.deploy(promoted(put(rig.registry, "a", 0.25)))
    await rig.watch.look()
    for content in (b'{"version": 99}', b"{"):
        rig.registry.place.commit("deployments/00000002.json", content)
        await rig.watch.look()
        assert rig.model == "a"
    assert rig.metric("headrace_registry_errors_total") == 2


async def test_the_bell_is_heard_long_before_the_next_look_is_due(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_S", 1e6)
    task = asyncio.create_task(rig.watch.watch())
    try:
        await asyncio.sleep(3 * watching.BELL_S)
        done = rig.deploy(promoted(put(rig.registry, "a", 0.25)))
        rig.announced = done.number
        await until(lambda: rig.model == "a", 20.0)
    finally:
        task.cancel()


async def test_what_is_announced_before_a_mounted_folder_shows_it_is_looked_for_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LOOK_S", 1e6)
    monkeypatch.setattr(watching, "RETRY_S", 0.01)
    task = asyncio.create_task(rig.watch.watch())
    try:
        await asyncio.sleep(3 * watching.BELL_S)
        rig.announced = 1
        await asyncio.sleep(3 * watching.BELL_S)
        rig.deploy(promoted(put(rig.registry, "a", 0.25)))
        await until(lambda: rig.model == "a", 20.0)
    finally:
        task.cancel()


def test_rings_are_read_from_the_records_of_deployments_alone() -> None:
    assert watching._number(b'{"type":"deployment","number":7}') == 7
    assert watching._number(None) == watching._number(b"{") == watching._number(b"{}") == 0
