"""The rule for what a machine may lack: skipped with the reason, and a failure where it is required."""

import pytest

from tests.support.need import PACKAGES, PROGRAMS, REQUIRE, absent, need, need_package, required


def test_what_is_absent_skips_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRE, raising=False)
    with pytest.raises(pytest.skip.Exception, match="promtool is not here"):
        absent("promtool", "promtool is not here")


def test_what_is_absent_and_required_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRE, "java, promtool")
    with pytest.raises(pytest.fail.Exception, match="promtool is not here, and HEADRACE_REQUIRE names promtool"):
        absent("promtool", "promtool is not here")


def test_only_what_is_required_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRE, "java")
    with pytest.raises(pytest.skip.Exception):
        absent("node", "node is not here")


def test_a_misspelt_requirement_is_an_error_since_it_would_require_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRE, "jave")
    with pytest.raises(ValueError, match="names jave: want some of java, node, promtool, go, chromium, torch"):
        required()


@pytest.mark.parametrize("tool", PROGRAMS)
def test_a_program_that_is_not_on_the_path_is_named(tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv(REQUIRE, tool)
    with pytest.raises(pytest.fail.Exception, match=f"{tool} is not on the PATH"):
        need(tool)


def test_a_package_that_is_not_installed_skips_or_fails_as_a_program_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGES, "nothing_of_this_name", "this needs nothing_of_this_name")
    monkeypatch.delenv(REQUIRE, raising=False)
    with pytest.raises(pytest.skip.Exception, match="this needs nothing_of_this_name"):
        need_package("nothing_of_this_name")
    monkeypatch.setenv(REQUIRE, "nothing_of_this_name")
    with pytest.raises(pytest.fail.Exception, match="and HEADRACE_REQUIRE names nothing_of_this_name"):
        need_package("nothing_of_this_name")
