"""What an archive holds, a line for each partition; and the query with which DuckDB reads each record of it once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from archive.columns import OFFSET, cut
from archive.cover import Cover, Gap, Piece
from archive.names import DAY_MS, date_of
from archive.parquet import opened
from archive.reader import ALWAYS, AT_ONCE, Between, covers, files
from storage.places import Place


@dataclass(frozen=True, slots=True)
class Held:
    """One partition. `rows` is what readers get; offsets without a record (transaction markers) are covered too."""

    topic: str
    partition: int
    first: int
    last: int
    rows: int
    bytes: int
    files: int
    since: str  # dates of the first and the last file
    until: str
    gaps: tuple[Gap, ...]


def held(place: Place, topic: str | None = None) -> list[Held]:
    """Every partition of a topic, or of all. The price: the footer of every file."""
    return [_held(place, key, found) for key, found in covers(place, topic)]


def _held(place: Place, key: tuple[str, int], found: Cover) -> Held:
    pieces = found.pieces
    with ThreadPoolExecutor(AT_ONCE) as pool:
        rows = sum(pool.map(lambda piece: _rows(place, piece), pieces))
    return Held(
        *key,
        pieces[0].first,
        pieces[-1].last,
        rows,
        sum(piece.file.size for piece in pieces),
        len(pieces),
        pieces[0].file.span.date,
        pieces[-1].file.span.date,
        found.gaps,
    )


def _rows(place: Place, piece: Piece) -> int:
    """How many rows a reader takes of a file; 0 where it is gone: its rows are in another one now."""
    path = piece.file.span.path
    try:
        with place.open(path, footer=True) as raw:
            file = opened(raw, path)
            if piece.first == piece.file.first:
                return int(file.metadata.num_rows)
            return sum(len(cut(batch, piece.first, piece.last)) for batch in file.iter_batches(columns=[OFFSET]))
    except FileNotFoundError:
        return 0


def select(place: Place, topic: str, between: Between = ALWAYS) -> str:
    """SQL for DuckDB: every record once, also while files overlap. Good until a merge removes one of the files."""
    found = files(place, topic, between)
    whole = [piece for piece in found if piece.first == piece.file.first]
    parts = [_from([place.address(piece.file.span.path) for piece in whole])] if whole else []
    parts += [
        f"{_from([place.address(piece.file.span.path)])} WHERE {OFFSET} >= {piece.first}"
        for piece in found
        if piece not in whole
    ]
    if not parts:
        return f"SELECT NULL AS {OFFSET} WHERE false"
    return f"SELECT * FROM ({' UNION ALL BY NAME '.join(parts)})" + _when(between)


def _from(paths: list[str]) -> str:
    named = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    return f"SELECT * FROM read_parquet([{named}], union_by_name = true, hive_partitioning = false)"


def _when(between: Between) -> str:
    told = []
    for sign, at_ms in ((">=", between.start_ms), ("<", between.end_ms)):
        if at_ms is not None:
            told.append(f"kafka_timestamp {sign} TIMESTAMPTZ '{date_of(at_ms // DAY_MS)} 00:00:00+00'")
    return f" WHERE {' AND '.join(told)}" if told else ""
