"""Compiled: functions as machine code, kept on disk.

Numba keeps what it made of a function under the date of the function's own file. Ours call each other across files and
have constants of others in them, so each family of functions (features/kernel, models/kernel) is kept in a folder named
by what is in all its sources: any change of these makes them anew. The folder lies in __pycache__, or in the user's
folder of caches where that cannot be written; where neither can, each start compiles. `NUMBA_CACHE_DIR` says where
else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

config: Any = numba.config  # its names are made when it is imported


class Compiler:
    """Compiles the functions of some sources: files, and folders with all that is in them."""

    def __init__(self, *sources: Path) -> None:
        self.folder = folder_of(sources, places(sources[0]))

    def __call__(self, function: Function, signature: Any = None) -> Function:
        """The function as machine code; with a signature at once, for these types alone.

        It runs without the interpreter's lock, so other threads go on. A division by zero gives infinity, as in numpy.
        """
        given, config.CACHE_DIR = config.CACHE_DIR, self.folder
        try:
            made = numba.njit(signature, cache=bool(self.folder), nogil=True, error_model="numpy")(function)
        finally:
            config.CACHE_DIR = given
        return cast(Function, made)


def folder_of(sources: Sequence[Path], places: Sequence[Path]) -> str:
    """The folder for code of these sources, in the first place that can be written; "": in none."""
    digest = sha256(b"".join(path.read_bytes() for path in [Path(__file__), *_files(sources)])).hexdigest()[:16]
    for place in places:
        folder = place / f"kernel-{digest}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return str(folder)
    return ""


def places(package: Path) -> list[Path]:
    """Where code of a package may be kept; a user without a home has no folder of caches."""
    if config.CACHE_DIR:
        return [Path(config.CACHE_DIR)]
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return [package / "__pycache__", *([] if caches.startswith("~") else [Path(caches) / "headrace"])]


def _files(sources: Sequence[Path]) -> list[Path]:
    return [path for source in sources for path in (sorted(source.rglob("*.py")) if source.is_dir() else [source])]
