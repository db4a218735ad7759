"""Provenance: which code and which machine made an artefact or a figure.

The revision is that of the last commit which touched the code that can change a number, with `+` where it has changes
that no commit holds. The price: it asks git, and outside a checkout it can only name the release.
"""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
CODE: Final = ("schemas", "features", "models", "training", ":!models/default")


def revision() -> str:
    """Short commit of the code, or the release where there is no checkout."""
    commit = _git("log", "-1", "--format=%h", "--", *CODE)
    if not commit:
        return _release()
    return commit + ("+" if _git("status", "--porcelain", "--untracked-files=no", "--", *CODE) else "")


def machine() -> str:
    """Processor, cores and Python, as far as the system tells."""
    lines = _lines(Path("/proc/cpuinfo"))
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    cores = sum(line.startswith("processor") for line in lines)
    return f"{cpu}, {cores or 'unknown'} cores, Python {platform.python_version()}"


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _release() -> str:
    try:
        return f"headrace {version('headrace')}"
    except PackageNotFoundError:
        return "unknown"


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
