"""The kernel: the loops over entities, rows and events, as machine code (numba).

Everything around it works on whole arrays; in here one entity comes after the other, so what an event sees can be told
as it is meant. It is imported when it is first needed (features/fold.py), and by a worker before it joins its group.
The price: numba with LLVM, 190 MB on disk and 130 in memory, 1 to 1.6 s of a start, and ten seconds of compiling once.
"""

from features.kernel.entries import FEW, pack_events, pack_hot_events
from features.kernel.folded import TOO_MANY, compact_bags
from features.kernel.folding import fold_bags
from features.kernel.rows import entries_of
from features.kernel.text import long_numbers, write_rows

__all__ = [
    "FEW",
    "TOO_MANY",
    "compact_bags",
    "entries_of",
    "fold_bags",
    "long_numbers",
    "pack_events",
    "pack_hot_events",
    "write_rows",
]
