"""Reading an archive takes no more memory where it is longer: backfill, rebuild and training sets stream.

Each is a process of its own, on an archive of few orders and on one of many, each by a new user: who holds something of
every user or event grows by some hundred bytes each. A replay does, for it must (features/replay.py): it shows that
such growth would be seen.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from streams.embedded.store import Store
from tests.support import long_past
from tests.support.long_past import held_bytes, make

FEW, MANY = 6_000, 18_000
ALLOWED = 100  # bytes a further order: an empty bag with its entity's name is more


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    few, many = (tmp_path_factory.mktemp(str(count)) / "archive" for count in (FEW, MANY))
    for folder, count in ((few, FEW), (many, MANY)):
        folder.mkdir()
        make(folder, count)
    return few, many


def growth(what: str, archives: tuple[Path, Path], url: str) -> float:
    """Bytes that the process holds for each further order."""
    held = []
    for folder in archives:
        with redis.Redis.from_url(url) as server:
            server.flushall()
        held.append(held_bytes(what, folder, url))
    return (held[1] - held[0]) / (MANY - FEW)


@pytest.mark.slow
@pytest.mark.parametrize("what", sorted(long_past.READERS))
def test_a_longer_archive_takes_no_more_memory(what: str, archives: tuple[Path, Path], valkey: Store) -> None:
    grown = growth(what, archives, valkey.url)
    if what == "replay":
        assert grown > ALLOWED, "it would not be seen"
    else:
        assert grown < ALLOWED
