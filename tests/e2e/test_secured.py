"""A broker and a store as in production: TLS, logins, ACLs. All of it by settings alone, and each refusal in one line.

What the users may do is read from docs/kafka.md and docs/store.md: so the docs are enough, or these tests fail.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import redis

from models.registry import Registry
from streams.data.topics import create_topics
from streams.embedded.processes import free_port
from streams.embedded.store import Store, start_store
from tests.conftest import KAFKA_TIMEOUT_S
from tests.support.archive import start_archive
from tests.support.learner import start_learner
from tests.support.place import STORE_PASSWORD, STORE_USER, WRONG, Place, order_lines
from tests.support.secured import DOCS
from tests.support.tls import Authority
from tests.support.worker import delete_topics, until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(KAFKA_TIMEOUT_S)]


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
async def test_everything_works_by_the_settings_alone_with_the_permissions_of_the_docs(
    place: Place, delivery: str
) -> None:
    await delete_topics(place.stream, [*await place.stream.cluster.topics()])
    code, told, errors = await place.command("topics", "create")
    assert (code, errors) == (0, "")
    assert told.count("created") == len(told.splitlines())
    workers = [place.worker({"DELIVERY": delivery}) for _ in range(2)]
    code, _, errors = await place.command("produce", "orders", stdin=order_lines(40))
    assert code == 0, errors
    await place.command("produce", "orders", "--raw", stdin=b"no order\n")
    await place.works(40)
    code, decisions, errors = await place.command("consume", "fraud", "--from", "start", "--until-idle", "1")
    assert (code, len(decisions.splitlines())) == (0, 40), errors
    code, state, errors = await place.command("state", "dump")
    assert code == 0, errors
    assert b'"u3"' in state.encode()
    code, letters, errors = await place.command("dlq", "ls")
    assert code == 0, errors
    assert "not_json" in letters
    assert await place.ends() == [0, 0]
    assert "ERROR" not in "".join(worker.said for worker in workers)
    place.nothing_leaked()


async def test_the_archive_gets_in_with_what_the_docs_list_for_it_and_a_stranger_does_not(
    place: Place, tmp_path: Path
) -> None:
    await place.command("topics", "create")
    code, _, errors = await place.command("produce", "orders", stdin=order_lines(40))
    assert code == 0, errors
    archivist, stranger = place.secured.login("archivist"), place.secured.login("stranger")
    archive = start_archive(place.stream, tmp_path, **archivist)
    place.stream.workers.append(archive)
    await until(lambda: archive.metric("headrace_archive_rows_total") >= 40, 60.0, lambda: archive.said)
    assert "ERROR" not in archive.said
    refused = start_archive(place.stream, tmp_path, **stranger)
    place.stream.workers.append(refused)
    assert await refused.ended() == 2
    assert "the archive must stop: the brokers do not permit it" in refused.said
    place.nothing_leaked()


async def test_the_learner_gets_in_with_what_the_docs_list_for_it_and_a_stranger_does_not(
    place: Place, tmp_path: Path
) -> None:
    await delete_topics(place.stream, [*await place.stream.cluster.topics()])
    await place.command("topics", "create")
    place.worker()
    code, _, errors = await place.command("produce", "orders", stdin=order_lines(40))
    assert code == 0, errors
    await place.works(40)
    by_the_docs = {"LEARNER__GROUP": "headrace-learner", "LEARNER__MATURE_DAYS": "0"}
    learner = start_learner(place.stream, tmp_path, "--once", **by_the_docs, **place.secured.login("tutor"))
    assert await learner.ended() == 0, learner.said
    assert "rows=" in learner.said
    assert "WARNING" not in learner.said
    assert Registry.at(str(tmp_path)).versions("online_logistic")
    refused = start_learner(place.stream, tmp_path, **by_the_docs, **place.secured.login("stranger"))
    assert await refused.ended() == 2
    assert "the learner must stop: the brokers do not permit it" in refused.said
    place.nothing_leaked()


async def test_a_certificate_of_ours_is_as_good_as_a_login(place: Place) -> None:
    me = {**place.secured.certificate(), **place.store}
    await delete_topics(place.stream, [*await place.stream.cluster.topics()])
    code, _, errors = await place.command("topics", "create", by=me)
    assert code == 0, errors
    place.worker({**me, "DELIVERY": "exactly-once"})
    code, _, errors = await place.command("produce", "orders", stdin=order_lines(10), by=me)
    assert code == 0, errors
    await place.works(10)
    assert await place.ends() == [0]
    place.nothing_leaked()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"KAFKA__PASSWORD": WRONG}, r"user 'headrace' .*HEADRACE_KAFKA__USERNAME and HEADRACE_KAFKA__PASSWORD"),
        ({"KAFKA__USERNAME": "nobody"}, r"user 'nobody' .*HEADRACE_KAFKA__USERNAME and HEADRACE_KAFKA__PASSWORD"),
        ({"KAFKA__SASL_MECHANISM": "PLAIN"}, "HEADRACE_KAFKA__SASL_MECHANISM"),
        ({"KAFKA__CA_FILE": "OTHER"}, r"not trusted .*HEADRACE_KAFKA__CA_FILE \(now .*other\.pem\)"),
        ({"KAFKA__CA_FILE": str(DOCS / "kafka.md")}, "kafka.md holds no certificates .*HEADRACE_KAFKA__CA_FILE"),
        ({"REDIS__PASSWORD": WRONG}, "refuses the login .*HEADRACE_REDIS__USERNAME and HEADRACE_REDIS__PASSWORD"),
        ({"REDIS__CA_FILE": "OTHER"}, "not trusted .*HEADRACE_REDIS__CA_FILE"),
        ({"REDIS__CA_FILE": str(DOCS / "kafka.md")}, "HEADRACE_REDIS__CA_FILE"),
    ],
    ids=[
        "password",
        "user",
        "mechanism",
        "authority",
        "no-authority",
        "store-password",
        "store-authority",
        "store-pem",
    ],
)
async def test_a_wrong_setting_is_one_line_that_names_it(
    place: Place, tmp_path: Path, wrong: Mapping[str, str], named: str
) -> None:
    """Of a command that uses what is wrong; and of a worker, which asks anew what was refused only for an outage."""
    other = Authority(tmp_path / "other", "other")
    settings = {name: str(other.cert) if value == "OTHER" else value for name, value in wrong.items()}
    await create_topics(place.stream.settings())
    command = ("topics", "create") if "KAFKA" in next(iter(wrong)) else ("state", "dump")
    told = [place.refused(*command, by={**place.secured.login(), **settings})]
    if "PASSWORD" in next(iter(wrong)) or "OTHER" in wrong.values():
        told.append(place.stopped(settings))
    for line in await asyncio.gather(*told):
        assert re.search(named, line), line
    place.nothing_leaked()


async def test_without_the_permissions_of_the_docs_each_is_refused_in_one_line(place: Place) -> None:
    stranger, headrace = place.secured.login("stranger"), place.secured.login("headrace")
    order = order_lines(1)
    await delete_topics(place.stream, [*await place.stream.cluster.topics()])
    told = await place.refused("topics", "create", by=headrace)
    assert re.search(r"do not permit it \(topic .*HEADRACE_KAFKA__USERNAME.*docs/kafka\.md", told), told
    await create_topics(place.stream.settings())
    refused = {
        "describe topic orders": place.refused("produce", "orders", stdin=order, by=stranger),
        "describe topic fraud": place.refused("consume", "fraud", by=stranger),
        "topic orders": place.refused("produce", "orders", stdin=order, by=headrace),
        "topic fraud": place.refused("consume", "fraud", "--from", "start", "--until-idle", "1", by=headrace),
        "topic fraud/0": place.refused("audit", by=headrace),
        "describe topic anomalies, applied": place.stopped(stranger),
        "write topic anomalies": place.stopped(place.secured.login("operator")),
        "group elsewhere": place.stopped({"KAFKA__GROUP": "elsewhere"}),
    }
    lines = await asyncio.gather(*refused.values())
    for what, line in zip(refused, lines, strict=True):
        assert re.search(rf"{what}.*HEADRACE_KAFKA__USERNAME.*docs/kafka\.md", line), (
            what,
            line,
        )
    place.nothing_leaked()


async def test_transactions_that_are_not_permitted_stop_the_worker_in_one_line(place: Place) -> None:
    await create_topics(place.stream.settings())
    place.secured.grant("headrace", [("group", "spare", False, "Read")])
    said = await place.stopped({"KAFKA__GROUP": "spare", "DELIVERY": "exactly-once"})
    assert re.search(r"do not permit it \(transactional id.*HEADRACE_KAFKA__USERNAME.*docs/kafka\.md", said), said


async def test_a_store_user_who_may_not_do_all_is_told_where_the_list_is(place: Place, server: Store) -> None:
    await create_topics(place.stream.settings())
    with redis.Redis(port=server.port, username=STORE_USER, password=STORE_PASSWORD) as me:
        assert me.ping()
    children = place.stream.children
    other = start_store(children, free_port(), name="other")
    with redis.Redis(port=other.port) as admin:
        admin.execute_command(
            "ACL", "SETUSER", STORE_USER, "reset", "on", f">{STORE_PASSWORD}", "~{*", "+@all", "-fcall"
        )
    said = await place.stopped({"REDIS__URL": other.url})
    assert re.search(r"does not permit it .*'fcall'.*docs/store\.md", said), said
    place.nothing_leaked()
