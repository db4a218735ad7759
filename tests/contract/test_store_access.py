"""Getting in: logins, permissions, TLS, addresses where nothing listens."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis import exceptions as redis_errors

from streams.embedded.store import Store as Server
from streams.protocol.ports import Stop, Swap, Verdict
from streams.stores import admin, dump, sampling
from streams.stores.beside import Beside
from streams.stores.nodes import Access, Down, meaning
from streams.stores.valkey import ValkeyStore
from tests.contract.stores import DAY_MS, LIMITS, ORDERS, SHARDS, TTL_MS, applied, begin, call, entry, opened, stamped
from tests.support.past import WHO
from tests.support.tls import behind_tls

DOCS = Path(__file__).resolve().parents[2] / "docs" / "store.md"
TLS = Path(__file__).parent / "tls"


def store_for(access: Access) -> ValkeyStore:
    return ValkeyStore(access, SHARDS, limits=LIMITS, ttl_ms=TTL_MS)


@contextlib.asynccontextmanager
async def user(real: ValkeyStore, *rules: str) -> AsyncIterator[None]:
    """An ACL user `limited` with password `pw` on every server."""
    nodes = await real.nodes.primaries()
    for node in nodes:
        await real.nodes.ask(node, "ACL", "SETUSER", "limited", "reset", "on", ">pw", "~{*", *rules)
    try:
        yield
    finally:
        for node in nodes:
            await real.nodes.ask(node, "ACL", "DELUSER", "limited")


async def everything(store: ValkeyStore) -> None:
    """Each call once."""
    await opened(store, 0, 4, {1: Verdict.DEAD}, ids=b"ids", clock_s=1)
    one = await applied(store, 0, 4, call(user_a=entry(1)))
    await applied(store, 5, 9, call(user_a=entry(2)))
    await store.swap([Swap(0, b"{0}user:a", stamped(one.number, 1), b"T", one.number)])
    await store.verdicts(ORDERS, 0, 4)
    await store.ids(ORDERS)
    standing = (await store.where(ORDERS, closed=5))[0]
    assert standing is not None
    await store.rebase(ORDERS, 0, standing, 0, None)
    await store.put_config("c1", b"content")
    await store.get_config("c1")
    await store.read([call(user_a=b"")])
    await admin.places(store)
    await admin.fullness(store)
    assert await sampling.draw(store)
    assert [one async for one in dump.bags(store)]
    aside = Beside(store, {"who": "contents"}, {"who": TTL_MS})
    await aside.add(WHO, {"ann": stamped(one.number, 1)})
    assert await aside.put_in_place({}) == 1
    assert not await store.empty()
    await admin.wipe(store)
    assert await store.empty()


async def test_a_user_with_the_commands_that_the_docs_list_can_do_everything(real: ValkeyStore, url: str) -> None:
    await admin.wipe(real)
    permitted = re.findall(r"\+[\w|]+", DOCS.read_text(encoding="utf-8").split("## Permissions")[1].split("##")[0])
    limited = store_for(Access(url, username="limited", password="pw"))
    async with user(real, *permitted), limited:
        await everything(limited)


async def test_a_user_without_permission_stops_the_worker(real: ValkeyStore, url: str) -> None:
    async with user(real, "+@all", "-fcall"):
        limited = store_for(Access(url, username="limited", password="pw"))
        with pytest.raises(Stop, match=r"does not permit it .*fcall.*docs/store\.md"):
            await limited.prepare()
        await limited.close()


async def test_a_wrong_password_stops_the_worker(url: str) -> None:
    store = store_for(Access(url, username="nobody", password="letmein"))
    with pytest.raises(Stop, match="HEADRACE_REDIS__PASSWORD") as refused:
        await store.prepare()
    assert "letmein" not in str(refused.value)


async def test_a_store_that_is_not_there_is_down() -> None:
    failures: list[str] = []
    store = ValkeyStore(Access("redis://127.0.0.1:1"), SHARDS, ttl_ms=DAY_MS, on_failure=failures.append)
    with pytest.raises(Down, match=r"127\.0\.0\.1:1 cannot be reached"):
        await begin(store, None)
    assert failures == ["unreachable"]


def test_an_access_does_not_show_its_secrets() -> None:
    shown = repr(Access("redis://me:hidden@host", password="secret"))
    assert "hidden" not in shown
    assert "secret" not in shown


# ---- TLS


async def test_a_store_behind_tls_is_reached_with_its_authority_named(valkey: Server) -> None:
    async with (
        behind_tls(valkey.port, TLS / "cert.pem", TLS / "key.pem") as port,
        store_for(Access(f"rediss://localhost:{port}", ca_file=TLS / "cert.pem")) as s,
    ):
        assert s.nodes.cluster is False
        assert (await s.get_config("none")) is None


async def test_a_store_behind_an_unknown_certificate_is_not_trusted(valkey: Server) -> None:
    async with behind_tls(valkey.port, TLS / "cert.pem", TLS / "key.pem") as port:
        store = store_for(Access(f"rediss://localhost:{port}"))
        with pytest.raises(Stop, match=r"not trusted \(self-signed.*HEADRACE_REDIS__CA_FILE"):
            await store.prepare()


async def test_a_store_that_asks_for_a_certificate_says_which_setting_names_ours(valkey: Server) -> None:
    door = behind_tls(valkey.port, TLS / "cert.pem", TLS / "key.pem", asks=TLS / "cert.pem")
    async with door as port:
        bare = Access(f"rediss://localhost:{port}", ca_file=TLS / "cert.pem")
        async with store_for(replace(bare, cert_file=TLS / "cert.pem", key_file=TLS / "key.pem")) as s:
            assert (await s.get_config("none")) is None
        store = store_for(bare)
        with pytest.raises((Stop, Down), match=r"HEADRACE_REDIS__CERT_FILE"):  # as the server says why, or does not
            await store.prepare()


@pytest.mark.parametrize("abruptly", [False, True], ids=["closed", "reset"])
async def test_a_server_that_ends_each_connection_at_once_names_what_it_may_want(abruptly: bool) -> None:
    """As a server that wants TLS, or our certificate, may do before it has said so."""

    async def ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if abruptly:  # no more than this makes the system answer with a reset
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.close()

    async with await asyncio.start_server(ends, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        store = store_for(Access(f"redis://:pw@127.0.0.1:{port}/0"))
        with pytest.raises(Down, match="HEADRACE_REDIS__CERT_FILE") as down:
            await store.nodes.ask((await store.nodes.primaries())[0], "PING")
        assert down.value.kind == "unreachable"
        await store.close()


def test_a_store_that_its_certificate_does_not_name_is_told_by_its_setting() -> None:
    lost, mismatch = redis_errors.ConnectionError("lost"), ssl.SSLCertVerificationError(1, "CERTIFICATE_VERIFY_FAILED")
    mismatch.verify_message = "IP address mismatch, certificate is not valid for '10.0.0.1'."
    lost.__cause__ = mismatch
    assert "HEADRACE_REDIS__URL" in str(meaning(lost, "10.0.0.1:6379"))


@pytest.mark.parametrize("reason", ["unexpected eof while reading", "decryption failed"])
def test_a_connection_over_tls_that_breaks_is_an_outage(reason: str) -> None:
    broken = redis_errors.ConnectionError("lost")
    broken.__cause__ = ssl.SSLError(1, reason)
    assert isinstance(meaning(broken, "store:1"), Down)
