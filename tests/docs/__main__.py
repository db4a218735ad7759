"""`python -m tests.docs`: writes the tables of the docs anew."""

from __future__ import annotations

from tests.docs.tables import pages, rewritten

for page in pages():
    page.write_text(rewritten(page.read_text()))
    print(page)
