"""Every name of pyarrow that the archive uses, and the one place that says what to do where it is not installed.

Imported only by what reads or writes files: plans and names need nothing. pyarrow ships no types; here is the boundary
at which mypy is told so.
"""

from __future__ import annotations

from archive.errors import ArchiveError

try:
    import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
    from pyarrow import compute, parquet
except ImportError as error:
    raise ArchiveError("the archive needs pyarrow: pip install 'headrace[history]'") from error

__all__ = ["compute", "pa", "parquet"]
