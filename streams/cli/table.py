"""Rows as a table for people."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

WIDE = 200  # columns in a pipe: no cell is cut off


def print_table(rows: Sequence[Mapping[str, object]], right: Sequence[str] = ("value",)) -> None:
    """Prints rows that have the same names; those of `right` stand to the right."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        first = name == next(iter(rows[0]))  # a name is never cut in two
        table.add_column(name, justify="right" if name in right else "left", overflow="fold", no_wrap=first)
    for row in rows:
        table.add_row(*(str(cell) for cell in row.values()))
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)
