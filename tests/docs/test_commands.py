"""What the docs tell a reader to type exists: commands, options, make targets, files that are linked."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from schemas.decode import Reason
from streams.cli import COMMANDS, cli
from streams.cli.examples import EXAMPLES
from tests.docs.tables import DOCS

ROOT = DOCS.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
TYPED = re.compile(r"^(?:    |\$ )?(?:export )?(?:[A-Z_]+=\S* )*(?:echo .*\| )?headrace ([^#\n]+)", re.MULTILINE)
INLINE = re.compile(r"`(?:[A-Z_]+=\S* )?headrace ([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def typed() -> list[tuple[str, str]]:
    """(page, what stands behind `headrace`) of each command line in the docs."""
    found = []
    for page in PAGES:
        text = page.read_text()
        lines = [line for line in [*TYPED.findall(text), *INLINE.findall(text)] if line.split()[0] in COMMANDS]
        found += [(page.name, re.split(r" [<>|] | && ", line)[0].strip()) for line in lines]
    return sorted(set(found))


@pytest.mark.parametrize(("page", "line"), typed())
def test_a_command_in_the_docs_exists_with_its_options(page: str, line: str) -> None:
    command: click.Command = cli
    words = shlex.split(line)
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        context = click.Context(command)
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"{page}: headrace {line}: no command {name!r}"
        command = found
    known = {name for parameter in command.params for name in parameter.opts}
    for word in words:
        assert not word.startswith("--") or word.split("=")[0] in known, f"{page}: headrace {line}: no option {word}"


def test_reasons_in_the_docs_and_in_examples_are_reasons_that_there_are() -> None:
    texts = [page.read_text() for page in PAGES] + [line for lines in EXAMPLES.values() for line in lines]
    named = {reason for text in texts for reason in re.findall(r"--reason ([a-z_]+)", text)}
    assert named
    assert named <= {reason.value for reason in Reason}


def test_every_command_has_its_section() -> None:
    sections = re.findall(r"^## (\w+)$", (DOCS / "commands.md").read_text(), re.MULTILINE)
    assert sections == list(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_linked_is_there(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_in_the_docs_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:^    |`)make ([a-z-]+)", page.read_text(), re.MULTILINE)
    assert set(named) <= targets


def test_every_page_is_on_the_map() -> None:
    linked = set(LINK.findall((DOCS / "index.md").read_text()))
    assert {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"index.md"} <= linked
