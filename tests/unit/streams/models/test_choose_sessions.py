"""Choosing what says which sessions are unusual: a snapshot of the registry, whoever decides about orders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from models.registry import Registry
from models.sessions import SESSIONS
from schemas.deployments import Deployment, Ref
from streams.configuration import VERSION, bound_to, from_content, of_content, of_folder, rules_text
from streams.models.choose import Choice, Chooser
from streams.models.desk import listed
from tests.support.models import DEFINITIONS, HASH, put, registry_in, scoring
from tests.support.sessions import VECTOR, model, put_sessions


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return registry_in(tmp_path / "registry")


def chooser(registry: Registry | None) -> Chooser:
    rules = rules_text(DEFINITIONS, None)
    return Chooser(DEFINITIONS, rules, of_folder(DEFINITIONS, None), registry, pinned=False)


def chosen(registry: Registry, ref: Ref, champion: Ref | None = None) -> Choice:
    return chooser(registry).choose(Deployment(1, champion, (), {SESSIONS: ref}, 1, "why", "who"))


def test_a_snapshot_scores_sessions_beside_whatever_decides_about_orders(registry: Registry) -> None:
    ref, champion = put_sessions(registry), put(registry, "a", 0.25)
    for by, name in ((None, "shop-logistic"), (champion, "a")):
        choice = chosen(registry, ref, by)
        assert (choice.configuration.model_name, choice.whole) == (name, True)
        assert choice.configuration.sessions is not None
        assert choice.configuration.sessions.files() == model().files()


def test_a_configuration_names_the_snapshot_and_is_another_for_another(registry: Registry) -> None:
    one, other = put_sessions(registry), put_sessions(registry, model(2000))
    first, second = (chosen(registry, ref).configuration for ref in (one, other))
    none = chooser(registry).choose(Deployment.none()).configuration
    assert len({first.id, second.id, none.id}) == 3
    assert (first.made_of.sessions, first.made_of.version, none.made_of.version) == (one, VERSION, 1)
    assert first.made_of.words["session_pace_s"] == VECTOR.words["session_pace_s"]


def test_a_range_that_was_begun_with_it_is_decided_with_it_by_any_worker(registry: Registry) -> None:
    begun, own = chosen(registry, put_sessions(registry)).configuration, chooser(registry)
    again, lacking = from_content(begun.content, DEFINITIONS, own.load, own.load_sessions)
    assert (again.id, lacking) == (begun.id, [])
    assert again.sessions is not None


def test_a_snapshot_that_is_cut_off_foreign_or_gone_is_left_out_and_told_and_orders_are_decided(
    registry: Registry,
) -> None:
    cut, foreign = put_sessions(registry), put_sessions(registry, feature_hash=HASH)
    path = registry.place
    with path.open(f"{cut.label}/trees.json") as raw:
        whole = raw.read()
    path.commit(f"{cut.label}/trees.json", whole[:500])
    other_kind = put(registry, "b", scoring(0.5), feature_hash=VECTOR.hash)
    for ref in (cut, foreign, other_kind, Ref(SESSIONS, "99", "")):
        choice = chosen(registry, ref)
        assert choice.refused.keys() == {ref.label}
        assert (choice.configuration.sessions, choice.configuration.model_name) == (None, "shop-logistic")
        assert choice.configuration.id == chooser(registry).choose(Deployment.none()).configuration.id


def test_one_that_is_gone_since_a_range_was_begun_is_lacking_and_the_range_is_another_configurations(
    registry: Registry,
) -> None:
    ref = put_sessions(registry)
    begun = chosen(registry, ref).configuration
    empty = registry_in(Path(registry.place.shown).parent / "empty")
    again, lacking = from_content(begun.content, DEFINITIONS, chooser(empty).load, chooser(empty).load_sessions)
    assert again.sessions is None
    assert again.id != begun.id
    assert ref.label in lacking[0]


def test_who_explains_orders_needs_no_snapshot_of_sessions(registry: Registry) -> None:
    begun = chosen(registry, put_sessions(registry)).configuration
    again, lacking = of_content(begun.made_of, bound_to(DEFINITIONS))
    assert (again.id, again.sessions, lacking) == (begun.id, None, [])


def test_definitions_that_write_no_sessions_leave_a_snapshot_alone(registry: Registry) -> None:
    without = replace(DEFINITIONS, milestones=None)
    own = Chooser(without, rules_text(without, None), of_folder(without, None), registry, pinned=False)
    choice = own.choose(Deployment(1, None, (), {SESSIONS: put_sessions(registry)}, 1, "why", "who"))
    assert (choice.configuration.sessions, choice.whole) == (None, True)


def test_whoever_lists_models_is_told_that_it_fits(registry: Registry) -> None:
    put_sessions(registry)
    (row,) = listed(registry, SESSIONS, DEFINITIONS, every=True)
    assert row["fits"]
