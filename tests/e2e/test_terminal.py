"""Colour is for terminals alone, and for none whose owner does not want it (https://no-color.org)."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from streams.embedded.processes import LOCALHOST, free_port

ROOT = Path(__file__).resolve().parents[2]
ESCAPE = "\x1b["


def shown(**env: str) -> str:
    """What `headrace doctor` shows on a terminal, where nothing else is."""
    ours, theirs = pty.openpty()
    where = {
        "HEADRACE_KAFKA__BROKERS": f"{LOCALHOST}:{free_port()}",
        "HEADRACE_REDIS__URL": f"redis://{LOCALHOST}:{free_port()}",
        "TERM": "xterm-256color",
    }
    argv = [sys.executable, "-P", "-m", "streams.cli", "doctor"]
    process = subprocess.Popen(argv, cwd=ROOT, env={**os.environ, **where, **env}, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 65_536):
            said += part
    except OSError:  # how Linux says that nobody writes any more
        pass
    os.close(ours)
    assert process.wait(30) == 1
    return said.decode()


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)], ids=["terminal", "NO_COLOR"])
def test_colour_is_shown_unless_its_owner_does_not_want_it(env: dict[str, str], coloured: bool) -> None:
    said = shown(**env)
    assert "no broker answers" in said
    assert (ESCAPE in said) is coloured
