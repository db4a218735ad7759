"""Whether the brokers let us in, and what a refusal means: one line that names the setting to change.

aiokafka takes a wrong password, an unknown authority and a broker that is away for the same thing, and tries again for
ever. So before the first connection of a process over TLS or with a login, one is made by hand, and its failure is
read: a refusal, which no waiting mends, is a `Stop`; anything else is left to who waits for an outage to end. The
price: one connection more at the start.
"""

from __future__ import annotations

import ssl

from streams.protocol.ports import Stop
from streams.transport.aio import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
    create_conn,
)
from streams.transport.link import Link

KNOCK_MS = 5_000
WRONG_LOGIN = (AuthenticationFailedError, SaslAuthenticationFailed)
WRONG_MECHANISM = (UnsupportedSaslMechanismError, IllegalSaslStateError)
NOT_PERMITTED = {
    TopicAuthorizationFailedError: "topic",
    GroupAuthorizationFailedError: "group",
    ClusterAuthorizationFailedError: "cluster",
    TransactionalIdAuthorizationFailed: "transactional id",
}


async def admitted(link: Link) -> None:
    """Returns where a broker lets us in or none answers; raises Stop where one answers and refuses us."""
    if not link.secured:
        return
    options = link.client()
    for address in options.pop("bootstrap_servers"):
        host, _, port = address.rpartition(":")
        try:
            connection = await create_conn(
                host, int(port), client_id="headrace", request_timeout_ms=KNOCK_MS, **options
            )
        except (TimeoutError, KafkaError, OSError) as error:
            if why := refusal(error, link):
                raise Stop(f"the broker at {address} {why}") from error
        else:
            connection.close()
            return


def refusal(error: BaseException, link: Link) -> str | None:
    """What a broker that refuses us says, and what to change; None for any other failure."""
    if isinstance(error, WRONG_LOGIN):
        return (
            f"refuses the login of user {link.username!r} ({link.sasl_mechanism}): "
            "set HEADRACE_KAFKA__USERNAME and HEADRACE_KAFKA__PASSWORD"
        )
    if isinstance(error, WRONG_MECHANISM):
        return (
            f"does not take logins by {link.sasl_mechanism}: set HEADRACE_KAFKA__SASL_MECHANISM, or "
            f"HEADRACE_KAFKA__SECURITY_PROTOCOL (now {link.security_protocol})"
        )
    tls = error if isinstance(error, ssl.SSLError) else error.__cause__
    if isinstance(tls, ssl.SSLCertVerificationError):
        return f"has a certificate that is not trusted ({tls.verify_message.rstrip('.')}): {_trust(tls, link)}"
    if isinstance(tls, ssl.SSLError) and not isinstance(tls, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return (
            f"ends the TLS handshake ({getattr(tls, 'reason', None) or tls}): set HEADRACE_KAFKA__SECURITY_PROTOCOL "
            f"(now {link.security_protocol}), or HEADRACE_KAFKA__CERT_FILE where it asks for a certificate of ours"
        )
    return None


def _trust(error: ssl.SSLCertVerificationError, link: Link) -> str:
    if "mismatch" in error.verify_message:
        return f"name the broker as its certificate does (HEADRACE_KAFKA__BROKERS, now {link.brokers})"
    trusted = f"now {link.ca_file}" if link.ca_file else "now the system's authorities"
    return f"name the authority that signed it with HEADRACE_KAFKA__CA_FILE ({trusted})"


def not_permitted(error: BaseException | None) -> str | None:
    """What an ACL that is missing means, in one line; None for any other error. Causes are looked through."""
    while error is not None:
        for kind, what in NOT_PERMITTED.items():
            if isinstance(error, kind):
                return forbidden(f"{what} {_named(error)}".strip())
        error = error.__cause__
    return None


def forbidden(what: str) -> str:
    """The line for a thing that this user may not touch."""
    return f"the brokers do not permit it ({what}): grant the user of HEADRACE_KAFKA__USERNAME what docs/kafka.md lists"


def _named(error: KafkaError) -> str:
    """What the error says it is about: a name, or several."""
    names = [name for arg in error.args for name in (sorted(arg) if isinstance(arg, set | frozenset) else [arg])]
    return ", ".join(map(str, names))
