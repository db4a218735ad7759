"""Another number of shards: a new store is filled from the log, and everything goes on from there."""

from __future__ import annotations

import pytest

from schemas.settings import Settings
from streams.embedded.processes import free_port
from streams.embedded.store import Store, start_store
from tests.e2e.test_state import HOLDS, Stage, stage

__all__ = ["stage"]  # the fixture

COULD_NOT_RUN = 2


class Resharded(Stage):
    """The same stage; stores other than the first have another number of shards."""

    shards = 5

    def environment(self, store: Store) -> dict[str, str]:
        told = {} if store is self.store else {"HEADRACE_SHARDS": str(self.shards)}
        return super().environment(store) | told

    def settings(self, store: Store) -> Settings:
        found = super().settings(store)
        return found if store is self.store else found.model_copy(update={"shards": self.shards})


def test_the_shards_are_changed_by_filling_a_new_store_from_the_log(stage: Stage) -> None:
    stage.__class__ = Resharded
    stage.feed(900)
    stage.work_to_the_end(stage.store)
    before = stage.dump(stage.store)

    new = start_store(stage.site.children, free_port(), name="new")
    code, _, errors = stage.headrace(new, "state", "rebuild")
    assert code == HOLDS, errors
    stage.work_to_the_end(new)  # what may not have been out is decided again
    assert stage.dump(new) == before

    stage.feed(300)
    stage.work_to_the_end(new)
    assert len(stage.dump(new)) > len(before)
    code, told, errors = stage.headrace(new, "audit")
    assert code == HOLDS, told + errors


def test_another_number_of_shards_is_refused_by_the_old_store(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.feed(100)
    stage.work_to_the_end(stage.store)
    before = stage.dump(stage.store)
    monkeypatch.setattr(Stage, "environment", _with_five)
    code, _, errors = stage.headrace(stage.store, "state", "rebuild")
    assert code == COULD_NOT_RUN
    assert "16" in errors
    assert "5" in errors
    monkeypatch.undo()
    assert stage.dump(stage.store) == before


_plain = Stage.environment


def _with_five(self: Stage, store: Store) -> dict[str, str]:
    return _plain(self, store) | {"HEADRACE_SHARDS": "5"}
