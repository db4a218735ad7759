"""A folder that outlives its services: `headrace up --keep DIR`.

One set of services works in it at a time. The embedded broker's log does not outlive it, so a store's state that was
kept would stand for events that are gone: such a folder is refused, unless the log is a real Kafka's.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.settings import load
from streams.embedded.processes import StartError


@contextmanager
def claim(folder: Path | None) -> Iterator[None]:
    """Holds the folder until the context is left, however this process ends; None: nothing to hold."""
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StartError(f"--keep {folder}: another headrace works there; name another folder") from None
        if (folder / "store").exists() and "brokers" not in load().kafka.model_fields_set:
            raise StartError(
                f"--keep {folder}: holds the state of an earlier run whose log ended with its embedded broker; "
                "name another folder, or a real Kafka by HEADRACE_KAFKA__BROKERS"
            )
        yield
