"""The archive under any interleaving: writers, cleaners and readers of one partition, each killed at any step.

Every actor runs the real code in a thread of its own and stops at each touch of the place where files lie; a seed
says who goes on, and who dies there. There are two writers, so that a paused one that wakes and the owner after it are
both at work; two cleaners with listings of their own; and readers that are in the middle of it all. A listing is taken
in two halves, as a bucket's pages are: between them files come and go.
"""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archive.columns import Row, records_of
from archive.cover import by_partition, cover, next_offset
from archive.listing import files_of
from archive.names import File, Span, parse
from archive.parquet import encode
from archive.reader import Partition, listed
from archive.upkeep import compact
from storage.places import Place
from streams.archive.buffer import Buffer, Limits
from tests.unit.archive.build import DAY_MS, START_MS, row

TOPIC = "other"  # no typed columns: quicker
LIMITS = Limits(file_bytes=400, file_s=1e9)


class KilledError(BaseException):
    """An actor ends where it stands."""


@dataclass(eq=False)
class Actor:
    """A thread that goes on only when it is told to, up to its next touch of the place."""

    work: Callable[[Actor], None]
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    stands: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    killed: bool = False
    ended: bool = False
    error: BaseException | None = None

    def __post_init__(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self.pause()
            self.work(self)
        except KilledError:
            pass
        except BaseException as error:
            self.error = error
        self.ended = True
        self.stands.release()

    def pause(self) -> None:
        """Called by the actor itself."""
        self.stands.release()
        self.go.acquire()
        if self.killed:
            raise KilledError

    def step(self) -> None:
        """Called by who says whose turn it is."""
        self.stands.acquire()
        if not self.ended:
            self.go.release()
            self.stands.acquire()
        self.stands.release()
        if self.error is not None:
            raise self.error

    def kill(self) -> None:
        self.killed = True
        self.step()


@dataclass
class Shelf:
    """A place in memory: what is there, for all; and for one actor, who pauses at each touch."""

    content: dict[str, bytes]
    actor: Actor | None = None
    shown: str = "the shelf"

    def of(self, actor: Actor) -> Place:
        return Shelf(self.content, actor)

    def _touch(self) -> None:
        if self.actor is not None:
            self.actor.pause()

    def check(self) -> None: ...

    def list(self, prefix: str = "") -> list[tuple[str, int]]:  # noqa: ARG002 - there is only one topic
        self._touch()
        middle = sorted(self.content)[len(self.content) // 2] if self.content else ""
        early = {path: len(content) for path, content in self.content.items() if path < middle}
        self._touch()
        return [*(early | {path: len(content) for path, content in self.content.items() if path >= middle}).items()]

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        raise NotImplementedError(prefix)

    def commit(self, path: str, content: bytes | Path, *, new: bool = False) -> None:  # noqa: ARG002 - nobody asks
        self._touch()
        self.content[path] = content if isinstance(content, bytes) else content.read_bytes()
        self._touch()

    def open(self, path: str, *, footer: bool = False) -> Any:  # noqa: ARG002
        self._touch()
        if path not in self.content:
            raise FileNotFoundError(path)
        return io.BytesIO(self.content[path])

    def remove(self, path: str) -> None:
        self._touch()
        self.content.pop(path, None)

    def prune(self, folder: str) -> None:
        raise NotImplementedError(folder)

    def address(self, path: str) -> str:
        return path


@dataclass
class World:
    """One partition's log, its archive, and who is at work."""

    log: list[Row]
    shelf: Shelf
    dice: random.Random
    read: int = 0

    def writer(self, actor: Actor) -> None:
        """Goes on where the archive ends; its files are cut anywhere."""
        place = self.shelf.of(actor)
        start = next_offset(listed(place)) or 0
        buffer = Buffer(TOPIC, 0, start, LIMITS)
        waiting = [record for record in self.log if record.offset >= start]
        while waiting:
            taken, waiting = waiting[:3], waiting[3:]
            cuts = buffer.take(taken, 0.0)
            if self.dice.random() < 0.3 or not waiting:
                cuts += buffer.cut()
            for cut in cuts:
                place.commit(cut.span.path, encode(cut.span, cut.records, "id"))

    def cleaner(self, actor: Actor) -> None:
        place = self.shelf.of(actor)
        for group in by_partition(files_of(place)).values():
            compact(place, group, self.dice.choice([3_000, 20_000, 10**9]))

    def reader(self, actor: Actor) -> None:
        """Reads as much as there is, and holds it against the log."""
        place = self.shelf.of(actor)
        committed = max((span.last for path in self.shelf.content if (span := parse(path))), default=-1)
        held = listed(place)
        last = max((file.last for file in held), default=-1)
        assert last >= committed, "what was committed is not seen"
        got = [one for batch in Partition(place, TOPIC, 0).read(0, last) for one in records_of(batch)]
        assert got == [record for record in self.log if record.offset <= last]
        self.read += len(got)


KINDS = ("writer", "writer", "cleaner", "cleaner", "reader", "reader", "reader")


def logged(dice: random.Random) -> Iterator[Row]:
    """Records with holes between their offsets, of a day or the next, late ones among them."""
    offset = 0
    for n in range(dice.randrange(90)):
        offset += 1 + dice.choice([0, 0, 0, 1, 5])
        yield row(offset, START_MS + DAY_MS * (n // 40) - DAY_MS * (dice.random() < 0.1))


@given(st.integers(0, 2**32), st.integers(0, 400))
@example(77, 31)  # a merge in the middle of a reader's listing; see below
@settings(max_examples=80)
def test_readers_get_every_offset_once_whoever_writes_merges_and_dies(seed: int, turns: int) -> None:
    dice = random.Random(seed)
    world = World(list(logged(dice)), Shelf({}), dice)
    actors: dict[int, Actor] = {}
    for _ in range(turns):
        who = dice.randrange(len(KINDS))
        actor = actors.get(who)
        if actor is None or actor.ended:
            actor = actors[who] = Actor(getattr(world, KINDS[who]))
        for _ in range(dice.choice([1, 1, 2, 3, 20])):
            actor.step()
        if dice.random() < 0.02:
            actor.kill()
    for actor in actors.values():
        actor.kill()
    to_the_end(world, "writer")
    assert next_offset(files_of(world.shelf)) == (world.log[-1].offset + 1 if world.log else None)
    to_the_end(world, "cleaner")
    to_the_end(world, "reader")
    files = files_of(world.shelf)
    assert not cover(files).gaps
    assert world.read >= len(world.log)


def to_the_end(world: World, kind: str) -> None:
    actor = Actor(getattr(world, kind))
    while not actor.ended:
        actor.step()


def test_a_merge_in_the_middle_of_a_listing_hides_no_end() -> None:
    """The newest file goes into a merged one, whose name belongs into the part that was listed already; so does that of
    the file after it, which is dated earlier.
    """

    def path(first: int, last: int, date: str = "2024-10-04") -> str:
        return Span(TOPIC, 0, first, last, date).path

    shelf, seen = Shelf({path(0, 17): b"", path(18, 20): b"", path(21, 29): b""}), list[File]()
    actor = Actor(lambda me: seen.extend(listed(shelf.of(me))))
    actor.step()
    actor.step()
    shelf.content.clear()
    shelf.content |= {path(0, 29): b"", path(30, 30, "2024-10-03"): b""}
    while not actor.ended:
        actor.step()
    assert next_offset(seen) == 31


def test_the_check_would_see_a_row_that_is_missing() -> None:
    world = World(list(logged(random.Random(3))), Shelf({}), random.Random(3))
    to_the_end(world, "writer")
    del world.shelf.content[sorted(world.shelf.content)[1]]
    with pytest.raises(Exception, match="are missing"):
        to_the_end(world, "reader")
