"""The embedded broker as a process: where its program comes from, and what a failed start leaves."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from streams.embedded.broker import Broker, answers, broker_binary, start_broker
from streams.embedded.processes import Children, StartError, free_port


def test_the_program_runs_in_place_and_nothing_is_copied_into_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CALF_TANSU_BIN", raising=False)
    assert broker_binary().name == "tansu"
    assert list(tmp_path.iterdir()) == []


def test_a_program_named_by_hand_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALF_TANSU_BIN", "/no/such/tansu")
    with pytest.raises(StartError, match="/no/such/tansu"):
        broker_binary()


def test_a_taken_port_is_a_failed_start_that_leaves_no_process(children: Children) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        with pytest.raises(StartError, match=r"broker: port \d+ is taken"):
            start_broker(children, other.getsockname()[1])
        assert children.children == []


def test_of_two_that_start_on_one_port_at_once_one_is_told_that_it_is_taken() -> None:
    """In processes of their own, as two shells would."""
    starting = (
        "import sys; from streams.embedded.broker import start_broker; from streams.embedded.processes import *\n"
        "with Children() as children:\n"
        "    try: start_broker(children, int(sys.argv[1]))\n"
        "    except StartError as error: print(error)\n"
        "    else: print('started', flush=True); sys.stdin.read()\n"
    )
    port = str(free_port())
    both = [
        subprocess.Popen(
            [sys.executable, "-c", starting, port], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    told = [each.stdout.readline() for each in both if each.stdout is not None]
    for each in both:
        each.communicate()
    assert sorted("taken" in line for line in told) == [False, True]


def test_it_listens_on_the_loopback_alone(tansu: Broker) -> None:
    assert answers(tansu.port)
    with socket.socket() as elsewhere:
        elsewhere.bind(("127.0.0.2", tansu.port))  # impossible if the broker held every address


def test_a_port_where_nobody_listens_does_not_answer() -> None:
    assert not answers(free_port())
