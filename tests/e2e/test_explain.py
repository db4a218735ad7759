"""`headrace explain`: after promotions and edits of the rules, decisions are made again as they were, to the byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from models.blend import Blend
from models.calibration import Beta
from models.deployments import promoted
from models.logistic import Input, Logistic
from models.registry import Registry
from schemas.deployments import Ref
from streams.configuration import DEFAULT_RULES
from tests.support.archive import all_archived, decided, start_archive
from tests.support.events import order
from tests.support.models import NAMES, WHO, cut_off, put, registry_in
from tests.support.worker import Stream, Worker

HOLDS, NOT_EQUAL, NOT_FOUND = 0, 1, 2
EACH = 40  # orders of a part


def weighing(weight: float) -> Logistic:
    """A model of the amount and of how often the account has ordered."""
    return Logistic(
        [Input("order_amount", 40.0, 0.0, 1e5, weight), Input("user_count_24h", 1.0, 0.0, 99.0, 0.3)], -4.0, NAMES
    )


def mixed() -> Blend:
    return Blend({"one": weighing(0.5), "two": weighing(1.0)}, {"one": 0.5, "two": 0.7}, Beta(), NAMES)


async def test_decisions_are_made_again_after_promotions_and_edits_of_the_rules(
    embedded_stream: Stream, tmp_path: Path
) -> None:
    stream, archive, registry = embedded_stream, tmp_path / "archive", registry_in(tmp_path / "registry")
    rules = [DEFAULT_RULES.read_text(), *(edited(amount) for amount in (30, 60))]
    models = [put(registry, "shop", one) for one in (weighing(0.4), weighing(0.9), mixed())]
    process = start_archive(stream, archive, REGISTRY__URL=str(tmp_path / "registry"))
    sent = 0
    for n, (text, model) in enumerate(
        [(rules[0], models[0]), (rules[0], models[1]), (rules[1], models[2]), (rules[2], models[2])]
    ):
        promote(registry, model)
        sent += EACH
        await part(stream, tmp_path, text, n, sent)
    await all_archived(stream, archive, process)
    assert process.terminate() == 0

    at: Any = {"ARCHIVE__URL": str(archive), "REGISTRY__URL": str(tmp_path / "registry")}
    words = ("explain", "--sample", "1000", "--replay", "--settled", "0", "--json")
    code, output, errors = await stream.command(*words, **at)
    told = [json.loads(line) for line in output.splitlines()]
    assert code == HOLDS, errors
    assert len(told) == sent
    assert all(one["equal"] and one["vector_equal"] is True for one in told)
    assert len({one["config"] for one in told}) == 4
    assert {one["model"]["version"] for one in told} == {"1", "2", "3"}

    stopped = next(one for one in told if one["contributions"] and one["action"] != "allow")
    code, text, _ = await stream.command("explain", stopped["order_id"], **at)
    assert code == HOLDS
    assert stopped["reasons"][0]["text"] in text
    assert "the same bytes" in text

    code, _, errors = await stream.command("explain", "o-nobody", ARCHIVE__URL=str(archive))
    assert (code, "no decision, order or event o-nobody" in errors) == (NOT_FOUND, True)

    code, text, _ = await stream.command("explain", stopped["order_id"], ARCHIVE__URL=str(archive))
    assert (code, "set HEADRACE_REGISTRY__URL" in text) == (NOT_EQUAL, True)
    cut_off(registry, models[1])
    code, output, _ = await stream.command("explain", "--sample", "1000", "--json", **at)
    assert code == NOT_EQUAL
    for one in map(json.loads, output.splitlines()):
        assert one["equal"] == (one["model"]["version"] != "2")
        assert one["equal"] or "its SHA-256 is" in one["why_not"]


def edited(amount: int) -> str:
    """The shop's rules, and one more."""
    rule = f"""
[[rule]]
name = "dear_{amount}"
code = "DEAR"
text = "an order of {{order_amount:.2f}}"
when = "order_amount > {amount}"
action = "review"
"""
    return DEFAULT_RULES.read_text() + rule


def promote(registry: Registry, model: Ref) -> None:
    registry.deploy(promoted(model), **WHO)


async def part(stream: Stream, folder: Path, rules: str, n: int, sent: int) -> None:
    """Some orders, decided by a worker of these rules and of what is in force now."""
    path = folder / f"rules-{n}.toml"
    path.write_text(rules)
    worker: Worker = stream.worker(RULES=str(path), REGISTRY__URL=str(folder / "registry"))
    await stream.working(worker)
    orders = [order(f"n{n}-{i}", f"u{i % 7}", (sent + i) * 1000, value=5.0 + 3 * i) for i in range(EACH)]
    await stream.send(*orders)
    await decided(stream, sent)
    assert worker.terminate() == 0
