"""torch, and the one place that says what to do where it is not installed.

It is of the extra `train` and 3.4 GB; nothing that serves or that CI's quick path runs imports this. mypy runs without
it, too, so what comes from torch is Any here.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

try:
    torch: Any = import_module("torch")
except ImportError as error:
    raise ImportError("training a network needs torch: pip install 'headrace[train]'", name="torch") from error

Tensor = Any
