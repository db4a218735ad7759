"""Apache Kafka and a store as they are in production: TLS, logins, and users who may do what the docs say and no more.

The plain listener stays for the test's own questions: it is a superuser there. Beside it are one with SCRAM over TLS
and one that asks for a certificate.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported for people, not for mypy
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from schemas.topics import INPUTS, TOPICS
from streams.embedded.processes import LOCALHOST, Children, free_port
from tests.support.kafka import Kafka, start_kafka
from tests.support.tls import Authority, Certificate

DOCS = Path(__file__).resolve().parents[2] / "docs"
PASSWORDS = {
    "headrace": "wOrker-5ecret",
    "operator": "0perator-5ecret",
    "archivist": "4rchivist-5ecret",
    "tutor": "7utor-5ecret",
    "stranger": "5tranger-5ecret",
}
BY_CERTIFICATE = "CN=by-certificate"
RESOURCES = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "cluster": ResourceType.BROKER,
    "transactional id": ResourceType.TRANSACTIONAL_ID,
}
KINDS = ("SCRAM-SHA-256", "SCRAM-SHA-512")
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
Grant = tuple[str, str, bool, str]  # resource, name, whether it is a prefix, operation


@dataclass(frozen=True, slots=True)
class Secured:
    """The broker, and the settings that lead into it."""

    broker: Kafka
    authority: Authority
    client: Certificate
    by_login: str  # addresses
    by_certificate: str

    def login(self, user: str = "headrace") -> dict[str, str]:
        """Settings, by their names without the prefix."""
        return {
            "KAFKA__BROKERS": self.by_login,
            "KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA__SASL_MECHANISM": "SCRAM-SHA-256",
            "KAFKA__USERNAME": user,
            "KAFKA__PASSWORD": PASSWORDS[user],
            "KAFKA__CA_FILE": str(self.authority.cert),
        }

    def certificate(self) -> dict[str, str]:
        return {
            "KAFKA__BROKERS": self.by_certificate,
            "KAFKA__SECURITY_PROTOCOL": "SSL",
            "KAFKA__CA_FILE": str(self.authority.cert),
            "KAFKA__CERT_FILE": str(self.client.cert),
            "KAFKA__KEY_FILE": str(self.client.key),
        }

    def grant(self, principal: str, grants: Iterable[Grant]) -> None:
        """Adds ACLs; returns when the broker has them."""
        bindings = [_binding(principal, grant) for grant in dict.fromkeys(grants)]
        admin = AdminClient({"bootstrap.servers": self.broker.address})
        for done in admin.create_acls(bindings).values():
            done.result(30)


def _binding(principal: str, grant: Grant) -> AclBinding:
    resource, name, prefix, operation = grant
    pattern = ResourcePatternType.PREFIXED if prefix else ResourcePatternType.LITERAL
    named = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).upper()
    what = AclOperation[named]
    return AclBinding(RESOURCES[resource], name, pattern, f"User:{principal}", "*", what, AclPermissionType.ALLOW)


def documented(*who: str) -> list[Grant]:
    """The ACLs that docs/kafka.md lists for a worker, or for commands."""
    table = (DOCS / "kafka.md").read_text(encoding="utf-8").split("## Permissions")[1]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:2] == "| "]
    grants: list[Grant] = []
    for whom, resource, names, operations in rows[2:]:
        if any(one in whom for one in who):
            found = re.findall(r"`([^`]+)`", names) or ["kafka-cluster"]
            if resource == "topic":  # not the rows that say it in words
                found = [name for name in found if name in TOPICS]
            prefix = "what follows" in names
            grants += [(resource, name, prefix, operation) for name in found for operation in operations.split(", ")]
    return grants


def start_secured(children: Children) -> Secured:
    """A broker whose users have what the docs list: `headrace` a worker's, `operator` what commands need too."""
    authority = Authority(children.folder / "tls", "authority")
    server, client = authority.sign("broker"), authority.sign("by-certificate")
    login, mutual = free_port(), free_port()
    users = [f"{kind}=[name={user},password={password}]" for user, password in PASSWORDS.items() for kind in KINDS]
    broker = start_kafka(
        children,
        {
            "listener.security.protocol.map": ("PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_SSL,MUTUAL:SSL"),
            "sasl.enabled.mechanisms": ",".join(KINDS),
            **{f"listener.name.login.{kind.lower()}.sasl.jaas.config": SCRAM for kind in KINDS},
            "listener.name.mutual.ssl.client.auth": "required",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(server.both),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(authority.cert),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        },
        listeners=f"LOGIN://{LOCALHOST}:{login},MUTUAL://{LOCALHOST}:{mutual}",
        format_with=[word for user in users for word in ("--add-scram", user)],
    )
    secured = Secured(broker, authority, client, f"{LOCALHOST}:{login}", f"{LOCALHOST}:{mutual}")
    every: list[Grant] = [("topic", name, False, "Read") for name in TOPICS]
    every += [("topic", name, False, "Write") for name in TOPICS if name in INPUTS or name.endswith(".dlq")]
    secured.grant("headrace", documented("worker"))
    secured.grant(BY_CERTIFICATE, [*documented("worker"), *documented("produce", "consume", "topics", "state"), *every])
    secured.grant("archivist", documented("archive"))
    secured.grant("tutor", documented("learn"))
    secured.grant("operator", [*documented("produce", "topics", "state"), *every])
    return secured
