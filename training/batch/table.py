"""Table: the labelled orders of a training set, by time, as arrays.

Two passes over the files: the first reads when each order was and what is known of it, the second the features of those
that can be learned from. So what is held is one matrix, orders times features times 8 bytes, and a few thousand rows.
An order counts when it has matured: of younger ones only the frauds are known, and to learn from those alone would be
to learn that what is new is a fraud.

The price: features are held as float64, as scorers read them, and a set must fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from archive.arrow import compute, pa, parquet
from features.columns import Floats2d, Ints
from schemas.timestamps import epoch_ms, rfc3339
from training.metrics import Bools

OWNERS: Final = ("card_id", "user_id", "visitor_id")  # whose an order is: the first of them that it has
READ_ROWS: Final = 16_384
_TOLD: Final = ("event_time", "label", "label_type", "matured", *OWNERS)

Tell = Callable[[int, int], None]
"""How many rows are read, and of how many."""


class BadSetError(ValueError):
    """What was given is no training set, or none for these features; the message says which and what to do."""


@dataclass(frozen=True)
class Table:
    """(n,) each, by time; `x` is (n, d)."""

    x: Floats2d
    fraud: Bools
    at_ms: Ints
    owner: Ints  # small integers: the orders of one card are not independent
    types: tuple[str | None, ...]  # of the frauds, where a label said
    names: tuple[str, ...]  # (d,)
    feature_hash: str
    hash: str  # of what went into the set
    left_out: int = 0  # orders of the window that have no label yet
    mature_ms: int = 0  # how old an order was when it was known to be good

    def __len__(self) -> int:
        return len(self.fraud)

    @property
    def day(self) -> Ints:
        return self.at_ms // 86_400_000

    @property
    def cards(self) -> Ints:
        """(n,) `owner`, numbered from 0 without holes, as a bootstrap draws them."""
        number: Ints = np.unique(self.owner, return_inverse=True)[1]
        return number

    def between(self, from_ms: int, to_ms: int) -> Table:
        """The orders of [from_ms, to_ms): a view, nothing is copied."""
        begin, end = np.searchsorted(self.at_ms, (from_ms, to_ms)).tolist()
        rows = slice(begin, end)
        return replace(
            self,
            x=self.x[rows],
            fraud=self.fraud[rows],
            at_ms=self.at_ms[rows],
            owner=self.owner[rows],
            types=self.types[rows],
            left_out=0,
        )

    def about(self) -> dict[str, Any]:
        """What it is, for a manifest."""
        first, last = (rfc3339(int(self.at_ms[at])) if len(self) else None for at in (0, -1))
        return {"from": first, "to": last, "orders": len(self), "frauds": int(self.fraud.sum())}


def read(
    path: Path,
    names: Sequence[str],
    feature_hash: str,
    *,
    from_ms: int | None = None,
    to_ms: int | None = None,
    tell: Tell | None = None,
    labelled: bool = True,
) -> Table:
    """The labelled orders of a file or a folder, of event times in [from_ms, to_ms); raises BadSetError.

    `labelled` False: all orders, for a look at their vectors; `fraud` is then what is known so far.
    """
    files = _files(path)
    about = _checked([_said(file) for file in files], path, names, feature_hash)
    told = [_outline(file, from_ms, to_ms, labelled=labelled) for file in files]
    total = sum(int(one.keep.sum()) for one in told)
    x: Floats2d = np.empty((total, len(names)))
    done = 0
    for file, one in zip(files, told, strict=True):
        for rows in _vectors(file, names, one.keep):
            x[done : done + len(rows)] = rows
            done += len(rows)
            if tell is not None:
                tell(done, total)
    at_ms, fraud = (np.concatenate([getattr(one, name)[one.keep] for one in told]) for name in ("at_ms", "fraud"))
    owner = _numbered(pa.concat_arrays([one.owner.filter(pa.array(one.keep)) for one in told]), total)
    types: npt.NDArray[np.object_] = np.concatenate([one.types[one.keep] for one in told])
    order = np.argsort(at_ms, kind="stable")
    if (np.diff(order) != 1).any():
        x, at_ms, fraud, owner, types = x[order], at_ms[order], fraud[order], owner[order], types[order]
    return Table(
        x=x,
        fraud=fraud,
        at_ms=at_ms,
        owner=owner,
        types=tuple(types.tolist()),
        names=tuple(names),
        feature_hash=feature_hash,
        hash=sha256("\n".join(sorted({str(each["data_hash"]) for each in about})).encode()).hexdigest()[:16],
        left_out=sum(int((one.inside & ~one.keep).sum()) for one in told),
        mature_ms=max(int(each["mature_after_ms"]) for each in about),
    )


def end_ms(path: Path) -> int:
    """The moment before which all orders of a set are; raises BadSetError."""
    at_ms, _ = epoch_ms([str(_said(file)["to"]) for file in _files(path)])
    return int(at_ms.max())


@dataclass(frozen=True, slots=True)
class _Outline:
    """Of every row of a file."""

    at_ms: Ints
    fraud: Bools
    inside: Bools  # of the window
    keep: Bools  # and matured, where labels are asked for
    owner: Any  # texts, of pyarrow
    types: npt.NDArray[np.object_]


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*.parquet") if not file.name.startswith("."))
        if files:
            return files
    elif path.is_file():
        return [path]
    raise BadSetError(f"{path}: no training set there: make one with `headrace features build --out {path}`")


def _said(file: Path) -> dict[str, Any]:
    """The footer, with the columns there are."""
    try:
        schema = parquet.read_schema(str(file))
        said: dict[str, Any] = orjson.loads((schema.metadata or {})[b"headrace"])
        return said | {"file": file, "columns": frozenset(schema.names)}
    except (KeyError, orjson.JSONDecodeError, pa.ArrowInvalid) as error:
        raise BadSetError(f"{file}: no training set of `headrace features build`: {error}") from error


def _checked(said: Sequence[dict[str, Any]], path: Path, names: Sequence[str], want: str) -> list[dict[str, Any]]:
    """One of each set; raises where one cannot be learned from with these features."""
    for one in said:
        if one["feature_hash"] != want:
            raise BadSetError(
                f"{one['file']} holds features {one['feature_hash']}, here they are {want}: build it again with "
                "`headrace features build`, or name the definitions it was made with (HEADRACE_FEATURES)"
            )
        if missing := [name for name in (*_TOLD, *names) if name not in one["columns"]]:
            raise BadSetError(
                f"{one['file']}: column {missing[0]!r} is missing, with {len(missing) - 1} more: build it again"
            )
    sets = list({(one["data_hash"], one["from"], one["to"]): one for one in said}.values())
    sets.sort(key=lambda one: str(one["from"]))
    for one, after in pairwise(sets):
        if str(after["from"]) < str(one["to"]):  # both as rfc3339 writes them
            raise BadSetError(
                f"{path} holds two sets of the same days ({one['from']} to {one['to']}, and from {after['from']}): "
                "an order would be learned from twice; keep one of them"
            )
    return sets


def _outline(file: Path, from_ms: int | None, to_ms: int | None, *, labelled: bool) -> _Outline:
    table = parquet.read_table(str(file), columns=list(_TOLD), partitioning=None)
    at_ms: Ints = table.column("event_time").cast(pa.int64()).to_numpy()
    inside = np.ones(len(at_ms), np.bool_)
    if from_ms is not None:
        inside &= at_ms >= from_ms
    if to_ms is not None:
        inside &= at_ms < to_ms
    label = table.column("label").cast(pa.int64()).fill_null(-1).to_numpy()
    keep = inside & (label >= 0) & table.column("matured").to_numpy() if labelled else inside
    owner = compute.coalesce(*(table.column(name) for name in OWNERS)).combine_chunks()
    types: npt.NDArray[np.object_] = np.array(table.column("label_type").to_pylist(), dtype=np.object_)
    types[label != 1] = None
    return _Outline(at_ms, label == 1, inside, keep, owner, types)


def _vectors(file: Path, names: Sequence[str], keep: Bools) -> Iterator[Floats2d]:
    """(n, d) of the rows that are kept."""
    done = 0
    with parquet.ParquetFile(str(file)) as held:
        for batch in held.iter_batches(READ_ROWS, columns=list(names)):
            rows = keep[done : done + len(batch)]
            done += len(batch)
            if rows.any():
                yield np.column_stack([batch.column(name).to_numpy()[rows] for name in names])


def _numbered(owner: Any, n: int) -> Ints:
    """A small integer for each text; an order that is nobody's is its own."""
    coded = owner.dictionary_encode()
    number: Ints = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    alone = np.flatnonzero(number < 0)
    number[alone] = len(coded.dictionary) + np.arange(len(alone))
    assert len(number) == n
    return number
