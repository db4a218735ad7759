"""docs/running.md knows every sentence with which a process stops."""

from __future__ import annotations

import re

import pytest

from tests.docs.stops import literals, sentences
from tests.docs.tables import DOCS

ROWS = re.findall(r"^\| `([^`]+)`.* \|$", (DOCS / "running.md").read_text().split("## When it stops")[1], re.MULTILINE)
SENTENCES = sorted(set(sentences()))
LITERALS = sorted(set(literals()))


def matches(row: str, sentence: str) -> bool:
    """Whether the fragments of a row stand in the sentence, in their order."""
    return bool(re.search(".*".join(re.escape(part) for part in row.split("…")), sentence))


@pytest.mark.parametrize("sentence", [text for _, text in SENTENCES])
def test_whoever_is_stopped_finds_the_line_and_what_to_do(sentence: str) -> None:
    assert any(matches(row, sentence) for row in ROWS), f"docs/running.md has no row for: {sentence}"


@pytest.mark.parametrize("row", ROWS)
def test_no_row_is_about_a_sentence_that_nobody_says(row: str) -> None:
    assert any(matches(row, text) for text in LITERALS)
