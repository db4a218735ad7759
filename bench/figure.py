"""A measured figure: docs/figures/NAME.json holds the value, the target and what one needs to measure it again."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs" / "figures"


def revision() -> str:
    """The commit measured, `+` behind it where the tree held changes."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False
        ).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")


def machine() -> str:
    """Processor, cores and memory, as far as the system tells."""
    cpu = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    cores = sum(line.startswith("processor") for line in _lines("/proc/cpuinfo"))
    kb = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return f"{cpu}, {cores} cores, {round(kb / 2**20)} GB, Python {platform.python_version()}"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def sha256(*paths: Path) -> str:
    """Hash of files by content, in the order given."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def hash_of(content: bytes) -> str:
    """Hash of bytes that were made rather than read."""
    return hashlib.sha256(content).hexdigest()[:16]


def write(name: str, *, value: Any, target: Any, command: str, data_hash: str, **more: Any) -> Path:
    """Writes docs/figures/NAME.json and returns its path."""
    FIGURES.mkdir(parents=True, exist_ok=True)
    path = FIGURES / f"{name}.json"
    body = {"name": name, "value": value, "target": target, "command": command, "data_hash": data_hash}
    body |= {"revision": revision(), "machine": machine(), **more}
    path.write_text(json.dumps(body, indent=2) + "\n")
    return path
