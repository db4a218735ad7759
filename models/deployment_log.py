"""The log of deployments: a file for each change of what is in force, and one for every 250 that are long past.

    <url>/deployments/00000751.json               a change
    <url>/deployments/00000001-00000250.ndjson    changes that are packed: as they were, a line each

A learner changes something every ten minutes, 52,560 times a year. So that finding the newest stays one short listing,
and walking back a few hundred requests, whoever makes a change whose number is a multiple of 250 packs what is older
than the newest 250. Nothing is lost by it: a pack is written whole before its changes are removed, and two who pack at
once write the same bytes.

The price: who was away for more than 250 changes lists once; a pack is read whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from schemas.deployments import Deployment, decode_deployment
from storage.places import Place

FOLDER: Final = "deployments"  # no model has this name
PACK: Final = 250  # about as many as there are packs a year: a listing and a walk are both short
PACKS: Final = 4  # at one change, where an older registry has more to pack
AT_ONCE: Final = 16  # files read together

_ONE: Final = re.compile(rf"{FOLDER}/(\d{{8,}})\.json")
_MANY: Final = re.compile(rf"{FOLDER}/(\d{{8,}})-(\d{{8,}})\.ndjson")


class RegistryError(ValueError):
    """What was asked of the registry cannot be; the message names the model, what is there and the remedy."""


class DeploymentLog:
    """`taken` makes a file that nobody has made, and says whether it is ours."""

    def __init__(self, place: Place, taken: Callable[[str, bytes], bool]) -> None:
        self._place, self._taken = place, taken

    def newest(self, since: int = 0) -> Deployment | None:
        """`since`: the number that was the newest: then only what follows it is asked for."""
        found = self._one(since) if since else None
        if found is None:
            found = next(self.history(), None)
        while found is not None and (later := self._one(found.number + 1)) is not None:
            found = later
        return found

    def history(self) -> Iterator[Deployment]:
        """Newest first, read as they are asked for."""
        ones, ends = self._there()
        single = [number for number in sorted(ones, reverse=True) if number > max(ends, default=0)]
        first, rest = single[:1], single[1:]  # most ask for no more than the newest
        yield from filter(None, map(self._either, first))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for at in range(0, len(rest), AT_ONCE):
                yield from filter(None, pool.map(self._either, rest[at : at + AT_ONCE]))
        for end in sorted(ends, reverse=True):
            yield from reversed(self._many(end))

    def add(self, number: int, written: bytes) -> bool:
        """Whether the number is ours; False also where it is in a pack: who asked had stood still for long."""
        if not self._taken(_path(number), written):
            return False
        if self._many(_end(number)):
            self._place.remove(_path(number))
            return False
        return True

    def pack(self, most: int | None = None) -> int:
        """Packs what is older than the newest `PACK`, `most` packs at once; how many it saw to."""
        ones, _ = self._there()
        ends = sorted({_end(number) for number in ones if _end(number) <= max(ones) - PACK})[:most]
        for end in ends:
            inside = [number for number in sorted(ones) if _end(number) == end]
            self._pack(end, inside)
        return len(ends)

    def _pack(self, end: int, inside: list[int]) -> None:
        if not self._many(end):
            with ThreadPoolExecutor(AT_ONCE) as pool:
                found = list(pool.map(self._raw, map(_path, inside)))
            if None in found:  # somebody else packs them
                return
            self._place.commit(_pack_path(end), b"\n".join(one for one in found if one is not None))
        for number in inside:
            self._place.remove(_path(number))

    def _there(self) -> tuple[set[int], set[int]]:
        """Numbers of changes, and the last numbers of packs."""
        paths = [path for path, _ in self._place.list(FOLDER)]
        ones, many = ([match for path in paths if (match := kind.fullmatch(path))] for kind in (_ONE, _MANY))
        return {int(one[1]) for one in ones}, {int(one[2]) for one in many}

    def _either(self, number: int) -> Deployment | None:
        """Wherever it is now: it may have been packed since it was listed."""
        found = self._one(number)
        return found or next((one for one in self._many(_end(number)) if one.number == number), None)

    def _one(self, number: int) -> Deployment | None:
        raw = self._raw(_path(number))
        return None if raw is None else self._read(raw, _path(number))

    def _many(self, end: int) -> list[Deployment]:
        """In their order; empty where there is no such pack."""
        raw = self._raw(_pack_path(end)) or b""
        return [self._read(line, _pack_path(end)) for line in raw.splitlines()]

    def _raw(self, path: str) -> bytes | None:
        try:
            with self._place.open(path) as raw:
                return bytes(raw.read())
        except FileNotFoundError:
            return None

    def _read(self, raw: bytes, path: str) -> Deployment:
        try:
            return decode_deployment(raw)
        except msgspec.DecodeError as error:
            raise RegistryError(
                f"{self._place.shown}: {path} is no deployment ({error}): was it changed by hand? Restore or remove it"
            ) from error


def _end(number: int) -> int:
    """The last number of the pack that a change is in, or will be."""
    return -(-number // PACK) * PACK


def _path(number: int) -> str:
    return f"{FOLDER}/{number:08d}.json"


def _pack_path(end: int) -> str:
    return f"{FOLDER}/{end - PACK + 1:08d}-{end:08d}.ndjson"
