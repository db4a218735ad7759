"""The link: what every client is told of the brokers, and what it refuses."""

from pathlib import Path

import pytest

from schemas.settings import Kafka
from streams.transport.link import Link


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
    with pytest.raises(ValueError, match="HEADRACE_KAFKA__CA_FILE"):
        Link("a:1", "SSL", ca_file=tmp_path / "nowhere.pem").client()
