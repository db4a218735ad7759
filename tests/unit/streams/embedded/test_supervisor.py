"""The supervisor with real processes and a clock in the test's hand."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

import pytest

from streams.embedded.processes import Child, Children, StartError
from streams.embedded.supervisor import FIRST_WAIT_S, HEALTHY_S, LONGEST_WAIT_S, Service, Supervisor, end_together

SLEEPS = "import time; time.sleep(600)"
DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"


class Bench:
    """A supervisor, what it told, and its clock."""

    def __init__(self, children: Children) -> None:
        self.children, self.told, self.now_s, self.starts = children, list[str](), 0.0, 0
        self.supervisor = Supervisor(self.told.append, lambda: self.now_s)

    def program(self, *scripts: str) -> Callable[[], Child]:
        """Starts the first script the first time, the second the second, and the last from then on."""

        def start() -> Child:
            script = scripts[min(self.starts, len(scripts) - 1)]
            self.starts += 1
            return self.children.start("service", [sys.executable, "-c", script])

        return start

    def add(self, *scripts: str, always: bool = False, optional: bool = False) -> Service:
        return self.supervisor.add("the service", self.program(*scripts), always=always, optional=optional)

    def after_its_end(self, service: Service) -> None:
        service.child.wait(10)
        self.supervisor.look()


def test_one_that_fails_after_a_healthy_run_is_started_at_once(children: Children) -> None:
    bench = Bench(children)
    service = bench.add(SLEEPS)
    bench.now_s = HEALTHY_S
    service.child.kill()
    bench.supervisor.look()
    assert service.child.running
    assert bench.starts == 2
    assert bench.told == ["the service has ended (SIGKILL); starting it again at once"]


def test_one_that_keeps_failing_is_started_ever_more_patiently(children: Children) -> None:
    bench = Bench(children)
    service = bench.add("raise SystemExit(3)")
    waits = []
    for _ in range(9):
        bench.after_its_end(service)
        assert service.again_at_s is not None
        waits.append(service.again_at_s - bench.now_s)
        bench.supervisor.look()
        assert service.again_at_s is not None, "started before its time"
        bench.now_s = service.again_at_s
        bench.supervisor.look()
    assert waits[:3] == [FIRST_WAIT_S, 2 * FIRST_WAIT_S, 4 * FIRST_WAIT_S]
    assert waits[-1] == LONGEST_WAIT_S


def test_a_message_holds_the_code_and_the_last_words(children: Children) -> None:
    bench = Bench(children)
    bench.after_its_end(bench.add("raise SystemExit('no partition was assigned')"))
    assert bench.told == [
        "the service has ended (exit code 1); starting it again in 0.5 s; it said last:\nno partition was assigned"
    ]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_one_that_was_ended_from_outside_has_no_last_words(children: Children, number: signal.Signals) -> None:
    bench = Bench(children)
    service = bench.add("import time; print('all is well', flush=True); time.sleep(600)")
    while not service.child.last_words():
        service.child.wait(0.01)
    service.child.process.send_signal(number)
    bench.after_its_end(service)
    assert bench.told == [f"the service has ended ({number.name}); starting it again in 0.5 s"]


def test_one_that_crashed_has_last_words_though_a_signal_ended_it(children: Children) -> None:
    bench = Bench(children)
    bench.after_its_end(bench.add("import os; print('no memory left', flush=True); os.abort()"))
    assert bench.told == ["the service has ended (SIGABRT); starting it again in 0.5 s; it said last:\nno memory left"]


def test_one_that_could_not_run_at_its_very_start_is_a_failed_start(children: Children) -> None:
    bench = Bench(children)
    with pytest.raises(StartError, match=r"the service could not run; its last words:\nno such rule"):
        bench.after_its_end(bench.add("print('no such rule'); raise SystemExit(2)"))


def test_one_that_others_do_without_is_told_and_stays_away(children: Children) -> None:
    bench = Bench(children)
    bench.after_its_end(bench.add("print('no river'); raise SystemExit(2)", optional=True))
    assert bench.supervisor.services == []
    assert bench.told == ["the service could not run and stays away; it said last:\nno river"]


def test_one_that_could_not_run_later_is_tried_again(children: Children) -> None:
    bench = Bench(children)
    service = bench.add(SLEEPS, "raise SystemExit(2)")
    service.child.kill()
    bench.now_s = HEALTHY_S
    bench.supervisor.look()
    bench.after_its_end(service)
    assert service.again_at_s == bench.now_s + FIRST_WAIT_S


def test_one_that_ends_in_good_order_stays_away(children: Children) -> None:
    bench = Bench(children)
    bench.after_its_end(bench.add("pass"))
    assert bench.supervisor.services == []
    assert bench.told == ["the service has ended in good order and stays away"]


def test_one_that_is_always_wanted_comes_back_from_any_end(children: Children) -> None:
    bench = Bench(children)
    service = bench.add("pass", SLEEPS, always=True)
    bench.now_s = HEALTHY_S
    bench.after_its_end(service)
    assert service.child.running


def test_a_start_that_fails_is_tried_again_later(children: Children) -> None:
    bench = Bench(children)
    working = bench.program(SLEEPS)
    service = bench.supervisor.add("the service", working)

    def failing() -> Child:
        raise StartError("port 1 is taken")

    service.start = failing
    service.child.kill()
    bench.now_s = HEALTHY_S
    bench.supervisor.look()
    assert bench.told[-1] == "the service did not start: port 1 is taken; starting it again in 0.5 s"
    service.start = working
    bench.now_s += FIRST_WAIT_S
    bench.supervisor.look()
    assert service.child.running


def test_all_are_asked_at_once_and_who_does_not_hear_is_killed(children: Children) -> None:
    deaf = [children.start(f"deaf-{n}", [sys.executable, "-c", DEAF]) for n in range(2)]
    ready = children.start("obeys", [sys.executable, "-c", SLEEPS])
    for child in deaf:
        while not child.last_words():
            child.wait(0.01)
    end_together([*deaf, ready], 0.2)
    assert [child.process.returncode for child in (*deaf, ready)] == [-signal.SIGKILL, -signal.SIGKILL, -signal.SIGTERM]
