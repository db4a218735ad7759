"""Every sentence with which a process of ours stops, as it stands in the code: values are shown as `…`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def sentences() -> Iterator[tuple[str, str]]:
    """(file, sentence) of each `Stop(...)` in streams/ that is written out there."""
    for path in sorted((ROOT / "streams").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Stop" and node.args:
                text = _text(node.args[0])
                if any(letter.isalpha() for letter in text):
                    yield str(path.relative_to(ROOT)), text


def literals() -> Iterator[str]:
    """Every text that is written out in streams/ and models/."""
    for folder in ("streams", "models"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
                    yield _text(node)


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(value) for value in node.values)
    return "…"
