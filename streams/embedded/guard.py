"""The guard: a process that does nothing but outlive its parent and tidy up after it.

A parent that is killed with SIGKILL can neither stop its children nor remove its folder, so this program does. It
reads `+PID` and `-PID` lines from a pipe whose other end only the parent holds; when the pipe ends, however that came
about, it kills the process groups still on its list, waits until they are gone, and removes the folder. It lives in a
session of its own and ignores the signals of a terminal. The price: one more small Python process (8 MB, 20 ms) beside
the services.

Run as a file, without site-packages: `python -I -S guard.py PARENT_PID [FOLDER]`. Standard library only.
"""

import contextlib
import os
import select
import shutil
import signal
import sys
import time

GONE_WITHIN_S = 5.0  # SIGKILL cannot be refused; this is for a machine that is swapping


def watch(parent: int) -> set[int]:
    """Follows the list until the parent is gone; returns the children that are left."""
    left: set[int] = set()
    unread = b""
    while True:
        # The pipe alone would do, were it not for a fork of the parent that never exec'd: it holds the other end too.
        # The parent is asked first: what it wrote before it was gone is in the pipe by then, and is still read.
        gone = os.getppid() != parent
        if not select.select([0], [], [], 0.0 if gone else 1.0)[0]:
            if gone:
                break
            continue
        chunk = os.read(0, 65536)
        if not chunk:
            break
        *lines, unread = (unread + chunk).split(b"\n")
        for line in lines:
            (left.add if line[:1] == b"+" else left.discard)(int(line[1:]))
    return left


def alive(pid: int) -> bool:
    """Whether anything of the process group runs. A zombie holds nothing, but still answers a signal: ask /proc."""
    try:
        os.killpg(pid, 0)
    except OSError:
        return False
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:  # the leader is gone and a child of its own is left, or there is no /proc here
        return True


def end(pids: set[int]) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
    until = time.monotonic() + GONE_WITHIN_S
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.02)


def main(parent: int, folder: str | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end(watch(parent))
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
