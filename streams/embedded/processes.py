"""Child processes that never outlive their parent, and the folder that they work in.

The idea: three nets, since no single one holds in every fall.
- A parent that ends in good order stops its children newest first: SIGTERM, a while, SIGKILL.
- A parent that is killed leaves a guard behind (`guard.py`), which kills the children and removes the folder.
- If the guard is killed with it, the kernel ends the children (PR_SET_PDEATHSIG; Linux only, set by a launcher that
  then becomes the child: its pid is the service's own, so that a test can kill, stop and continue it).

Each child leads a process group: Ctrl-C at the terminal reaches the parent alone, and what a child forks goes with it.
The price: 20 ms a child for the launcher, and one guard.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

LOCALHOST = "127.0.0.1"
POLL_S = 0.02
SERVICE_PORTS = range(15_000, 32_768)  # Linux's outgoing ones begin at 32,768, macOS's at 49,152
SHARES = 64  # of these ports
GUARD_END_S = 20.0
FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}  # somebody's, or the system's, decision

_DICE = random.SystemRandom()  # not the seeded one: processes of one test run would all pick the same
_GIVEN: deque[int] = deque(maxlen=100)

# The death signal follows the thread that forked, not the process: only for children that the main thread starts.
_LAUNCH = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    os._exit(0)
os.execv(sys.argv[2], sys.argv[2:])
"""


class StartError(Exception):
    """A service did not start; the message names it, what it said last, and the remedy where there is one."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has at this moment. Whoever binds it may still lose a race, but hardly ever:
    processes draw from different shares, and none gives a port out again soon.

    It lies below those that the system gives to outgoing connections: one of them could take a service's port while the
    service is being started again.
    """
    mine = SERVICE_PORTS[os.getpid() % SHARES :: SHARES]
    while (port := _DICE.choice(mine)) in _GIVEN or not is_free(port):
        pass
    _GIVEN.append(port)
    return port


def is_free(port: int, *, reuse: bool = False) -> bool:
    """Whether a service can bind the port of 127.0.0.1. `reuse`: it sets SO_REUSEADDR, so that TIME_WAIT does not
    count.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        try:
            probe.bind((LOCALHOST, port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def starting_on(port: int, taken: str, *, reuse: bool = False) -> Iterator[None]:
    """One start at a time of all on this machine, from the look at a port until a service answers there; StartError,
    with `taken`, where somebody has it: that one might answer in the new one's place.

    Else two that look at once both find the port free, and the one whose service could not have it is answered by the
    other's. The lock is on the root of the file system, the one place that all share whatever TMPDIR says: nothing is
    left of it, and it goes with its process.
    """
    folder = os.open("/", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        if not is_free(port, reuse=reuse):
            raise StartError(taken)
        yield
    finally:
        os.close(folder)


def hold(port: int) -> socket.socket | None:
    """Keeps a port for a service that sets SO_REUSEADDR and is yet to be started: others find it taken. None: it is.

    Close the socket to give the port up. Elsewhere than on Linux a port that is held could not be bound by the service
    either: there it is only looked at.
    """
    holder = socket.socket()
    try:
        holder.bind((LOCALHOST, port))
    except OSError:
        holder.close()
        return None
    if sys.platform == "linux":
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)  # after bind: others' plain binds are refused
    else:
        holder.close()
    return holder


def is_open(port: int) -> bool:
    """Whether somebody listens on the port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex((LOCALHOST, port)) == 0


@dataclass(frozen=True, slots=True)
class Child:
    """A running service. Its pid is that of the service itself and leads a process group."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]
    forget: Callable[[int], None]

    @property
    def pid(self) -> int:
        return self.process.pid

    def poll(self) -> int | None:
        """The exit code (negative: the signal that ended it), None while it runs.

        What an ended child had forked is killed before the child is reaped: until then its pid cannot be given away.
        """
        if self.process.returncode is None and _has_ended(self.pid):
            self._signal(signal.SIGKILL)
            self.process.wait()
            self.forget(self.pid)
        return self.process.returncode

    @property
    def running(self) -> bool:
        return self.poll() is None

    def wait(self, within_s: float) -> int | None:
        """The exit code, None where it still runs after `within_s`."""
        until = time.monotonic() + within_s
        while self.poll() is None and time.monotonic() < until:
            time.sleep(POLL_S)
        return self.process.returncode

    def terminate(self, within_s: float = 10.0) -> int:
        """SIGTERM, and SIGKILL where that is not heeded; a stopped process is continued, else it could not hear."""
        self.ask_to_end()
        self.wait(within_s)
        return self.kill()

    def ask_to_end(self) -> None:
        """SIGTERM; does not wait."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)

    def kill(self) -> int:
        """SIGKILL to it and to whatever it has forked; waits until it is gone."""
        self._signal(signal.SIGKILL)
        code = self.process.wait()
        self.forget(self.pid)
        return code

    def stop(self) -> None:
        """SIGSTOP: it stands still when this returns, its sockets stay open.

        The signal alone does not say so: one thread has to come upon it before the others hear of it, and on a busy
        machine a service answers for a while longer.
        """
        self._signal(signal.SIGSTOP)
        if self.process.returncode is None:
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def cont(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self.process.returncode is None:
            with contextlib.suppress(
                ProcessLookupError, PermissionError
            ):  # macOS: PermissionError for a group of zombies
                os.killpg(self.pid, number)

    def last_words(self, lines: int = 15) -> str:
        """The end of what it wrote, for an error message."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def complaint(self, lines: int = 15) -> str:
        """The end of what an ended one wrote, where it failed by itself: one that was killed did not see it coming."""
        return "" if -(self.poll() or 0) in FROM_OUTSIDE else self.last_words(lines)


def _has_ended(pid: int) -> bool:
    """Whether our own child is a zombie; it stays one."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


class Children:
    """A folder and the processes that work in it; leaving the context ends the processes and removes the folder.

    With `keep` the folder is that one, made where absent, and stays.
    """

    def __init__(self, keep: Path | None = None) -> None:
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
        self.folder = keep.resolve() if keep is not None else Path(tempfile.mkdtemp(prefix="headrace-"))
        self.children: list[Child] = []
        self._guard = self._start_guard(removes=keep is None)

    def _start_guard(self, *, removes: bool) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py")), str(os.getpid())]
        argv += [str(self.folder)] if removes else []
        return subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True)

    def _tell_guard(self, line: str) -> None:
        if self._guard.stdin is not None:
            with contextlib.suppress(OSError, ValueError):  # the guard was killed, or all is over already
                self._guard.stdin.write(line.encode())
                self._guard.stdin.flush()

    def start(
        self, name: str, argv: Sequence[str | Path], env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> Child:
        """Starts `argv`, its output appended to `logs/NAME.log`. `env` is added to the environment; `cwd`: the folder.

        Raises StartError where the program does not exist. A child that was started under the same name must have
        ended.
        """
        program = shutil.which(str(argv[0]))
        if program is None:
            raise StartError(f"{name}: program {str(argv[0])!r} not found or not executable")
        command = [program, *map(str, argv[1:])]
        if sys.platform == "linux" and threading.current_thread() is threading.main_thread():
            command = [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *command]
        log = self.folder / "logs" / f"{name}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                cwd=cwd or self.folder,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self._tell_guard(f"+{process.pid}\n")
        child = Child(name, log, process, self._forget)
        self.children.append(child)
        return child

    def _forget(self, pid: int) -> None:
        """A reaped pid may be given to a stranger: it comes off both lists."""
        if any(child.pid == pid for child in self.children):
            self.children = [child for child in self.children if child.pid != pid]
            self._tell_guard(f"-{pid}\n")

    def close(self, within_s: float = 10.0) -> None:
        """Ends the children, newest first, and removes the folder unless it is to be kept. Twice is once."""
        for child in reversed(self.children):
            child.terminate(within_s)
        if self._guard.stdin is not None:
            with contextlib.suppress(OSError):
                self._guard.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._guard.wait(GUARD_END_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def start_service(
    children: Children,
    name: str,
    argv: Sequence[str | Path],
    ready: Callable[[], bool],
    within_s: float,
    env: Mapping[str, str] | None = None,
) -> Child:
    """Starts a child and waits until `ready()`; raises StartError, and leaves no process, where it ends or takes
    longer.
    """
    child = children.start(name, argv, env)
    try:
        wait_until(ready, child, within_s)
    except BaseException:
        child.kill()
        raise
    return child


def wait_until(ready: Callable[[], bool], child: Child, within_s: float) -> None:
    """Waits until `ready()`; raises StartError, with the child's last words, where it ends or the time is up."""
    until = time.monotonic() + within_s
    while not ready():
        if not child.running:
            raise StartError(
                f"{child.name} ended with code {child.poll()} while it started; its last words:\n{child.last_words()}"
            )
        if time.monotonic() > until:
            raise StartError(
                f"{child.name} did not answer within {within_s:g} s; its last words:\n{child.last_words()}"
            )
        time.sleep(POLL_S)
