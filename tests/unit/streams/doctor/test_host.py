"""The doctor on this machine: each thing that is amiss has its remedy."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from schemas.settings import Settings
from streams.doctor import host
from streams.doctor.finding import Broken, Doubt, Finding, looked
from streams.protocol.ports import SinkDown


def test_an_old_python_is_told_what_to_install() -> None:
    with pytest.raises(Broken, match=r"Python 3\.10\.4: install 3\.11"):
        host.python((3, 10, 4))


def test_an_archive_without_its_extra_is_told_how_to_install_it() -> None:
    settings = Settings.model_validate({"archive": {"url": "/somewhere"}})
    with pytest.raises(Broken, match=r"pip install 'headrace\[history\]'"):
        host.extras(settings, lambda module: module != "pyarrow")


def test_a_schema_registry_without_its_extra_is_told_how_to_install_it() -> None:
    settings = Settings.model_validate({"schema_registry": {"url": "http://registry:8081"}})
    with pytest.raises(Broken, match=r"pip install 'headrace\[avro\]'"):
        host.extras(settings, lambda module: module != "fastavro")


def test_extras_that_nothing_asks_for_need_not_be_there() -> None:
    assert host.extras(Settings(), lambda _: False) == "installed: none"


@pytest.mark.parametrize(("most", "well"), [(1024, False), (4096, True), (-1, True)])
def test_too_few_open_files_are_doubtful(most: int, well: bool) -> None:
    if well:
        host.open_files(most)
        return
    with pytest.raises(Doubt, match="ulimit -n 4096"):
        host.open_files(most)


def test_a_full_disk_is_named() -> None:
    room = {Path("/tmp"): 50 * 2**30, Path("/archive"): 3 * 2**20}
    with pytest.raises(Broken, match=r"0\.0 GB free at /archive: make room"):
        host.disk(list(room), room.__getitem__)


def test_a_port_that_is_taken_is_doubtful() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Doubt, match="HEADRACE_METRICS__PORT"):
        host.metrics_port("127.0.0.1", taken.getsockname()[1])


async def test_what_rests_on_a_check_that_fails_is_skipped() -> None:
    async def away() -> str:
        raise Broken("nobody is there: start somebody")

    async def never() -> str:
        raise AssertionError("it needs what is not there")

    assert await looked("broker", [("reached", away), ("topics", never)]) == [
        Finding("broker", "reached", "fails", "nobody is there", "start somebody"),
        Finding("broker", "topics", "skipped", "reached fails"),
    ]


async def test_one_that_fails_later_holds_up_no_other() -> None:
    async def well() -> str:
        return "well"

    async def down() -> str:
        raise SinkDown("no answer")

    found = await looked("broker", [("reached", well), ("topics", down), ("clocks", well)])
    assert [one.state for one in found] == ["ok", "fails", "ok"]
    assert "HEADRACE_KAFKA__BROKERS" in found[1].remedy


async def test_a_check_that_hangs_fails() -> None:
    import asyncio

    async def hangs() -> str:
        await asyncio.Event().wait()
        return ""

    (found,) = await looked("store", [("reached", hangs)], within_s=0.05)
    assert (found.state, found.said) == ("fails", "no answer within 0.05 s")
    assert "HEADRACE_REDIS__URL" in found.remedy
