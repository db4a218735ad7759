"""Which files to read so that every offset comes exactly once; which may go, be merged, or have expired.

Pure: lists of files in, plans out. One rule serves them all. Readers go through a partition by offset: of the files
that begin at or before the next offset they take the one that reaches furthest, and of it the rows from there on. Files
may therefore overlap (two writers for a moment, a merged file beside those that it was made of) and nothing is read
twice, since the row of an offset is the same in whichever file it is. What follows:

- a file may be removed when one other file covers all of it. *One*: being covered by several together would let two
  cleaners, each with its own listing, remove what the other relies on. Within is an order; what nothing contains stays.
- the newest file of a partition is never touched: it says where the writer goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from archive.names import File, Span

TINY = 32  # a file of less than this part of the target is merged whatever follows it


@dataclass(frozen=True, slots=True)
class Piece:
    """The rows of a file from offset `first` on, up to the last that it covers."""

    file: File
    first: int

    @property
    def last(self) -> int:
        return self.file.last


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets that no file covers."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Cover:
    """A partition as readers see it."""

    pieces: tuple[Piece, ...]
    gaps: tuple[Gap, ...]


def cover(files: Iterable[File], since: int | None = None) -> Cover:
    """The pieces of one partition in offset order, from `since` on (None: from the first offset there is)."""
    ordered = sorted(files, key=lambda file: (file.first, -file.last, file.span.path))
    at = 0
    following = since if since is not None else (ordered[0].first if ordered else 0)
    best: File | None = None
    pieces, gaps = list[Piece](), list[Gap]()
    while True:
        while at < len(ordered) and ordered[at].first <= following:
            if best is None or ordered[at].last > best.last:
                best = ordered[at]
            at += 1
        if best is not None and best.last >= following:
            pieces.append(Piece(best, following))
            following = best.last + 1
        elif at < len(ordered):
            gaps.append(Gap(following, ordered[at].first - 1))
            following = ordered[at].first
        else:
            return Cover(tuple(pieces), tuple(gaps))


def next_offset(files: Iterable[File]) -> int | None:
    """Where a writer goes on; None where nothing is archived."""
    return max((file.last + 1 for file in files), default=None)


def newest(files: Iterable[File]) -> File | None:
    """The file that reaches furthest; of several the widest."""
    return min(files, key=lambda file: (-file.last, file.first, file.span.path), default=None)


def contained(files: Iterable[File]) -> list[File]:
    """Those that one other file covers whole: they may be removed."""
    found, widest = list[File](), -1
    for file in sorted(files, key=lambda file: (file.first, -file.last, file.span.path)):
        if file.last <= widest:
            found.append(file)
        widest = max(widest, file.last)
    return found


@dataclass(frozen=True, slots=True)
class Merge:
    """Neighbours of one date that are to become one file."""

    sources: tuple[Piece, ...]

    @property
    def span(self) -> Span:
        head = self.sources[0].file.span
        return Span(head.topic, head.partition, head.first, self.sources[-1].last, head.date)


def merges(files: Sequence[File], target_bytes: int) -> list[Merge]:
    """What to merge in one partition so that files come near `target_bytes`.

    A run begins with no file larger than all that follow it together, tiny ones apart: so what was merged before is
    written again only when it at least doubles, and a byte is written a handful of times on its way to the target.
    """
    last = newest(files)
    pieces = [piece for piece in cover(files).pieces if piece.file != last]
    runs = [_worthwhile(run, target_bytes // TINY) for run in _runs(pieces, target_bytes)]
    return [Merge((Piece(run[0].file, run[0].file.first), *run[1:])) for run in runs if len(run) > 1]


def _runs(pieces: Sequence[Piece], target_bytes: int) -> list[list[Piece]]:
    """Pieces that follow each other without a gap, of one date, together not over the target."""
    runs, size = list[list[Piece]](), 0
    for piece in pieces:
        run = runs[-1] if runs else []
        follows = run and run[-1].last + 1 == piece.first and run[-1].file.span.date == piece.file.span.date
        if not follows or size + piece.file.size > target_bytes:
            runs.append([])
            size = 0
        runs[-1].append(piece)
        size += piece.file.size
    return runs


def _worthwhile(run: list[Piece], tiny_bytes: int) -> list[Piece]:
    while run and run[0].file.size > max(tiny_bytes, sum(piece.file.size for piece in run[1:])):
        run = run[1:]
    return run


def expired(files: Sequence[File], before: str, today: str) -> list[File]:
    """What retention removes of one partition: everything in front of the first file that is dated `before` or later.

    From the front only, so that no hole is made. A date after `today` is some producer's wrong clock: it keeps nothing.
    """
    last = newest(files)
    kept = [piece for piece in cover(files).pieces if before <= piece.file.span.date <= today or piece.file == last]
    return sorted(file for file in files if kept and file.last < kept[0].first and file != last)


def by_partition(files: Iterable[File]) -> dict[tuple[str, int], list[File]]:
    """The files of each topic and partition, in their order."""

    def place(file: File) -> tuple[str, int]:
        return file.span.topic, file.span.partition

    return {key: list(group) for key, group in groupby(sorted(files, key=place), key=place)}
