"""Runs a page of the docs as its reader would: files are written, commands typed, terminals opened and closed.

What is run stands in fenced blocks:

    ```bash                       typed in the reader's terminal, one shell for the whole page
    ```bash title="terminal 1"    typed in another terminal, which has what was exported, and left running
    ```toml title="rules.toml"    a file that the reader writes (of any language)

and what must be seen in comments behind it: `<!-- shows: text -->`, `<!-- terminal 1 shows: text -->`. A terminal is
closed by the next block of its name, and at the end. Of what `headrace up` prints, addresses that are not the usual
ones are used in place of those.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

BLOCK = re.compile(
    r'^```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```\n'
    r"(?P<shows>(?:<!-- (?:terminal \d )?shows: .*? -->\n)*)",
    re.MULTILINE | re.DOTALL,
)
SHOWS = re.compile(r"<!-- (terminal \d )?shows: (.*?) -->")
TERMINAL = "terminal "
WITHIN_S = 240.0  # on a machine that has other work; a page takes 10 to 80 s
USUAL = {  # what `headrace up` calls it: where the docs take it for, and the setting that says otherwise
    "page": ("http://127.0.0.1:8080", ""),
    "broker": ("127.0.0.1:9092", "HEADRACE_KAFKA__BROKERS"),
    "store": ("redis://127.0.0.1:6379/0", "HEADRACE_REDIS__URL"),
    "worker 0": ("http://127.0.0.1:9641", ""),
    "worker 1": ("http://127.0.0.1:9642", ""),
}


@dataclass(frozen=True, slots=True)
class Block:
    """`title`: the terminal or the file; None: the reader's own terminal. `elsewhere`: what another terminal shows."""

    language: str
    title: str | None
    text: str
    shows: tuple[str, ...]
    elsewhere: tuple[tuple[str, str], ...] = ()


def blocks(page: str) -> list[Block]:
    """What a reader does, in order; what is only to be read is left out."""
    found = map(_block, BLOCK.finditer(page))
    return [block for block in found if block.language == "bash" or block.title is not None]


def _block(found: re.Match[str]) -> Block:
    seen = [(terminal.strip(), text) for terminal, text in SHOWS.findall(found["shows"])]
    own, elsewhere = [text for terminal, text in seen if not terminal], [one for one in seen if one[0]]
    return Block(found["language"], found["title"], found["text"], tuple(own), tuple(elsewhere))


@dataclass
class Reader:
    """Somebody at a desk in `folder`, with our commands on the path. `instead`: what the page says -> what is typed."""

    folder: Path
    env: Mapping[str, str]
    instead: dict[str, str] = field(default_factory=dict)
    open: dict[str, int] = field(default_factory=dict)  # terminal -> process group

    def __post_init__(self) -> None:
        bare = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {**bare, "PATH": path, "HOME": str(self.folder), **self.env}
        self._shell = subprocess.Popen(["bash"], cwd=self.folder, env=env, stdin=subprocess.PIPE)
        self._tell("set -m")  # each terminal is a process group

    def does(self, block: Block) -> str:
        """One block; what it printed. Raises AssertionError where it fails, or does not show what it should."""
        text = block.text
        for told, here in self.instead.items():
            text = text.replace(told, here)
        if block.language != "bash":
            assert block.title is not None
            (self.folder / block.title).write_text(text)
            return ""
        said = self._types(text) if block.title is None else self._opens(block.title, text, block.shows)
        for wanted in block.shows:
            assert wanted in said, f"{wanted!r} is not shown by:\n{text}\n{said}\n{self._terminals()}"
        for terminal, wanted in block.elsewhere:
            output = self.folder / f".{terminal}.out"
            _until(partial(_shown, output, wanted), lambda: f"{block.elsewhere}\n{self._terminals()}")
        return said

    def leaves(self) -> None:
        """Closes everything; the reader's shell goes last."""
        for name in reversed(list(self.open)):  # broker and store go last
            self._closes(name)
        with self._shell:
            self._shell.kill()

    def _types(self, text: str) -> str:
        script, output, done = (self.folder / f".typed.{name}" for name in ("sh", "out", "done"))
        script.write_text(f"set -eo pipefail\n{text}\nset +eo pipefail\n")
        done.unlink(missing_ok=True)
        self._tell(f". '{script}' > '{output}' 2>&1 < /dev/null; touch '{done}'")

        def over() -> bool:
            assert self._shell.poll() is None, f"failed:\n{text}\n{output.read_text()}\n{self._terminals()}"
            return done.exists()

        _until(over, lambda: f"{text}\n{output.read_text()}\n{self._terminals()}")
        return output.read_text(errors="replace")

    def _opens(self, name: str, text: str, shows: tuple[str, ...]) -> str:
        self._closes(name)
        script, output, group = (self.folder / f".{name}.{what}" for what in ("sh", "out", "group"))
        script.write_text(text)
        self._types(f"(. '{script}') > '{output}' 2>&1 < /dev/null & echo $! > '{group}'")
        self.open[name] = int(group.read_text())

        def said() -> str:
            return output.read_text(errors="replace")

        _until(lambda: all(_shown(output, wanted) for wanted in shows), lambda: f"{shows} from:\n{text}\n{said()}")
        for what, (usual, setting) in USUAL.items():
            found = re.search(rf"^{what} +(\S+?)(?:/metrics)? ", said(), re.MULTILINE)
            if found and found[1] != usual:
                self.instead[usual] = found[1]
                if setting:
                    self._types(f"export {setting}={found[1]}")
        return said()

    def _closes(self, name: str) -> None:
        if (group := self.open.pop(name, None)) is None:
            return

        def gone() -> bool:
            with suppress(ProcessLookupError):
                os.killpg(group, 0)
                return False
            return True

        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGTERM)
        _until(gone, lambda: f"{name} does not end:\n{self._terminals()}")

    def _tell(self, line: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{line}\n".encode())
        self._shell.stdin.flush()

    def _terminals(self) -> str:
        """The last lines of each."""
        paths = sorted(self.folder.glob(f".{TERMINAL}*.out"))
        return "\n".join(f"{path.stem}:\n{path.read_text(errors='replace')[-2000:]}" for path in paths)


def _shown(output: Path, wanted: str) -> bool:
    return wanted in output.read_text(errors="replace")


def _until(over: Callable[[], bool], why: Callable[[], str]) -> None:
    until = time.monotonic() + WITHIN_S
    while not over():
        assert time.monotonic() < until, f"not within {WITHIN_S:g} s: {why()}"
        time.sleep(0.02)
