"""What a refusal means: the setting to change, and nothing for a failure that waiting may mend."""

from __future__ import annotations

import ssl
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors  # type: ignore[import-untyped]  # it ships no types

from streams.transport.admission import admitted, not_permitted, refusal
from streams.transport.aio import for_code
from streams.transport.consumer import BatchConsumer
from streams.transport.link import Link

LINK = Link("a:1", "SASL_SSL", "PLAIN", "me", "secret")


def _mismatch() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "Hostname mismatch, certificate is not valid for 'a'."
    return error


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (errors.SaslAuthenticationFailed("no"), "user 'me' (PLAIN): set HEADRACE_KAFKA__USERNAME"),
        (errors.UnsupportedSaslMechanismError("no"), "HEADRACE_KAFKA__SASL_MECHANISM"),
        (_mismatch(), "HEADRACE_KAFKA__BROKERS, now a:1"),
        (ssl.SSLError(1, "alert"), "HEADRACE_KAFKA__CERT_FILE"),
    ],
)
def test_a_refusal_names_the_setting_and_never_the_password(error: Exception, named: str) -> None:
    told = refusal(error, LINK) or ""
    assert named in told
    assert "secret" not in told


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(), TimeoutError(), ssl.SSLEOFError(), errors.KafkaConnectionError("closed")]
)
def test_an_outage_is_no_refusal(error: Exception) -> None:
    assert refusal(error, LINK) is None


async def test_a_broker_that_is_away_refuses_nobody() -> None:
    await admitted(Link("127.0.0.1:1", "SSL"))


def test_a_missing_permission_is_found_among_the_causes() -> None:
    outer = errors.KafkaError("unexpected")
    outer.__cause__ = errors.TopicAuthorizationFailedError({"orders", "cart"})
    assert "(topic cart, orders): grant the user of HEADRACE_KAFKA__USERNAME" in (not_permitted(outer) or "")
    assert not_permitted(errors.KafkaError("unexpected")) is None


def test_a_slot_that_was_taken_over_is_told_by_its_option() -> None:
    """As aiokafka's coordinator tells it: the name of the code in the text of another error."""
    consumer: Any = SimpleNamespace(app=SimpleNamespace(slot=3))
    told = errors.KafkaError(repr(for_code(82)()))
    assert "--slot 3" in (BatchConsumer._why_to_stop(consumer, told) or "")
    assert BatchConsumer._why_to_stop(consumer, errors.KafkaError("UnknownError()")) is None
    assert "docs/kafka.md" in (BatchConsumer._why_to_stop(consumer, errors.GroupAuthorizationFailedError("g")) or "")
