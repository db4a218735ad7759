"""Where broker or store ask for a certificate: ours gets in, and what is missing or wrong is one line that names it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streams.embedded.store import Store
from tests.conftest import KAFKA_TIMEOUT_S
from tests.support.place import Place, order_lines, store_login
from tests.support.tls import Authority, Certificate, behind_tls
from tests.support.worker import delete_topics

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(KAFKA_TIMEOUT_S)]


def of(certificate: Certificate, part: str) -> dict[str, str]:
    """The settings that name it, for `KAFKA` or `REDIS`."""
    return {f"{part}__CERT_FILE": str(certificate.cert), f"{part}__KEY_FILE": str(certificate.key)}


@pytest.fixture
async def asking(server: Store, tmp_path: Path) -> AsyncIterator[tuple[Authority, dict[str, str]]]:
    """A door to the store that asks for a certificate: the authority, and the settings but for ours."""
    authority = Authority(tmp_path / "asking", "keeper-of-stores")
    own = authority.sign("store")
    async with behind_tls(server.port, own.cert, own.key, asks=authority.cert) as port:
        yield authority, store_login(f"rediss://localhost:{port}/0", authority)


async def test_a_store_that_asks_for_a_certificate_gets_ours(
    place: Place, asking: tuple[Authority, dict[str, str]]
) -> None:
    authority, settings = asking
    place.store = {**settings, **of(authority.sign("worker"), "REDIS")}
    await delete_topics(place.stream, [*await place.stream.cluster.topics()])
    await place.command("topics", "create")
    place.worker()
    code, _, errors = await place.command("produce", "orders", stdin=order_lines(10))
    assert code == 0, errors
    await place.works(10)
    code, state, errors = await place.command("state", "dump")
    assert (code, "u3" in state) == (0, True), errors
    place.nothing_leaked()
    await place.ends()


async def test_without_a_certificate_or_with_a_strangers_the_store_is_one_line(
    place: Place, asking: tuple[Authority, dict[str, str]], tmp_path: Path
) -> None:
    _, settings = asking
    stranger = Authority(tmp_path / "stranger", "stranger").sign("worker")
    for ours in ({}, of(stranger, "REDIS")):
        line = await place.refused("state", "dump", by={**settings, **ours})
        assert re.search("HEADRACE_REDIS__CERT_FILE", line), line


async def test_without_a_certificate_or_with_a_strangers_the_broker_is_one_line(place: Place, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger", "stranger").sign("worker")
    mine = place.secured.certificate()
    bare = {name: value for name, value in mine.items() if not name.endswith(("CERT_FILE", "KEY_FILE"))}
    for ours in (bare, {**bare, **of(stranger, "KAFKA")}):
        by = {"KAFKA__USERNAME": "", "KAFKA__PASSWORD": "", **ours}
        line = await place.refused("topics", "ls", by=by)
        assert re.search("HEADRACE_KAFKA__CERT_FILE", line), line


async def test_a_login_of_the_longer_kind_gets_in(place: Place) -> None:
    code, _, errors = await place.command("topics", "create", by={"KAFKA__SASL_MECHANISM": "SCRAM-SHA-512"})
    assert code == 0, errors
    place.nothing_leaked()


async def test_what_doctor_and_status_print_holds_no_secret(place: Place) -> None:
    for words in (("doctor",), ("doctor", "--json"), ("status",)):
        await place.command(*words)
    assert any("localhost" in output for output in place.outputs)
    place.nothing_leaked()
