"""One holder at a time, none for ever, and nobody who overslept may change anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from storage.places import Folder
from training.retrain.lock import FOLDER, HOLD_MS, HeldError, Lock, LostError


@dataclass
class Clock:
    now_ms: int = 1_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lock(folder: Path, clock: Clock, name: str) -> Lock:
    return Lock(Folder(folder), by=name, token=f"token of {name}", now_ms=clock)


def started(folder: Path) -> Folder:
    place = Folder(folder)
    place.check()
    return place


def test_of_two_one_gets_it(tmp_path: Path, clock: Clock) -> None:
    one, other = lock(tmp_path, clock, "one"), lock(tmp_path, clock, "other")
    one.take()
    with pytest.raises(HeldError, match=r"one retrains since 1970-01-01T00:16:40.000Z, and holds the lock until"):
        other.take()
    one.give_back()
    other.take()
    assert (holder := one.holder()) is not None
    assert holder.by == "other"


def test_two_at_the_very_same_moment_are_one(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both saw that nobody holds it; the place lets one make the file."""
    started(tmp_path)
    one, other = lock(tmp_path, clock, "one"), lock(tmp_path, clock, "other")
    nobody = (0, None)
    monkeypatch.setattr(one, "_newest", lambda: nobody)
    monkeypatch.setattr(other, "_newest", lambda: nobody)
    one.take()
    with pytest.raises(HeldError, match="one retrains"):
        other.take()


def test_the_dead_hold_it_no_longer_than_they_said(tmp_path: Path, clock: Clock) -> None:
    lock(tmp_path, clock, "dead").take()
    living = lock(tmp_path, clock, "living")
    clock.now_ms += HOLD_MS - 1
    with pytest.raises(HeldError):
        living.take()
    clock.now_ms += 2
    living.take()
    living.renew()


def test_who_renews_holds_it(tmp_path: Path, clock: Clock) -> None:
    one, other = lock(tmp_path, clock, "one"), lock(tmp_path, clock, "other")
    one.take()
    for _ in range(5):
        clock.now_ms += HOLD_MS - 1
        one.renew()
        with pytest.raises(HeldError):
            other.take()


def test_who_overslept_is_told_and_takes_nothing_back(tmp_path: Path, clock: Clock) -> None:
    asleep, awake = lock(tmp_path, clock, "asleep"), lock(tmp_path, clock, "awake")
    asleep.take()
    clock.now_ms += HOLD_MS + 1
    awake.take()
    with pytest.raises(LostError, match="taken over: this process stood still"):
        asleep.renew()
    asleep.give_back()
    awake.renew()


def test_it_is_given_back_whatever_happened(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(ZeroDivisionError), lock(tmp_path, clock, "one").held():
        _ = 1 / 0
    lock(tmp_path, clock, "other").take()


def test_old_files_do_not_pile_up(tmp_path: Path, clock: Clock) -> None:
    for _ in range(5):
        with lock(tmp_path, clock, "one").held():
            pass
    assert len(list((tmp_path / FOLDER).iterdir())) <= 2
