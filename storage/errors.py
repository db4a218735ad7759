"""What can be wrong with a place of files, in words for the one who has to mend it."""

from __future__ import annotations


class StorageError(Exception):
    """The place cannot be used as asked; the message names the thing, its value and the remedy."""


class StorageDown(Exception):  # noqa: N818 - the name says what is so, as StoreDown does
    """The place does not answer, is full or refuses us: waiting may help."""
