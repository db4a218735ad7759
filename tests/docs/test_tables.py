"""The tables of the docs are what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.tables import BLOCK, TABLES, pages, rewritten


@pytest.mark.parametrize("page", list(pages()), ids=lambda page: page.name)
def test_a_page_has_the_tables_of_this_code(page: Path) -> None:
    text = page.read_text()
    assert rewritten(text) == text, f"docs/{page.name} is not what the code says: run `python -m tests.docs`"


def test_every_table_is_in_a_page() -> None:
    assert {found[2] for page in pages() for found in BLOCK.finditer(page.read_text())} == set(TABLES)
