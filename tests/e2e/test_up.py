"""`headrace up` as a user runs it: what it prints, and that it leaves nothing behind however it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest
import redis

from streams.embedded.broker import Broker, answers
from streams.embedded.processes import Children, free_port, is_open
from streams.embedded.store import Store
from streams.embedded.store import answers as store_answers
from tests.support.events import event
from tests.support.tansu import start_tansu

pytestmark = pytest.mark.xdist_group("usual ports")  # two at once would race for them

UP_WITHIN_S = 60.0
DOWN_WITHIN_S = 40.0


class Up:
    """A running `headrace up`, in a temporary directory of its own so that what it leaves can be seen."""

    def __init__(self, tmp: Path, *options: str, env: Mapping[str, str] | None = None) -> None:
        self.tmp, self.errors = tmp / "tmp", tmp / "errors"
        self.tmp.mkdir(exist_ok=True)
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "streams.cli", "up", *options],
                env={**_bare(), "TMPDIR": str(self.tmp), **(env or {})},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.lines: list[str] = []
        self.started: list[psutil.Process] = []

    def ready(self) -> Up:
        """Reads the table to its end."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith("Ctrl-C"):
                self.started = psutil.Process(self.process.pid).children(recursive=True)
                return self
        raise AssertionError(f"it ended with {self.process.wait(5)}: {self.errors.read_text()}")

    def address(self, what: str) -> str:
        (row,) = [line for line in self.lines if line.startswith(f"{what} ")]
        return row.removeprefix(what).split()[0]

    def port(self, what: str) -> int:
        return int(self.address(what).rpartition(":")[2].partition("/")[0])

    def child(self, name: str) -> psutil.Process:
        """The child with an argument, or a program, of this name."""
        mine = psutil.Process(self.process.pid).children()
        (found,) = [p for p in mine if name in (word.rpartition("/")[2] for word in " ".join(p.cmdline()).split())]
        return found

    def ended(self) -> int:
        """The exit code, once nothing is left of it: no process that it started, no file."""
        code = self.process.wait(DOWN_WITHIN_S)
        soon(lambda: not any(_runs(process) for process in self.started))
        soon(lambda: list(self.tmp.iterdir()) == [])
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def _bare() -> dict[str, str]:
    """The environment without settings of the machine's user."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def soon(holds: Callable[[], bool], within_s: float = 15.0) -> None:
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until, "did not come true in time"
        time.sleep(0.05)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    running: list[Up] = []

    def start(*options: str, env: Mapping[str, str] | None = None) -> Up:
        running.append(Up(tmp_path, *options, env=env))
        return running[-1]

    yield start
    for each in running:
        each.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_good_order_and_nothing_is_left(up: Callable[..., Up], number: signal.Signals) -> None:
    running = up("--workers", "1").ready()
    assert answers(running.port("broker"))
    assert store_answers(running.port("store"))
    assert is_open(running.port("worker 0"))
    running.process.send_signal(number)
    assert running.ended() == 0
    assert running.errors.read_text() == ""


def test_a_second_ctrl_c_does_not_spoil_the_tidying(up: Callable[..., Up]) -> None:
    running = up("--workers", "1").ready()
    for _ in range(3):
        running.process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    assert running.ended() == 0


def test_killed_it_leaves_nothing(up: Callable[..., Up]) -> None:
    running = up("--workers", "2").ready()
    assert len(running.started) >= 5  # broker, store, guard, two workers
    running.process.kill()
    running.ended()


def test_a_signal_in_the_middle_of_the_start_leaves_nothing(up: Callable[..., Up]) -> None:
    for delay_s in (0.1, 0.4, 0.7, 1.0, 1.5):
        running = up("--workers", "1")
        time.sleep(delay_s)
        running.started = psutil.Process(running.process.pid).children(recursive=True)
        running.process.send_signal(signal.SIGTERM)
        assert running.ended() in (0, -signal.SIGTERM)  # the latter: it had not begun yet


def test_a_failed_start_is_told_and_leaves_nothing(up: Callable[..., Up], tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[[rule]]\nname = ")
    running = up("--workers", "1", env={"HEADRACE_RULES": str(broken)})
    assert running.ended() == 2
    told = running.errors.read_text()
    assert told.startswith("Error: worker 0 could not run") or "ended with code 2 while it started" in told
    assert "rules: not TOML" in told


@pytest.mark.parametrize("option", ["--kafka-port", "--store-port"])
def test_a_taken_port_that_was_asked_for_is_an_error(up: Callable[..., Up], option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        running = up("--workers", "0", option, str(port))
        assert running.ended() == 2
        assert f"port {port} is taken: choose another" in running.errors.read_text()


def test_two_at_a_time_find_ports_of_their_own_and_say_what_to_export(up: Callable[..., Up]) -> None:
    first, second = up("--workers", "0").ready(), up("--workers", "0").ready()
    assert {first.port("broker"), first.port("store")}.isdisjoint({second.port("broker"), second.port("store")})
    for usual, what, variable in ((9092, "broker", "HEADRACE_KAFKA__BROKERS"), (6379, "store", "HEADRACE_REDIS__URL")):
        for running in (first, second):
            told = f"  export {variable}={running.address(what)}" in running.lines
            assert told == (running.port(what) != usual)


def test_asked_for_ports_are_used(up: Callable[..., Up]) -> None:
    kafka_port, store_port = free_port(), free_port()
    running = up("--workers", "0", "--kafka-port", str(kafka_port), "--store-port", str(store_port)).ready()
    assert (running.port("broker"), running.port("store")) == (kafka_port, store_port)


def test_a_killed_worker_is_started_again(up: Callable[..., Up]) -> None:
    running = up("--workers", "1").ready()
    worker = running.child("worker")
    worker.kill()
    soon(lambda: "worker 0 has ended (SIGKILL)" in running.errors.read_text())
    soon(lambda: is_open(running.port("worker 0")), 30)
    running.started += psutil.Process(running.process.pid).children(recursive=True)
    running.process.terminate()
    assert running.ended() == 0


def test_a_killed_store_comes_back_with_its_data(up: Callable[..., Up]) -> None:
    own = str(free_port())  # the usual one may go to another test's store while this one's is dead
    running = up("--workers", "0", "--store-port", own).ready()
    with redis.Redis.from_url(running.address("store")) as client:
        client.set("kept", "yes")
        running.child("valkey-server").kill()
        soon(lambda: store_answers(running.port("store")))
        assert client.get("kept") == b"yes"
    running.started += psutil.Process(running.process.pid).children(recursive=True)
    running.process.terminate()
    assert running.ended() == 0


def test_a_dead_broker_ends_it_with_the_reason_since_its_log_is_lost(up: Callable[..., Up]) -> None:
    running = up("--workers", "0").ready()
    running.child("tansu").kill()
    assert running.ended() == 2
    assert "the embedded broker has ended (SIGKILL)" in running.errors.read_text()


def test_a_dead_broker_is_told_at_once_and_not_when_the_workers_have_ended(up: Callable[..., Up]) -> None:
    running = up("--workers", "1").ready()
    running.child("tansu").kill()
    soon(lambda: "the embedded broker has ended (SIGKILL): ending the workers" in running.errors.read_text())
    assert running.process.poll() is None, "it was told only at the end"
    assert running.ended() == 2


def test_a_kept_folder_stays_and_is_refused_a_second_time(up: Callable[..., Up], tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    running = up("--workers", "0", "--keep", str(kept)).ready()
    assert running.address("files") == str(kept)
    beside = up("--workers", "0", "--keep", str(kept))
    assert beside.ended() == 2
    assert "another headrace works there" in beside.errors.read_text()
    running.process.terminate()
    assert running.ended() == 0
    assert (kept / "logs" / "store.log").exists()
    assert (kept / "store" / "appendonlydir").exists()
    again = up("--workers", "0", "--keep", str(kept))
    assert again.ended() == 2
    assert "holds the state of an earlier run" in again.errors.read_text()


def test_an_archive_that_is_named_is_kept(up: Callable[..., Up], tmp_path: Path) -> None:
    place = tmp_path / "archive"
    running = up(env={"HEADRACE_ARCHIVE__URL": str(place), "HEADRACE_ARCHIVE__FILE_S": "0.2"}).ready()
    assert running.address("archive") == str(place)
    environment = {**_bare(), "HEADRACE_KAFKA__BROKERS": running.address("broker")}
    produce = [sys.executable, "-P", "-m", "streams.cli", "produce", "clickstream"]
    subprocess.run(produce, env=environment, input=event("clickstream", "page_view", "v1").value, check=True)
    soon(lambda: bool(list(place.rglob("clickstream-*.parquet"))), UP_WITHIN_S)


def test_a_registry_that_is_named_is_learned_into(up: Callable[..., Up], tmp_path: Path) -> None:
    place = tmp_path / "registry"
    running = up(env={"HEADRACE_REGISTRY__URL": str(place)}).ready()
    assert running.address("learner") == str(place)
    said = Path(running.address("files"), "logs", "learner.log")
    soon(lambda: said.exists() and "model=online_logistic" in said.read_text(), UP_WITHIN_S)
    assert "has ended" not in running.errors.read_text(), "a folder that nobody has made is no reason to"


def test_real_services_are_used_where_they_are_named(up: Callable[..., Up], children: Children, valkey: Store) -> None:
    tansu = start_tansu(children)  # its own: in a shared one another test may have made topics of another size
    named = {"HEADRACE_KAFKA__BROKERS": tansu.address, "HEADRACE_REDIS__URL": valkey.url}
    running = up("--workers", "0", env=named).ready()
    assert running.address("broker") == tansu.address
    assert running.address("store") == valkey.url
    lines = [" ".join(process.cmdline()) for process in running.started]
    assert [line for line in lines if "guard.py" not in line and " serve " not in line] == []
    running.process.terminate()
    assert running.ended() == 0
    assert answers(tansu.port)
    assert store_answers(valkey.port)


def test_a_port_for_a_service_that_is_not_started_is_an_error(up: Callable[..., Up], tansu: Broker) -> None:
    running = up("--workers", "0", "--kafka-port", "9092", env={"HEADRACE_KAFKA__BROKERS": tansu.address})
    assert running.ended() == 2
    assert f"HEADRACE_KAFKA__BROKERS names {tansu.address}" in running.errors.read_text()
