"""A shell completes what we have: asked of a real bash with our script."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from streams.cli import COMMANDS

ASK = """
source {script}
COMP_WORDS=({words}); COMP_CWORD={at}; COMP_LINE="${{COMP_WORDS[*]}}"; COMP_POINT=${{#COMP_LINE}}
_headrace_completion headrace
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


def completed(tmp_path: Path, *words: str) -> list[str]:
    """What bash would offer for the last of the words."""
    bin_folder = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    script = tmp_path / "headrace.bash"
    script.write_bytes(
        subprocess.run(["headrace", "completion", "bash"], env=environment, capture_output=True, check=True).stdout
    )
    quoted = " ".join(f"'{word}'" for word in words)
    asked = ASK.format(script=script, words=quoted, at=len(words) - 1)
    # `complete` and `compopt` want a terminal's readline; the function alone does not
    found = subprocess.run(["bash", "-c", asked], env=environment, capture_output=True, text=True, check=True)
    return found.stdout.split()


def test_a_command_is_completed(tmp_path: Path) -> None:
    assert completed(tmp_path, "headrace", "pro") == ["produce"]
    assert set(completed(tmp_path, "headrace", "")) == set(COMMANDS)


def test_a_part_of_a_command_and_an_option_are_completed(tmp_path: Path) -> None:
    assert completed(tmp_path, "headrace", "models", "pro") == ["promote"]
    assert "--log-format" in completed(tmp_path, "headrace", "worker", "--log")


def test_a_topic_is_completed(tmp_path: Path) -> None:
    assert completed(tmp_path, "headrace", "consume", "cli") == ["clickstream", "clickstream.dlq"]
    assert completed(tmp_path, "headrace", "produce", "ord") == ["orders", "orders.dlq"]
