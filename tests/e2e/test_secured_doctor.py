"""`headrace doctor` and `serve` where logins and permissions are asked for: what is missing is told by name."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping

import pytest
import redis

from streams.data.topics import create_topics
from streams.doctor.permitted import PROBES
from streams.embedded.processes import free_port
from streams.embedded.store import start_store
from tests.conftest import KAFKA_TIMEOUT_S
from tests.support.place import STORE_PASSWORD, STORE_USER, WRONG, Place
from tests.support.secured import DOCS
from tests.support.worker import ROOT, until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(KAFKA_TIMEOUT_S)]

GRANT = "grant the user of HEADRACE_KAFKA__USERNAME what docs/kafka.md lists"
NOTHING: Mapping[str, str] = {}
UNTRIED = {
    "hset",
    "append",
    "info",
    "dbsize",
}  # the first two make what is not there; without the others nothing is reached
Finding = Mapping[str, str]


async def examined(place: Place, by: Mapping[str, str] = NOTHING) -> dict[tuple[str, str], Finding]:
    """The findings by area and check."""
    code, output, errors = await place.command("doctor", "--json", by=by)
    assert output, errors
    found = {(one["area"], one["check"]): one for one in json.loads(output)["findings"]}
    assert code == int(any(one["state"] == "fails" for one in found.values()))
    return found


def failing(found: Mapping[tuple[str, str], Finding]) -> dict[tuple[str, str], Finding]:
    return {at: one for at, one in found.items() if one["state"] == "fails"}


async def test_with_the_permissions_of_the_docs_nothing_fails(place: Place) -> None:
    await create_topics(place.stream.settings())
    for me in (place.secured.login("headrace"), place.secured.certificate()):
        assert failing(await examined(place, me)) == {}
    place.nothing_leaked()


@pytest.mark.parametrize(
    ("who", "said"),
    [
        (
            "operator",
            {"session and permissions": r"write topic anomalies, applied, decisions, fraud, models, sessions"},
        ),
        (
            "stranger",
            {
                "topics": r"describe topic anomalies, applied, cart, .*sessions",
                "session and permissions": r"describe topic anomalies",
                "clocks": r"describe topic orders",
            },
        ),
        ("archivist", {"topics": r"describe topic cart\.dlq", "session and permissions": r"describe topic cart\.dlq"}),
    ],
)
async def test_what_the_broker_does_not_permit_is_told_by_its_topics(
    place: Place, who: str, said: Mapping[str, str]
) -> None:
    await create_topics(place.stream.settings())
    found = failing(await examined(place, place.secured.login(who)))
    assert found.keys() == {("broker", check) for check in said}
    for check, text in said.items():
        one = found["broker", check]
        assert re.search(text, one["said"]), one
        assert one["remedy"] == GRANT


async def test_a_group_that_we_may_not_join_is_told(place: Place) -> None:
    await create_topics(place.stream.settings())
    mine = {**place.secured.login("headrace"), "KAFKA__GROUP": "elsewhere"}
    found = failing(await examined(place, mine))
    (one,) = found.values()
    assert "group elsewhere" in one["said"]
    assert one["remedy"] == GRANT


@pytest.mark.parametrize(
    ("wrong", "area", "remedy"),
    [
        ({"KAFKA__PASSWORD": WRONG}, "broker", "HEADRACE_KAFKA__USERNAME and HEADRACE_KAFKA__PASSWORD"),
        ({"KAFKA__SASL_MECHANISM": "PLAIN"}, "broker", "HEADRACE_KAFKA__SASL_MECHANISM"),
        ({"KAFKA__SECURITY_PROTOCOL": "PLAINTEXT"}, "broker", "HEADRACE_KAFKA__SECURITY_PROTOCOL"),
        ({"KAFKA__CA_FILE": str(DOCS / "kafka.md")}, "broker", "HEADRACE_KAFKA__CA_FILE"),
        ({"REDIS__PASSWORD": WRONG}, "store", "HEADRACE_REDIS__USERNAME and HEADRACE_REDIS__PASSWORD"),
        ({"REDIS__CA_FILE": str(DOCS / "kafka.md")}, "store", "HEADRACE_REDIS__CA_FILE"),
    ],
    ids=["password", "mechanism", "protocol", "authority", "store-password", "store-authority"],
)
async def test_a_login_that_does_not_work_is_told_with_its_setting(
    place: Place, wrong: Mapping[str, str], area: str, remedy: str
) -> None:
    await create_topics(place.stream.settings())
    found = failing(await examined(place, {**place.secured.login("headrace"), **wrong}))
    (one,) = found.values()
    assert (one["area"], one["check"]) == (area, "reached")
    assert remedy in one["said"] + one["remedy"]
    place.nothing_leaked()


def test_every_command_of_the_docs_is_tried_but_for_those_that_would_change_something() -> None:
    listed = re.findall(r"\+([\w|]+)", (DOCS / "store.md").read_text().split("## Permissions")[1].split("##")[0])
    tried = {str(word).lower() for probe in PROBES for word in (probe[0], "|".join(map(str, probe[:2])))}
    assert set(listed) - tried == UNTRIED


@pytest.mark.parametrize("lacks", ["fcall", "function|load", "rename", "xadd", "memory|usage"])
async def test_a_command_that_the_stores_user_may_not_use_is_named(place: Place, lacks: str) -> None:
    await create_topics(place.stream.settings())
    other = start_store(place.stream.children, free_port(), name="other")
    with redis.Redis(port=other.port) as admin:
        user = ("reset", "on", f">{STORE_PASSWORD}", "~{*", "+@all", f"-{lacks}")
        admin.execute_command("ACL", "SETUSER", STORE_USER, *user)
        before = admin.dbsize()
        found = await examined(place, {**place.secured.login("headrace"), "REDIS__URL": other.url})
        assert admin.dbsize() == before
    one = found["store", "permissions"]
    assert (one["state"], one["said"]) == ("fails", f"its user may not use {lacks}")
    assert "docs/store.md" in one["remedy"]


async def test_serving_gets_in_with_what_the_docs_list_and_says_what_is_missing(place: Place) -> None:
    await create_topics(place.stream.settings())
    hidden = "describe topic anomalies, cart, clickstream, decisions, fraud, labels, orders, outcomes"
    for who, topics in (("stranger", hidden), ("headrace", "topic anomalies/")):
        code, _, errors = await place.command("serve", "--port", "0", by=place.secured.login(who))
        assert code == 2
        assert re.search(rf"must stop: .*{topics}.*{re.escape(GRANT)}", errors), errors
    argv = [sys.executable, "-P", "-m", "streams.cli", "serve", "--port", "0"]
    told = place.stream.env(**place.secured.login("operator"), **place.store)
    child = place.stream.children.start("serve", argv, told, cwd=ROOT)
    await until(lambda: "serving at" in child.log.read_text(), 40.0, child.log.read_text)
    assert child.running, child.log.read_text()
    assert child.terminate(30.0) == 0
    place.nothing_leaked()
