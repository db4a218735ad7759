"""What the tutorial and the how-to pages tell a reader to type does what they say, from the first line to the last."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.embedded.processes import Children, free_port
from streams.embedded.store import start_store
from tests.docs.tables import DOCS
from tests.docs.typed import Reader, blocks
from tests.support.kafka import start_kafka

OF_A_CLUSTER = {"kafka"}  # pages for which a real broker and store must be there
EMBEDDED = [page for page in sorted((DOCS / "how-to").glob("*.md")) if page.stem not in OF_A_CLUSTER]
READ_FIRST = ("models",)  # folders of a clone that a page copies from

pytestmark = [pytest.mark.xdist_group("usual ports"), pytest.mark.timeout(900)]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    for name in READ_FIRST:
        shutil.copytree(DOCS.parent / name, tmp_path / name, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    one = Reader(tmp_path, {})
    yield one
    one.leaves()


def follows(reader: Reader, page: Path) -> None:
    for block in blocks(page.read_text()):
        reader.does(block)


def test_the_tutorial_does_what_it_says(reader: Reader) -> None:
    follows(reader, DOCS / "tutorial.md")


@pytest.mark.slow
@pytest.mark.parametrize("page", EMBEDDED, ids=lambda page: page.stem)
def test_a_how_to_does_what_it_says(reader: Reader, page: Path) -> None:
    follows(reader, page)


@pytest.mark.kafka
def test_the_page_on_ones_own_kafka_and_redis_does_what_it_says(reader: Reader, children: Children) -> None:
    broker, store = start_kafka(children), start_store(children, free_port())
    reader.instead |= {"kafka1:9092,kafka2:9092": broker.address, "redis://store:6379/0": store.url}
    follows(reader, DOCS / "how-to" / "kafka.md")


def test_a_block_that_fails_or_does_not_show_what_it_should_is_told(reader: Reader) -> None:
    """Else the tests above would hold of any page."""
    (wrong,) = blocks("```bash\nls nowhere\n```\n")
    with pytest.raises(AssertionError, match="No such file"):
        reader.does(wrong)


def test_what_is_not_shown_is_told(reader: Reader) -> None:
    (silent,) = blocks("```bash\necho this\n```\n<!-- shows: that -->\n")
    with pytest.raises(AssertionError, match="'that' is not shown"):
        reader.does(silent)
