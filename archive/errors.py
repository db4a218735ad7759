"""What can be wrong with an archive, in words for the one who has to mend it."""

from __future__ import annotations


class ArchiveError(Exception):
    """The archive cannot be used as asked; the message names the thing, its value and the remedy."""


class ArchiveDown(Exception):  # noqa: N818 - the name says what is so, as StoreDown does
    """The place of the files does not answer, is full or refuses us: waiting may help."""
