"""The site of a chaos run: what it tells of a worker that is no more."""

import signal
import sys

from streams.chaos.site import Worker
from streams.embedded.processes import Child, Children


def worker(children: Children, script: str) -> Worker:
    child: Child = children.start("worker-3", [sys.executable, "-c", f"print('working', flush=True); {script}"])
    return Worker(3, children, {}, child=child)


def ended(one: Worker) -> str | None:
    assert one.child is not None
    one.child.wait(10)
    return one.ended()


def test_a_worker_that_failed_is_told_with_its_last_words(children: Children) -> None:
    assert ended(worker(children, "raise SystemExit(1)")) == "worker 3 ended (exit code 1): working"


def test_a_worker_that_was_killed_said_nothing_of_it(children: Children) -> None:
    killed = worker(children, "import time; time.sleep(600)")
    assert killed.child is not None
    while not killed.child.last_words():
        killed.child.wait(0.01)
    killed.child.process.send_signal(signal.SIGKILL)
    assert ended(killed) == "worker 3 ended (SIGKILL)"
