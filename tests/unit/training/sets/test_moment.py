"""As of which moment an archive is whole, whose topics are archived one beside the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from archive.listing import files_of
from archive.names import DAY_MS
from storage.places import Place
from streams.cli.sets import replayed
from tests.support.history import DEFINITIONS, HOUR_MS, START_MS, History
from training.sets.asked import Asked
from training.sets.build import build
from training.sets.moment import newest_whole

NOW_MS = START_MS + 20 * DAY_MS


def archive(folder: Path) -> Place:
    """An order every day and a chargeback of each a little later, a record in each file."""
    history = History()
    for n in range(10):
        history.order(f"{n}", START_MS + n * DAY_MS)
        history.chargeback(f"{n}", START_MS + n * DAY_MS + HOUR_MS)
    return history.decided().archived(folder / "archive", a_file=1)


def without(place: Place, topic: str, newest: int) -> None:
    """As if so many of the newest records of each partition were not archived yet."""
    every = files_of(place, topic)
    for partition in {file.span.partition for file in every}:
        some = sorted((file for file in every if file.span.partition == partition), key=lambda file: file.first)
        for file in some[-newest:]:
            place.remove(file.span.path)


def test_an_archive_in_which_nothing_is_missing_is_whole_as_of_now(tmp_path: Path) -> None:
    moment = newest_whole(archive(tmp_path), "orders", NOW_MS)
    assert (moment.at_ms, moment.why) == (NOW_MS, "")


@pytest.mark.parametrize(
    ("topic", "newest", "hours", "why"),
    [
        ("orders", 2, 7 * 24, "orders/0 is archived up to offset 7, and was taken up to 9"),
        ("labels", 1, 8 * 24 + 1, "labels/0 is archived up to offset 8, and was taken up to 9"),
        ("applied", 1, 9 * 24, "orders/0 is archived up to offset 9, and `applied` tells of it up to 8"),
        ("applied", 3, 7 * 24, "orders/0 is archived up to offset 9, and `applied` tells of it up to 6"),
    ],
)
def test_a_topic_that_is_behind_is_whole_before_what_it_lacks(
    tmp_path: Path, topic: str, newest: int, hours: int, why: str
) -> None:
    place = archive(tmp_path)
    without(place, topic, newest)
    moment = newest_whole(place, "orders", NOW_MS)
    assert (moment.at_ms, moment.why) == (START_MS + hours * HOUR_MS - 1, why)
    asked = Asked(START_MS, moment.at_ms, moment.at_ms, 5 * DAY_MS)
    built = build(
        place,
        DEFINITIONS,
        asked,
        tmp_path / "set.parquet",
        rebuild=lambda upto: replayed(place, DEFINITIONS, asked, 0.0, upto),
        tell=lambda *_: None,
    )
    assert built.counts.rows == sum(START_MS + n * DAY_MS < moment.at_ms for n in range(10))
