"""The link: what every client is told of the brokers, and what it refuses."""

import asyncio
import socket
import ssl
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.settings import Kafka
from streams.loops import new_event_loop
from streams.protocol.ports import Stop
from streams.transport.link import Link
from tests.support.tls import Authority

PATIENCE_S = 10.0  # asyncio itself waits 30 for a notice that does not come


def test_a_plain_link_names_its_brokers_one_by_one() -> None:
    assert Link("a:1, b:2,").client() == {"bootstrap_servers": ["a:1", "b:2"], "security_protocol": "PLAINTEXT"}


def test_the_settings_make_a_link() -> None:
    settings = Kafka.model_validate(
        {"brokers": "a:1", "security_protocol": "SASL_PLAINTEXT", "username": "u", "password": "secret"}
    )
    client = Link.of(settings).client()
    assert (client["sasl_mechanism"], client["sasl_plain_username"], client["sasl_plain_password"]) == (
        "PLAIN",
        "u",
        "secret",
    )


def test_a_password_is_never_shown() -> None:
    assert "secret" not in repr(Link("a:1", "SASL_SSL", "PLAIN", "u", "secret"))


def test_tls_comes_with_a_context_that_checks_the_broker() -> None:
    context = Link("a:1", "SSL").client()["ssl_context"]
    assert context.check_hostname


def test_a_login_without_a_user_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="HEADRACE_KAFKA__USERNAME"):
        Link("a:1", "SASL_SSL")


def test_an_unknown_protocol_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"'TLS'.*HEADRACE_KAFKA__SECURITY_PROTOCOL"):
        Link("a:1", "TLS")


def test_a_certificate_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Stop, match="HEADRACE_KAFKA__CA_FILE"):
        Link("a:1", "SSL", ca_file=tmp_path / "nowhere.pem").client()


def test_a_file_without_certificates_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("none here")
    with pytest.raises(Stop, match=r"empty\.pem holds no certificates.*HEADRACE_KAFKA__CA_FILE"):
        Link("a:1", "SSL", ca_file=tmp_path / "empty.pem").client()


def test_a_key_that_is_locked_is_refused_by_name_and_the_terminal_is_not_asked(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    own, locked = authority.sign("own"), tmp_path / "locked.key"
    lock: list[str | Path] = [
        "openssl",
        "pkey",
        "-in",
        own.key,
        "-aes256",
        "-passout",
        "pass:opensesame",
        "-out",
        locked,
    ]
    subprocess.run(lock, check=True, capture_output=True)
    link = Link("a:1", "SSL", ca_file=authority.cert, cert_file=own.cert, key_file=locked)
    with pytest.raises(Stop, match="HEADRACE_KAFKA__KEY_PASSWORD"):
        link.client()
    assert replace(link, key_password="opensesame").client()["ssl_context"]


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, new_event_loop], ids=["asyncio", "a worker's"])
def test_a_connection_closes_though_the_broker_says_no_goodbye(
    loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    """TLS lets each side end with a notice; a broker that holds our last fetch reads ours only when that is over."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(_closes(tmp_path))


async def _closes(folder: Path) -> None:
    authority = Authority(folder, "authority")
    own = authority.sign("broker")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.cert, own.key)
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as broker:
        shaken = broker.submit(lambda: context.wrap_socket(listening.accept()[0], server_side=True))
        client = Link("a:1", "SSL", ca_file=authority.cert).client()
        port = listening.getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client["ssl_context"])
        with await asyncio.to_thread(shaken.result) as deaf:
            writer.close()
            async with asyncio.timeout(PATIENCE_S):
                await writer.wait_closed()
            assert await asyncio.to_thread(deaf.recv, 1) == b"", "our own notice is not sent"
