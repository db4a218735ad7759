"""Nothing outlives its parent: each way for a parent to end, and what must be gone a moment later."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from streams.embedded.processes import Children, StartError, free_port, hold, is_free, is_open, starting_on, wait_until

ROOT = Path(__file__).parents[4]
SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
BUSY = """
import threading
def run():
    while True: pass
for _ in range(8): threading.Thread(target=run).start()
"""
FORKING = [sys.executable, "-c", "import subprocess, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"]

# A parent with one forking child: it tells its folder, its guard's pid and its child's pid, and waits to be ended.
# Tests that a shell runs in the background have SIGINT ignored, and what they start inherits that.
PARENT = textwrap.dedent(f"""
    import signal, time
    from streams.embedded.processes import Children
    signal.signal(signal.SIGINT, signal.default_int_handler)
    children = Children()
    child = children.start("child", {FORKING!r})
    print(children.folder, children._guard.pid, child.pid, flush=True)
    time.sleep(600)
""")


def states(pid: int) -> set[str]:
    """Of its threads, as Linux has them: R, S, T for stopped."""
    told = (thread / "stat" for thread in Path(f"/proc/{pid}/task").iterdir())
    return {stat.read_text().rpartition(")")[2].split()[0] for stat in told}


class Family:
    """A parent in a process of its own, with the pids of all that it started."""

    def __init__(self) -> None:
        self.parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.parent.stdout is not None
        folder, guard, child = self.parent.stdout.readline().split()
        self.folder, self.guard, self.child = Path(folder), int(guard), psutil.Process(int(child))
        soon(lambda: len(self.child.children()) == 1)
        self.grandchild = self.child.children()[0]

    def close(self) -> None:
        self.parent.kill()
        self.parent.communicate()

    def is_gone(self) -> bool:
        left = [self.child, self.grandchild]
        return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in left)


@pytest.fixture
def family() -> Iterator[Family]:
    family = Family()
    yield family
    family.close()


def soon(holds: Callable[[], bool], within_s: float = 10.0) -> None:
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until, "did not come true in time"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_killed_parent_leaves_no_process_and_no_file(family: Family, number: signal.Signals) -> None:
    family.parent.send_signal(number)
    soon(family.is_gone)
    soon(lambda: not family.folder.exists())
    soon(lambda: not psutil.pid_exists(family.guard))


def test_an_interrupted_parent_leaves_no_process_and_no_file(family: Family) -> None:
    family.parent.send_signal(signal.SIGINT)
    family.parent.wait(10)
    soon(lambda: family.is_gone() and not family.folder.exists())


def test_a_stopped_child_dies_with_its_parent(family: Family) -> None:
    family.child.suspend()
    family.parent.kill()
    soon(lambda: family.is_gone() and not family.folder.exists())


@pytest.mark.skipif(sys.platform != "linux", reason="reads the threads' states in /proc")
def test_a_child_stands_still_once_it_was_stopped_and_can_be_stopped_again(children: Children) -> None:
    child = children.start("child", [sys.executable, "-c", BUSY])
    soon(lambda: psutil.Process(child.pid).num_threads() == 9)
    for _ in range(50):
        child.stop()
        assert states(child.pid) == {"T"}
        child.stop()
        child.cont()
    child.kill()
    child.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux sends a death signal")
def test_a_parent_and_a_guard_killed_together_still_take_the_child_along(family: Family) -> None:
    os.kill(family.guard, signal.SIGKILL)
    family.parent.kill()
    soon(lambda: not psutil.pid_exists(family.child.pid) or family.child.status() == psutil.STATUS_ZOMBIE)
    family.grandchild.kill()
    shutil.rmtree(family.folder)  # nobody was left to do it


def test_a_guard_that_comes_up_after_its_parent_has_gone_still_reads_its_list(children: Children) -> None:
    """Another process holds the other end of the pipe, as after a fork: it never ends."""
    child = children.start("child", SLEEPER)
    nobody = subprocess.Popen([sys.executable, "-c", ""])
    nobody.wait()
    argv = [sys.executable, "-I", "-S", str(ROOT / "streams" / "embedded" / "guard.py"), str(nobody.pid)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as guard:
        assert guard.stdin is not None
        guard.stdin.write(b"+%d\n" % child.pid)
        guard.stdin.flush()
        assert guard.wait(10) == 0
    assert child.wait(1.0) == -signal.SIGKILL


def test_leaving_the_context_stops_newest_first_and_removes_the_folder() -> None:
    ends = (
        "import signal, sys, time; signal.signal(15, lambda *_: (print(time.monotonic_ns()), sys.exit())); print('up')"
    )
    with Children() as children:
        logs = []
        for name in ("older", "newer"):
            child = children.start(name, [sys.executable, "-u", "-c", f"{ends}; time.sleep(600)"])
            wait_until(lambda child=child: "up" in child.last_words(), child, 10)  # type: ignore[misc]
            logs.append(child.log.open())
    older, newer = (int(log.read().split()[1]) for log in logs)
    assert newer < older
    assert not children.folder.exists()
    for log in logs:
        log.close()


def test_a_kept_folder_stays_with_its_logs(tmp_path: Path) -> None:
    with Children(keep=tmp_path / "kept") as children:
        children.start("talks", [sys.executable, "-c", "print('kept words')"]).wait(10)
    assert (tmp_path / "kept" / "logs" / "talks.log").read_text() == "kept words\n"


def test_a_child_that_ignores_sigterm_is_killed(children: Children) -> None:
    child = children.start(
        "deaf",
        [
            sys.executable,
            "-u",
            "-c",
            "import signal, time; signal.signal(15, signal.SIG_IGN); print(1); time.sleep(600)",
        ],
    )
    wait_until(lambda: child.last_words() == "1", child, 10)
    assert child.terminate(within_s=0.1) == -signal.SIGKILL


def test_what_an_ended_child_had_forked_is_ended_too(children: Children) -> None:
    leaves_one = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid)"
    child = children.start("leaves-one", [sys.executable, "-c", leaves_one])
    assert child.wait(10) == 0
    left = int(child.last_words())
    soon(lambda: not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE)


def test_a_failed_start_says_what_the_service_said_last(children: Children) -> None:
    child = children.start("broken", [sys.executable, "-c", "raise SystemExit('no disk left')"])
    with pytest.raises(StartError, match=r"broken ended with code 1 .*\n?no disk left"):
        wait_until(lambda: False, child, 10)


def test_a_service_that_never_answers_is_given_up(children: Children) -> None:
    with pytest.raises(StartError, match=r"mute did not answer within 0\.1 s"):
        wait_until(lambda: False, children.start("mute", SLEEPER), 0.1)


def test_a_program_that_does_not_exist_is_named(children: Children) -> None:
    with pytest.raises(StartError, match="'/no/such/program' not found"):
        children.start("absent", ["/no/such/program"])


def test_a_child_has_the_environment_it_was_given(children: Children) -> None:
    child = children.start("env", [sys.executable, "-c", "import os; print(os.environ['COLOUR'])"], {"COLOUR": "blue"})
    assert child.wait(10) == 0
    assert child.last_words() == "blue"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port cannot be held for somebody else")
def test_a_held_port_is_taken_for_all_but_the_service_it_is_held_for() -> None:
    port = free_port()
    holder = hold(port)
    assert holder is not None
    with holder:
        assert not is_free(port)
        assert hold(port) is None
        for _ in range(2):  # and again, should the service die
            with socket.create_server(("127.0.0.1", port)):  # sets SO_REUSEADDR, as an HTTP server does
                assert is_open(port)
        assert not is_open(port)


def test_a_bound_port_is_not_free() -> None:
    port = free_port()
    assert is_free(port)
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)


def test_services_are_started_one_at_a_time_whatever_their_folders_of_temporary_files(tmp_path: Path) -> None:
    """Else two that look at a port together both find it free."""
    starts = (
        "import sys, time; from streams.embedded.processes import starting_on; print('asks', flush=True)\n"
        "with starting_on(int(sys.argv[1]), 'taken'): print(time.monotonic_ns())"
    )
    with starting_on(free_port(), "taken"):
        argv = [sys.executable, "-c", starts, str(free_port())]
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        other = subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert other.stdout.readline() == "asks\n"
        time.sleep(0.2)  # within which it would have started
        done_ns = time.monotonic_ns()
    started, _ = other.communicate(timeout=60)
    assert int(started) > done_ns
