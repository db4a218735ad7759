"""What was learned a moment ago decides: snapshots of an online member come into force in workers that run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from features.shop import shop_definitions
from models import artefact
from models.blend import Blend
from models.calibration import Beta
from models.registry import Registry
from schemas.decisions import DecisionLog
from streams.configuration import DEFAULT
from tests.e2e.test_learner import bought, by_time, charged
from tests.support.archive import decided
from tests.support.learner import MODEL, learned, logged, matured, start_learner
from tests.support.worker import Stream, until

VECTOR = shop_definitions().vector


def put_blend(registry: Registry) -> None:
    """The shop's model and the newest snapshot, in equal parts."""
    (folder,) = (DEFAULT / "shop-logistic").iterdir()
    shop = artefact.load(folder, VECTOR.names, VECTOR.hash).model
    online = registry.load(MODEL, registry.versions(MODEL)[-1], VECTOR.names, VECTOR.hash).model
    blend = Blend({"shop": shop, MODEL: online}, {"shop": 0.5, MODEL: 0.5}, Beta(), VECTOR.names)
    registry.put(
        blend, name="both", version="1", feature_hash=VECTOR.hash, metrics={}, data={}, seed=0, revision="test"
    )


def in_force(registry: Registry) -> str:
    """The version of the snapshot; empty where there is none yet."""
    ref = registry.deployed().online.get(MODEL)
    return ref.version if ref is not None else ""


def said_by(registry: Registry, version: str, one: DecisionLog) -> float:
    scorer = registry.load(MODEL, version, VECTOR.names, VECTOR.hash).model
    return float(scorer.score(np.array([one.vector], dtype=np.float64))[0])


async def test_a_newer_snapshot_scores_in_workers_that_run_and_is_judged_by_what_it_said(
    embedded_stream: Stream, tmp_path: Path
) -> None:
    stream = embedded_stream
    stream.environment["REGISTRY__URL"] = str(tmp_path)
    registry = Registry.at(str(tmp_path))
    stream.worker()
    await stream.send(*by_time(*bought(150), *map(charged, range(0, 120, 9))))
    await decided(stream, 150)
    await learned(stream, tmp_path)
    put_blend(registry)
    code, _, errors = await stream.command("models", "promote", "both/1", "--why", "a test")
    assert code == 0, errors
    first = registry.versions(MODEL)[-1]

    async def scored_by(version: str, numbers: range) -> bool:
        """Whether these orders' member scores are that snapshot's."""
        log = await logged(stream)
        every = [log[f"o-n{n}"] for n in numbers if f"o-n{n}" in log]
        return len(every) == len(numbers) and all(
            one.members.get(MODEL) == said_by(registry, version, one) for one in every
        )

    sent = 150

    async def comes_into_force(version: str) -> bool:
        """Sends some more orders, and looks."""
        nonlocal sent
        await stream.send(*bought(5, first=sent))
        sent += 5
        await decided(stream, sent)
        return await scored_by(version, range(sent - 5, sent))

    await until(lambda: comes_into_force(first), 30.0, lambda: "the champion does not score")
    learner = start_learner(stream, tmp_path, LEARNER__IDLE_S="1")
    await stream.send(*by_time(*bought(300, first=sent), *map(charged, range(120, sent + 280, 9))))
    sent += 300
    await decided(stream, sent)
    await until(lambda: in_force(registry) > first, 60.0, lambda: learner.said)
    await until(lambda: learner.metric("headrace_learner_average_precision") > 0, 60.0, lambda: learner.said)
    assert learner.terminate() == 0, learner.said
    newest = in_force(registry)
    await until(lambda: comes_into_force(newest), 30.0, lambda: f"{newest} does not score")
    judged = [row for row in await matured(stream) if MODEL in row.members]
    assert judged, "the scores that orders had are in `matured`"


async def test_a_champion_without_such_a_member_is_left_alone(embedded_stream: Stream, tmp_path: Path) -> None:
    stream = embedded_stream
    stream.environment["REGISTRY__URL"] = str(tmp_path)
    stream.worker()
    await stream.send(*bought(120))
    await decided(stream, 120)
    await learned(stream, tmp_path)
    await stream.send(*bought(20, first=120))
    await decided(stream, 140)
    assert {one.config for one in (await logged(stream)).values()} == {
        next(iter((await logged(stream)).values())).config
    }
