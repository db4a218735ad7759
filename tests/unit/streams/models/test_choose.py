"""Choosing: which models decide, and what is left out and said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.shop import shop_definitions
from models import artefact
from models.registry import Registry
from models.shadow import proved
from schemas.deployments import Deployment, Ref
from storage.errors import StorageDown
from storage.places import Folder
from streams.configuration import (
    BadConfigurationError,
    Chosen,
    Configuration,
    Load,
    configured,
    from_content,
    of_folder,
    rules_text,
)
from streams.models.choose import Choice, Chooser
from tests.support.models import ABOUT, DEFINITIONS, blend, cut_off, put, registry_in, scoring

X = np.zeros((2, len(DEFINITIONS.vector.names)))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return registry_in(tmp_path / "registry")


def chooser(registry: Registry | None, model: Path | None = None) -> Chooser:
    default = of_folder(DEFINITIONS, model)
    return Chooser(DEFINITIONS, rules_text(DEFINITIONS, None), default, registry, pinned=model is not None)


def deployed(champion: Ref | None = None, *challengers: Ref, number: int = 1, **more: Any) -> Deployment:
    return Deployment(number, champion, challengers, more.pop("online", {}), 1, "why", "who", **more)


def scores(choice: Choice) -> dict[str, float]:
    """What each model says of an order, the whole as `score`."""
    own = choice.configuration
    decided, shadowed = own.decider.decide(X), own.shadow.score(X)
    said = {"score": decided.score} if decided.score is not None else {}
    return {name: float(score[0]) for name, score in {**said, **decided.members, **shadowed.scores}.items()}


def test_where_no_champion_was_ever_promoted_the_shops_own_model_decides(registry: Registry) -> None:
    own = chooser(registry).choose(Deployment.none()).configuration
    assert own.model_name == "shop-logistic"
    assert own.id == chooser(None).choose(Deployment.none()).configuration.id
    assert own.made_of.version == 1, "a worker of the last release reads it"


def test_the_champion_decides_and_challengers_are_heard(registry: Registry) -> None:
    champion, challenger = put(registry, "a", 0.25), put(registry, "b", 0.75)
    choice = chooser(registry).choose(deployed(champion, challenger))
    assert scores(choice) == {"score": 0.25, "a": 0.25, "b/1": 0.75}
    assert choice.configuration.made_of.champion == champion
    assert choice.whole


def test_a_challenger_beside_the_shops_own_model_is_heard(registry: Registry) -> None:
    choice = chooser(registry).choose(deployed(None, put(registry, "b", 0.75)))
    assert choice.configuration.model_name == "shop-logistic"
    assert scores(choice)["b/1"] == 0.75


def test_a_model_that_somebody_pinned_decides_whatever_is_promoted(registry: Registry, tmp_path: Path) -> None:
    folder = artefact.save(tmp_path / "mine", scoring(0.125), name="mine", version="7", **ABOUT)
    choice = chooser(registry, folder).choose(deployed(put(registry, "a", 0.25), put(registry, "b", 0.75)))
    assert scores(choice) == {"score": 0.125, "mine": 0.125, "b/1": 0.75}


def test_a_champion_that_was_taken_out_leaves_the_rules_alone(registry: Registry) -> None:
    choice = chooser(registry).choose(deployed(None, rules_only=True))
    assert scores(choice) == {}
    assert choice.configuration.no_model == "the champion was taken out of force: why"


def test_a_champion_that_is_cut_off_or_for_other_features_leaves_the_rules_alone(registry: Registry) -> None:
    cut, other = put(registry, "cut", 0.25), put(registry, "other", 0.25, feature_hash="0" * 16)
    cut_off(registry, cut)
    for ref, why in (
        (cut, "its SHA-256 is"),
        (other, "was fitted for features 0000"),
        (Ref("x", "1", ""), "not in the"),
    ):
        choice = chooser(registry).choose(deployed(ref))
        assert scores(choice) == {}
        assert why in choice.configuration.no_model
        assert choice.refused.keys() == {ref.label}


def test_a_challenger_that_cannot_be_used_is_left_out_and_told(registry: Registry) -> None:
    champion, cut, failing = put(registry, "a", 0.25), put(registry, "b", 0.5), put(registry, "c", 0.75)
    cut_off(registry, cut)
    choice = chooser(registry).choose(deployed(champion, cut, failing), {"c/1": "it raised"})
    assert scores(choice) == {"score": 0.25, "a": 0.25}
    assert choice.refused.keys() == {"b/1", "c/1"}


def test_a_newer_snapshot_takes_its_members_place(registry: Registry) -> None:
    champion, newer, other = (
        put(registry, "mix", blend({"fast": 0.2, "slow": 0.4})),
        put(registry, "f", 0.6),
        Ref("x", "1", ""),
    )
    choice = chooser(registry).choose(deployed(champion, online={"fast": newer, "nobody": newer, "slow": other}))
    assert scores(choice) == {"score": scores(choice)["score"], "fast": 0.6, "slow": 0.4}
    assert choice.configuration.made_of.online == {"fast": newer}
    assert choice.refused.keys() == {"x/1"}
    plain = chooser(registry).choose(deployed(champion))
    assert scores(plain)["fast"] == 0.2
    assert plain.configuration.id != choice.configuration.id


def test_a_registry_that_is_away_is_no_model_that_is_gone(registry: Registry, tmp_path: Path) -> None:
    champion = put(registry, "a", 0.25)
    made = chooser(registry)
    made.choose(deployed(champion))
    made.registry = Registry(Folder(tmp_path / "file" / "below"))
    (tmp_path / "file").write_text("in the way")
    assert scores(made.choose(deployed(champion))) == {"score": 0.25, "a": 0.25}, "it is loaded already"
    with pytest.raises(StorageDown):
        made.choose(deployed(Ref("b", "1", "")))


def test_what_a_model_raises_when_it_first_scores_is_a_reason_to_refuse_it(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("of a library")

    ref = put(registry, "a", 0.25)
    monkeypatch.setattr("streams.models.choose.proved", broken)
    assert "ZeroDivisionError: of a library" in chooser(registry).choose(deployed(ref)).refused["a/1"]
    assert proved is not broken


# ---------------------------------------------------------------- what a range was begun with


def restored(own: Configuration, load: Load | None) -> tuple[Configuration, list[str]]:
    return from_content(own.content, DEFINITIONS, load)


def test_a_configuration_is_made_again_from_what_the_store_keeps(registry: Registry) -> None:
    mix, snapshot = put(registry, "mix", blend({"fast": 0.2, "slow": 0.4})), put(registry, "f", 0.6)
    for deployment in (
        Deployment.none(),
        deployed(put(registry, "a", 0.25), put(registry, "c", 0.5), put(registry, "b", 0.75)),
        deployed(mix, online={"fast": snapshot}),
        deployed(None, rules_only=True),
    ):
        own = chooser(registry).choose(deployment).configuration
        again, lacking = restored(own, chooser(registry).load)
        assert (again.id, again.content, lacking) == (own.id, own.content, [])
        assert again.decider.decide(X).action == own.decider.decide(X).action
        assert scores(Choice(deployment, again)) == scores(Choice(deployment, own))


def test_the_same_model_under_another_name_is_another_configuration(registry: Registry) -> None:
    """Decisions tell the name: a range that is done again must tell the same one."""
    one, other = (put(registry, name, 0.25) for name in "ab")
    assert one.model_hash == other.model_hash
    ids = {chooser(registry).choose(deployed(ref)).configuration.id for ref in (one, other)}
    assert len(ids) == 2


def test_a_model_that_is_gone_for_good_is_told_as_lacking_and_rules_decide(registry: Registry) -> None:
    champion, challenger = put(registry, "a", 0.25), put(registry, "b", 0.75)
    own = chooser(registry).choose(deployed(champion, challenger)).configuration
    cut_off(registry, champion)
    again, lacking = restored(own, chooser(registry).load)
    assert len(lacking) == 1
    assert "its SHA-256 is" in lacking[0]
    assert again.artefact is None
    assert again.id != own.id
    assert scores(Choice(deployed(), again)) == {"b/1": 0.75}


def test_a_worker_without_the_registry_says_what_to_set(registry: Registry) -> None:
    own = chooser(registry).choose(deployed(put(registry, "a", 0.25))).configuration
    with pytest.raises(BadConfigurationError, match=r"names model a/1 of a registry.*HEADRACE_REGISTRY__URL"):
        restored(own, None)


def test_a_pinned_model_of_files_that_are_no_text_is_kept_whole() -> None:
    files = artefact.pack(scoring(0.25), name="a", version="1", **ABOUT)
    loaded = artefact.parse(files, DEFINITIONS.vector.names, DEFINITIONS.vector.hash)
    own = configured(shop_definitions(), "", Chosen(loaded, files | {"net.onnx": b"\x00\xff\xfe"}))
    assert own.made_of.binary == {"net.onnx": b"\x00\xff\xfe"}
    assert restored(own, None)[0].made_of.binary == own.made_of.binary
