"""Lock: one retraining at a time, over all machines that share a registry, and none for ever.

Whoever holds it has made the file with the highest number and keeps its `until_ms` ahead of the clock. A process that
died stops doing so, and after `hold_ms` the next one makes the next number: of two that try, the place lets one. A
holder that slept past its time finds a higher number when it looks, and may then change nothing (`renew` raises):
it must look before it puts anything in force.

The price: clocks of machines must agree to within much less than `hold_ms`, and after a crash it is waited for so long.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Final

from schemas.timestamps import rfc3339
from storage.errors import StorageDown
from storage.places import Place

FOLDER: Final = "_retrain/lock"  # no model's name begins with an underscore
HOLD_MS: Final = 120_000


class HeldError(ValueError):
    """Somebody else retrains; the message says who, since when, and until when at least."""


class LostError(ValueError):
    """The lock was somebody else's meanwhile."""


@dataclass(frozen=True, slots=True)
class Holder:
    """What a lock's file says."""

    by: str
    token: str
    at_ms: int
    until_ms: int


class Lock:
    """`by` names the process for people, `token` is its own and nobody else's."""

    def __init__(self, place: Place, *, by: str, token: str, now_ms: Callable[[], int], hold_ms: int = HOLD_MS) -> None:
        self._place, self._by, self._token, self._now_ms, self._hold_ms = place, by, token, now_ms, hold_ms
        self._number = 0

    def holder(self) -> Holder | None:
        """Who holds it now."""
        _, found = self._newest()
        return found if found is not None and found.until_ms > self._now_ms() else None

    def take(self) -> None:
        """Raises HeldError where somebody else holds it."""
        number, found = self._newest()
        if found is not None and found.until_ms > self._now_ms():
            raise self._held(found)
        mine = self._mine(self._now_ms())
        try:
            self._place.commit(_path(number + 1), _written(mine), new=True)
        except FileExistsError:
            found = self._read(number + 1)
            if found is None or found.token != self._token:  # a PUT that was tried again may have met itself
                raise self._held(found or mine) from None
        self._number = number + 1
        for old in range(max(1, number - 1), number + 1):
            self._place.remove(_path(old))

    def renew(self) -> None:
        """Holds it for longer; raises LostError where it is not ours any more."""
        number, found = self._newest()
        if number != self._number or found is None or found.token != self._token:
            raise LostError(f"{self._place.shown}/{FOLDER} was taken over: this process stood still for too long")
        self._place.commit(_path(self._number), _written(replace(found, until_ms=self._now_ms() + self._hold_ms)))

    def give_back(self) -> None:
        """It is free at once; nothing happens where it is not ours."""
        number, found = self._newest()
        if number == self._number and found is not None and found.token == self._token:
            self._place.commit(_path(self._number), _written(replace(found, until_ms=0)))

    @contextmanager
    def held(self) -> Iterator[Lock]:
        """Takes it, keeps it from a thread of its own, gives it back."""
        self.take()
        done = threading.Event()

        def keep() -> None:
            while not done.wait(self._hold_ms / 4000):
                try:
                    self.renew()
                except StorageDown:
                    continue  # there is time for another try
                except LostError:
                    return  # whoever works finds out when it looks

        keeper = threading.Thread(target=keep, name="retrain-lock", daemon=True)
        keeper.start()
        try:
            yield self
        finally:
            done.set()
            keeper.join()
            self.give_back()

    def _mine(self, now_ms: int) -> Holder:
        return Holder(self._by, self._token, now_ms, now_ms + self._hold_ms)

    def _newest(self) -> tuple[int, Holder | None]:
        """Its number and what it says; 0 and None where there never was one."""
        for number in sorted((_number(path) for path, _ in self._place.list(FOLDER)), reverse=True):
            if (found := self._read(number)) is not None:
                return number, found
        return 0, None

    def _read(self, number: int) -> Holder | None:
        try:
            with self._place.open(_path(number)) as raw:
                return Holder(**json.loads(raw.read()))
        except FileNotFoundError:
            return None

    def _held(self, found: Holder) -> HeldError:
        return HeldError(
            f"{found.by} retrains since {rfc3339(found.at_ms)}, and holds the lock until {rfc3339(found.until_ms)}: "
            "wait for it; if it is dead the lock is free then"
        )


def _path(number: int) -> str:
    return f"{FOLDER}/{number:08d}.json"


def _number(path: str) -> int:
    stem = path.rpartition("/")[2].removesuffix(".json")
    return int(stem) if stem.isdigit() else 0


def _written(holder: Holder) -> bytes:
    return json.dumps(asdict(holder)).encode()
