"""The programs of docs/clients.md, run as a reader of the page would: each in its own language, as its own process.

What Node needs is installed once into the checkout's own cache, by its lock file; Java finds Kafka's client among the
broker's jars. Where a language is absent its test is skipped with the reason, or fails where HEADRACE_REQUIRE names it.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from streams.chaos.kafka import jars
from tests.support.kafka import CACHE as KAFKA
from tests.support.need import absent, need

PROGRAMS = Path(__file__).parents[1] / "clients"
NODE = KAFKA.parent / "node"
INSTALL_S = 120.0

Argv = Callable[[str], list[str]]  # the program's name, `producer` or `consumer` -> the words that start it


def python(name: str) -> list[str]:
    return [sys.executable, str(PROGRAMS / f"{name}.py")]


def node(name: str) -> list[str]:
    """A program is started where its packages are: Node looks for them beside it."""
    need("node")
    folder = _installed()
    return ["node", str(shutil.copy(PROGRAMS / f"{name}.mjs", folder))]


def java(name: str) -> list[str]:
    """As a single source file, which Java compiles as it starts."""
    need("java")
    return ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{jars(KAFKA)}/*", str(PROGRAMS / f"{name.capitalize()}.java")]


def _installed() -> Path:
    """The folder with the packages of the lock file."""
    lock = PROGRAMS / "package-lock.json"
    folder = NODE / sha256(lock.read_bytes()).hexdigest()[:12]
    NODE.mkdir(parents=True, exist_ok=True)
    with (NODE / "lock").open("w") as held:  # of several processes, one installs
        fcntl.flock(held, fcntl.LOCK_EX)
        if not folder.is_dir():
            _install(lock, folder)
    return folder


def _install(lock: Path, folder: Path) -> None:
    command = ["npm", "ci", "--no-audit", "--no-fund"]
    if shutil.which("npm") is None:
        absent("node", "npm is not on the PATH")
    partly = folder.with_suffix(".part")
    shutil.rmtree(partly, ignore_errors=True)
    partly.mkdir()
    for file in (lock, lock.with_name("package.json")):
        shutil.copy(str(file), partly)
    done = subprocess.run(command, cwd=partly, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    if done.returncode != 0:
        absent("node", f"npm could not install what the programs need: {done.stderr.strip()[-400:]}")
    partly.rename(folder)
