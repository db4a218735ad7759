"""Compiled: functions as machine code, kept on disk.

Numba keeps what it made of a function under the date of the function's own file. Ours call each other across files and
have constants of others in them, so they are kept in a folder named by what is in all files of features/: any change of
these makes them anew. The folder lies in __pycache__, or in the user's folder of caches where that cannot be written;
where neither can, each start compiles. `NUMBA_CACHE_DIR` says where else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Ints2d = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Floats2d = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Function = TypeVar("Function", bound=Callable[..., Any])

# Of arrays that are read, in a signature.
INTS, INTS2D = "Array(int64, 1, 'C', readonly=True)", "Array(int64, 2, 'C', readonly=True)"
FLOATS2D = "Array(float64, 2, 'C', readonly=True)"

config: Any = numba.config  # its names are made when it is imported
FEATURES = Path(__file__).parent.parent


def compiled(function: Function, signature: str | None = None) -> Function:
    """The function as machine code; with a signature at once, for these types alone.

    It runs without the interpreter's lock, so other threads go on. A division by zero gives infinity, as in numpy.
    """
    given, config.CACHE_DIR = config.CACHE_DIR, FOLDER
    try:
        return cast(Function, numba.njit(signature, cache=bool(FOLDER), nogil=True, error_model="numpy")(function))
    finally:
        config.CACHE_DIR = given


def folder_of(sources: Path, places: Sequence[Path]) -> str:
    """The folder for code of these sources, in the first place that can be written; "": in none."""
    digest = sha256(b"".join(path.read_bytes() for path in sorted(sources.rglob("*.py")))).hexdigest()[:16]
    for place in places:
        folder = place / f"kernel-{digest}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return str(folder)
    return ""


def _places() -> list[Path]:
    """Where code may be kept; a user without a home has no folder of caches."""
    if config.CACHE_DIR:
        return [Path(config.CACHE_DIR)]
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return [FEATURES / "__pycache__", *([] if caches.startswith("~") else [Path(caches) / "headrace"])]


FOLDER = folder_of(FEATURES, _places())
