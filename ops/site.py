"""Hooks of mkdocs: the navigation is what docs/index.md says, and links out of docs/ are told and not followed.

The idea: one map of the docs, which a reader of the repository has as well. Each `##` of the index is a section of the
navigation, with the pages that it links in its order.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)


def on_config(config: Any) -> Any:
    """Sets the navigation."""
    index = (Path(config["docs_dir"]) / "index.md").read_text()
    _, *parts = SECTION.split(index)
    sections = [{title: _pages(text)} for title, text in zip(parts[::2], parts[1::2], strict=True)]
    config["nav"] = ["index.md", *[section for section in sections if next(iter(section.values()))]]
    return config


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """A link to a file of the repository that is no page becomes its name."""
    folder = posixpath.dirname(page.file.src_uri)

    def told(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", folder, link[2]))
        if target.startswith("docs/") and not target.endswith(".json") and "." in posixpath.basename(target):
            return link[0]
        return f"{link[1]} (`{target}`)" if link[1].strip("`") not in (target, link[2]) else f"`{target}`"

    return LINK.sub(told, markdown)


def _pages(text: str) -> list[str]:
    """The pages that a section links, once each, in order."""
    return list(
        dict.fromkeys(target for _, target, _ in LINK.findall(text) if target.endswith(".md") and ".." not in target)
    )
