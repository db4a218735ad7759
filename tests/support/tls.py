"""Certificates of a test's own authority, and a door that speaks TLS before a server that does not."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

DAYS = "2"


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files; `both` holds key and certificate, as Apache Kafka wants them."""

    cert: Path
    key: Path
    both: Path


class Authority:
    """Signs certificates for localhost with openssl. Keys on a curve: made at once."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._name = folder, name
        self.cert, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        _new_key(self._key)
        request: list[str | Path] = ["req", "-x509", "-new", "-key", self._key, "-days", DAYS, "-subj", f"/CN={name}"]
        _openssl(*request, "-addext", "basicConstraints=critical,CA:TRUE", "-out", self.cert)

    def sign(self, name: str) -> Certificate:
        """A certificate of `CN=name` that is good for localhost and 127.0.0.1."""
        key, cert, both = (self._folder / f"{self._name}-{name}.{kind}" for kind in ("key", "pem", "both"))
        asked, further = key.with_suffix(".csr"), key.with_suffix(".ext")
        _new_key(key)
        further.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        _openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", asked)
        signing: list[str | Path] = [
            "x509",
            "-req",
            "-in",
            asked,
            "-CA",
            self.cert,
            "-CAkey",
            self._key,
            "-CAcreateserial",
        ]
        _openssl(*signing, "-days", DAYS, "-extfile", further, "-out", cert)
        both.write_text(key.read_text() + cert.read_text())
        return Certificate(cert, key, both)


def _new_key(path: Path) -> None:
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


@contextlib.asynccontextmanager
async def behind_tls(
    port: int, certificate: Path, key: Path, *, asks: Path | None = None, listen: int = 0
) -> AsyncIterator[int]:
    """A port that speaks TLS with this certificate, and passes on to the one that does not.

    `asks`: the authority whose certificate a client must have.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if asks is not None:
        context.load_verify_locations(asks)
        context.verify_mode = ssl.CERT_REQUIRED
    async with passed_on(port, context, listen) as door:
        yield door


@contextlib.asynccontextmanager
async def passed_on(port: int, context: ssl.SSLContext | None, listen: int = 0) -> AsyncIterator[int]:
    """A port that passes on to another, with TLS or without."""
    open_ones: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_read, to_write = await asyncio.open_connection("127.0.0.1", port)
        both = [asyncio.create_task(_pass_on(reader, to_write)), asyncio.create_task(_pass_on(to_read, writer))]
        open_ones.update(both)
        await asyncio.wait(both)
        open_ones.difference_update(both)

    listening = await asyncio.start_server(serve, "127.0.0.1", listen, ssl=context)
    async with listening:
        yield listening.sockets[0].getsockname()[1]
    for task in open_ones:
        task.cancel()
    if open_ones:
        await asyncio.wait(open_ones)
    await asyncio.sleep(0)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()
