"""How brokers are reached: addresses, TLS, SASL. One value that every client of the process is built from.

The names are the settings' own (`HEADRACE_KAFKA__...`), so an error can say which variable to change. Secrets are kept
out of `repr`.
"""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from streams.protocol.ports import Stop
from streams.transport.aio import create_ssl_context

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SECURITY_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


class Secret(Protocol):
    def get_secret_value(self) -> str: ...


class KafkaSettings(Protocol):
    """The part of the settings that says how brokers are reached (schemas/settings.py)."""

    @property
    def brokers(self) -> str: ...
    @property
    def security_protocol(self) -> str: ...
    @property
    def sasl_mechanism(self) -> str | None: ...
    @property
    def username(self) -> str | None: ...
    @property
    def password(self) -> Secret | None: ...
    @property
    def ca_file(self) -> Path | None: ...
    @property
    def cert_file(self) -> Path | None: ...
    @property
    def key_file(self) -> Path | None: ...
    @property
    def key_password(self) -> Secret | None: ...


class Leaving(ssl.SSLObject):
    """TLS that says its own goodbye and waits for nobody's, as the standard lets it.

    A broker that holds back the answer to a fetch reads nothing more of that connection; asyncio and uvloop wait 30 s
    for its notice, and a worker that was told to end would be killed for it.
    """

    def unwrap(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):  # ours is on its way, theirs is not here
            super().unwrap()


@dataclass(frozen=True, slots=True)
class Link:
    """Where the brokers are and who we are to them."""

    brokers: str  # host:port, comma separated
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.security_protocol not in SECURITY_PROTOCOLS:
            raise ValueError(
                f"security protocol {self.security_protocol!r}: want one of {', '.join(SECURITY_PROTOCOLS)} "
                "(HEADRACE_KAFKA__SECURITY_PROTOCOL)"
            )
        if self.security_protocol.startswith("SASL") and not (self.username and self.password):
            raise ValueError(
                f"security protocol {self.security_protocol} without a user: "
                "want HEADRACE_KAFKA__USERNAME and HEADRACE_KAFKA__PASSWORD"
            )

    @classmethod
    def of(cls, kafka: KafkaSettings) -> Link:
        """The link that the settings describe."""
        return cls(
            brokers=kafka.brokers,
            security_protocol=kafka.security_protocol,
            sasl_mechanism=kafka.sasl_mechanism,
            username=kafka.username,
            password=kafka.password.get_secret_value() if kafka.password else None,
            ca_file=kafka.ca_file,
            cert_file=kafka.cert_file,
            key_file=kafka.key_file,
            key_password=kafka.key_password.get_secret_value() if kafka.key_password else None,
        )

    def client(self) -> dict[str, Any]:
        """Keyword arguments that every aiokafka client takes."""
        options: dict[str, Any] = {
            "bootstrap_servers": [address.strip() for address in self.brokers.split(",") if address.strip()],
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = self._tls()
        if self.security_protocol.startswith("SASL"):
            options |= {
                "sasl_mechanism": self.sasl_mechanism or "PLAIN",
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        return options

    @property
    def secured(self) -> bool:
        """Whether a broker may refuse us for who we are, or we it."""
        return self.security_protocol != "PLAINTEXT"

    def _tls(self) -> ssl.SSLContext:
        for path, name in ((self.ca_file, "CA_FILE"), (self.cert_file, "CERT_FILE"), (self.key_file, "KEY_FILE")):
            if path is not None and not path.is_file():
                raise Stop(f"file {path} is not there (HEADRACE_KAFKA__{name})")
        return self._context(cafile=self.ca_file) if self.cert_file is None else self._with_certificate()

    def _context(self, **options: Any) -> ssl.SSLContext:
        try:
            context: ssl.SSLContext = create_ssl_context(**options)
        except ssl.SSLError as error:
            raise Stop(
                f"{self.ca_file} holds no certificates ({error.reason}): want a PEM file (HEADRACE_KAFKA__CA_FILE)"
            ) from error
        context.sslobject_class = Leaving
        return context

    def _with_certificate(self) -> ssl.SSLContext:
        context = self._context(cafile=self.ca_file)
        try:  # without a password OpenSSL would ask the terminal for one
            context.load_cert_chain(str(self.cert_file), self.key_file, self.key_password or "")
        except ssl.SSLError as error:
            raise Stop(
                f"{self.cert_file} and {self.key_file} are no certificate and its key ({error.reason}): want PEM files "
                "(HEADRACE_KAFKA__CERT_FILE, HEADRACE_KAFKA__KEY_FILE; HEADRACE_KAFKA__KEY_PASSWORD where it is locked)"
            ) from error
        return context
