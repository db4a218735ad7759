"""The kernel of the models: loops over rows, trees and leaves as machine code (numba). What they are given was checked
before (models/trees.py): they trust every index.

It is imported by the models that need it. The price: numba, as in features/kernel, and some seconds of compiling once.
"""

from models.kernel import columns, curve, leaves, shares

__all__ = ["columns", "curve", "leaves", "shares"]
