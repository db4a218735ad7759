"""Getting in: logins, permissions, TLS, addresses where nothing listens."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streams.embedded.store import Store as Server
from streams.protocol.ports import Stop, Swap, Verdict
from streams.stores import admin, dump
from streams.stores.nodes import Access, Down
from streams.stores.valkey import ValkeyStore
from tests.contract.stores import DAY_MS, LIMITS, ORDERS, SHARDS, TTL_MS, applied, begin, call, entry, opened, stamped

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
    assert [one async for one in dump.bags(store)]
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


@contextlib.asynccontextmanager
async def behind_tls(server: Server) -> AsyncIterator[int]:
    """A port that speaks TLS with our certificate, and passes on to a server that does not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_read, to_write = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(_pass_on(reader, to_write), _pass_on(to_read, writer))

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def test_a_store_behind_tls_is_reached_with_its_authority_named(valkey: Server) -> None:
    async with (
        behind_tls(valkey) as port,
        store_for(Access(f"rediss://localhost:{port}", ca_file=TLS / "cert.pem")) as s,
    ):
        assert s.nodes.cluster is False
        assert (await s.get_config("none")) is None


async def test_a_store_behind_an_unknown_certificate_is_not_trusted(valkey: Server) -> None:
    async with behind_tls(valkey) as port:
        store = store_for(Access(f"rediss://localhost:{port}"))
        with pytest.raises(Down, match="CERTIFICATE_VERIFY_FAILED"):
            await store.prepare()
