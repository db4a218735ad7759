"""The door itself: it opens quickly, knows its commands and tells errors in one line."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import psutil
import pytest

from streams.cli import COMMANDS, COULD_NOT_RUN, EXPECTED, HOLDS, PIPE_CLOSED, CouldNotRun, run

HEADRACE = [sys.executable, "-P", "-m", "streams.cli"]
HELP_CPU_S = 0.3  # the promise is 300 ms of wall time; CPU time is what other processes cannot spoil


def raising(error: BaseException) -> click.Command:
    @click.command()
    def command() -> None:
        raise error

    return command


def run_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("streams.cli.Commands.get_command", lambda *_: raising(error))
    return run(["worker"])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_there_under_its_name(name: str) -> None:
    module, text = COMMANDS[name]
    command = import_module(f"streams.cli.{module}").command
    assert command.name == name
    assert text.endswith((".", "?"))


@pytest.mark.parametrize(("module", "name"), EXPECTED)
def test_every_expected_error_exists(module: str, name: str) -> None:
    assert issubclass(getattr(import_module(module), name), Exception)


def test_help_is_there_within_300_ms() -> None:
    before = psutil.Process().cpu_times()
    done = subprocess.run([*HEADRACE, "--help"], capture_output=True, text=True, check=True)
    after = psutil.Process().cpu_times()
    spent_s = after.children_user + after.children_system - before.children_user - before.children_system
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert spent_s < HELP_CPU_S


def test_help_imports_no_command_and_no_library_of_one() -> None:
    look = "import sys; from streams.cli import run; run(['--help']); print('LOADED', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.partition("LOADED")[2].split())
    assert not loaded & {"aiokafka", "redis", "numpy", "pydantic", "rich", "faust", "streams.cli.up", "logging"}


def test_an_unknown_command_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["wroker"]) == COULD_NOT_RUN
    assert "No such command 'wroker'" in capsys.readouterr().err


def test_no_command_shows_the_help_and_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == COULD_NOT_RUN
    assert "Commands:" in capsys.readouterr().err


def test_a_broker_that_is_away_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADRACE_KAFKA__BROKERS", "127.0.0.1:1")
    assert run(["topics", "ls"]) == COULD_NOT_RUN
    told = capsys.readouterr().err
    assert told.startswith("Error: no Kafka broker answers at 127.0.0.1:1")
    assert told.count("\n") == 1


def test_a_bad_setting_is_told_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADRACE_PARTITIONS", "many")
    assert run(["topics", "ls"]) == COULD_NOT_RUN
    assert "HEADRACE_PARTITIONS 'many'" in capsys.readouterr().err


def test_what_could_not_run_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_with(CouldNotRun("no such data set: cdnw"), monkeypatch) == COULD_NOT_RUN
    assert capsys.readouterr().err == "Error: no such data set: cdnw\n"


def test_a_mistake_of_our_own_shows_where_it_was_made_and_is_never_taken_for_an_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_with(ZeroDivisionError("division by zero"), monkeypatch) == COULD_NOT_RUN
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert "This is a bug" in told


@pytest.mark.parametrize(("returned", "code"), [(None, HOLDS), (0, 0), (1, 1), (2, 2)])
def test_what_a_command_returns_is_the_exit_code(
    returned: int | None, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = click.Command("answer", callback=lambda: returned)
    monkeypatch.setattr("streams.cli.Commands.get_command", lambda *_: command)
    assert run(["answer"]) == code


def test_a_reader_that_closes_the_pipe_gets_no_traceback(tmp_path: Path) -> None:
    loud = "import click, streams.cli as c; c.Commands.get_command = lambda *_: click.Command('loud', callback=shout)"
    script = (
        f"def shout():\n    for _ in range(100000): click.echo('x' * 80)\n{loud}\nimport sys; sys.exit(c.run(['loud']))"
    )
    with (tmp_path / "err").open("w") as errors:
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=errors)
        assert process.stdout is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(20) == PIPE_CLOSED
    assert (tmp_path / "err").read_text() == ""
