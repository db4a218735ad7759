"""What a worker can decide by: its own, and what others began, as long as it may be asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.registry import Registry
from schemas.deployments import Deployment, Ref
from storage.errors import StorageDown
from streams.configuration import Configuration, of_folder, rules_text
from streams.configurations import KEPT, Configurations, RegistryDown
from streams.models.choose import Chooser
from streams.protocol.ports import Stop
from tests.support.models import DEFINITIONS, cut_off, put, registry_in


class Rig:
    """A worker with a registry, what the store keeps, and what was told to topic `models`."""

    def __init__(self, folder: Path) -> None:
        self.registry: Registry = registry_in(folder)
        self.stored = dict[str, bytes]()
        self.told = list[str]()
        self.own = Configurations(DEFINITIONS, self.of(None), self.load, self.chooser().load, self.keep)

    def chooser(self) -> Chooser:
        default = of_folder(DEFINITIONS, None)
        return Chooser(DEFINITIONS, rules_text(DEFINITIONS, None), default, self.registry, pinned=False)

    def of(self, champion: Ref | None) -> Configuration:
        """As another worker has it that was told to use this champion."""
        deployment = Deployment(1, champion, (), {}, 1, "", "") if champion else Deployment.none()
        return self.chooser().choose(deployment).configuration

    def begun_with(self, champion: Ref | None) -> Configuration:
        found = self.of(champion)
        self.stored[found.id] = found.content
        return found

    async def load(self, config: str) -> bytes | None:
        return self.stored.get(config)

    async def keep(self, configuration: Configuration) -> None:
        self.told.append(configuration.id)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "registry")


async def test_a_range_of_another_worker_is_decided_by_the_models_that_it_names(rig: Rig) -> None:
    begun = rig.begun_with(put(rig.registry, "a", 0.25))
    assert await rig.own.ready(begun.id)
    assert rig.own[begun.id].model_name == "a"
    assert rig.told == [begun.id], "who comes later finds it, too"
    assert rig.own.own.model_name == "shop-logistic"


async def test_a_model_that_is_gone_for_good_leaves_the_rules_and_is_not_exact(rig: Rig) -> None:
    champion = put(rig.registry, "a", 0.25)
    begun = rig.begun_with(champion)
    cut_off(rig.registry, champion)
    assert not await rig.own.ready(begun.id)
    assert not await rig.own.ready(begun.id), "nor when it is asked again"
    instead = rig.own[begun.id]
    assert (instead.model_name, rig.told) == (None, [instead.id])
    assert instead.id != begun.id, "a decision names what it was made by"


async def test_a_registry_that_is_away_is_waited_for(rig: Rig, tmp_path: Path) -> None:
    begun = rig.begun_with(put(rig.registry, "a", 0.25))
    (tmp_path / "registry").rename(tmp_path / "elsewhere")
    (tmp_path / "registry").write_text("in the way")
    with pytest.raises(RegistryDown, match=rf"needed for configuration {begun.id} of an open range"):
        await rig.own.ready(begun.id)
    (tmp_path / "registry").unlink()
    (tmp_path / "elsewhere").rename(tmp_path / "registry")
    assert await rig.own.ready(begun.id)


async def test_what_nobody_keeps_stops_the_worker(rig: Rig) -> None:
    with pytest.raises(Stop, match="the store no longer keeps"):
        await rig.own.ready("0123456789abcdef")


async def test_the_newest_are_kept_and_always_that_of_new_ranges(rig: Rig) -> None:
    own = rig.of(put(rig.registry, "own", 0.25))
    await rig.own.use(own)
    begun = [rig.begun_with(put(rig.registry, f"m{n}", (n + 1) / 100)) for n in range(2 * KEPT)]
    for one in begun:
        assert await rig.own.ready(one.id)
    assert rig.own[own.id] is rig.own.own
    assert rig.own[begun[-1].id].model_name == "m15"
    with pytest.raises(KeyError):
        rig.own[begun[0].id]
    assert await rig.own.ready(begun[0].id), "it is loaded again"


async def test_failing_challengers_are_noted_until_they_are_out(rig: Rig) -> None:
    rig.own.note({})
    assert not rig.own.failed.is_set()
    rig.own.note({"b/1": "ValueError: no"})
    assert rig.own.failed.is_set()
    assert rig.own.failing == {"b/1": "ValueError: no"}


def test_an_outage_of_the_registry_is_one_that_a_driver_waits_for() -> None:
    from streams.protocol.ports import StoreDown

    assert issubclass(RegistryDown, StoreDown)
    assert not issubclass(StorageDown, StoreDown)
