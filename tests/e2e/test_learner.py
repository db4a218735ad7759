"""`headrace learn` on real brokers: labels when due, vectors as they were, and the same models after any death."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from features.shop import shop_definitions
from models.registry import Registry
from streams.data.record import Record
from tests.support.archive import decided
from tests.support.events import order
from tests.support.learner import (
    MATURE_MS,
    MODEL,
    label,
    learned,
    logged,
    matured,
    snapshots,
    start_learner,
)
from tests.support.worker import Stream, Worker, delete_topics, until

EVERY_MS = 1_000
VECTOR = shop_definitions().vector


def bought(count: int, first: int = 0) -> list[Record]:
    """An order a second, of 20 users in turn."""
    return [
        order(f"n{n}", f"u{n % 20}", n * EVERY_MS, value=round(5 + n * 7919 % 1000 / 10, 2))
        for n in range(first, first + count)
    ]


def charged(n: int, later_ms: int = 30_500) -> Record:
    return label("chargeback", f"o-n{n}", n * EVERY_MS + later_ms, user=f"u{n % 20}")


def reviewed(n: int, later_ms: int, *, fraud: bool) -> Record:
    return label("review_outcome", f"o-n{n}", n * EVERY_MS + later_ms, user=f"u{n % 20}", fraud=fraud)


def by_time(*records: Record) -> list[Record]:
    return sorted(records, key=lambda record: record.timestamp_ms or 0)


async def test_labels_are_due_when_known_and_vectors_are_those_of_the_decision(stream: Stream, tmp_path: Path) -> None:
    stream.worker()
    frauds = list(range(3, 200, 7))
    await stream.send(*by_time(*bought(200), *map(charged, frauds)))
    await decided(stream, 200)
    await learned(stream, tmp_path)
    rows, log = await matured(stream), await logged(stream)
    said = {row.order_id: row for row in rows}
    assert len(said) == len(rows), "nothing was said twice"
    end_ms = max(one.at_ms for one in log.values()) + 30_500
    assert {one for one, row in said.items() if row.label} == {
        f"o-n{n}" for n in frauds if n * EVERY_MS + 30_500 <= end_ms
    }
    for row in rows:
        one = log[row.order_id]
        assert (row.vector, row.score, row.members, row.feature_hash) == (
            one.vector,
            one.score,
            one.members,
            one.feature_hash,
        )
        assert row.due_ms == row.at_ms + (30_500 if row.label else MATURE_MS)
        assert row.label_type == ("chargeback" if row.label else None)
    newest = max(snapshots(tmp_path))
    registry = Registry.at(str(tmp_path))
    assert registry.manifest(MODEL, newest).data["rows"] == len(rows)
    assert registry.deployed().number == 0, "no champion has such a member"


async def test_killed_again_and_again_it_learns_what_one_clean_pass_does(stream: Stream, tmp_path: Path) -> None:
    dice, sent = random.Random(11), asyncio.Event()
    worker = stream.worker(0)
    frauds = sorted(dice.sample(range(600), 80))
    every = by_time(*bought(600), *map(charged, frauds), *(reviewed(n, 45_000, fraud=False) for n in frauds[::5]))

    async def feed() -> None:
        for first in range(0, len(every), 40):
            await stream.send(*every[first : first + 40])
            await asyncio.sleep(0.4)
        sent.set()

    feeding = asyncio.create_task(feed())
    for kill in range(5):
        learner = start_learner(stream, tmp_path / "killed")
        await asyncio.sleep(dice.uniform(3.0, 6.0))
        learner.kill()
        if kill == 2:
            worker.kill()
            worker = stream.worker(0)
    await feeding
    await decided(stream, 600)
    await stream.settled()
    await learned(stream, tmp_path / "killed")
    rows, kept = await matured(stream), snapshots(tmp_path / "killed")
    await delete_topics(stream, ["matured"])
    await make_matured(stream)
    await learned(stream, tmp_path / "clean")
    assert await matured(stream) == rows
    assert len(rows) > 500
    clean = snapshots(tmp_path / "clean")
    shared = clean.keys() & kept.keys()
    assert len(shared) >= len(rows) // 50
    assert {version: clean[version] for version in shared} == {version: kept[version] for version in shared}
    assert max(clean) == max(kept)


async def make_matured(stream: Stream) -> None:
    from streams.data.topics import create_topics

    await create_topics(stream.settings())


async def test_a_label_that_is_taken_back_is_corrected_when_that_is_known(
    embedded_stream: Stream, tmp_path: Path
) -> None:
    stream = embedded_stream
    stream.worker()
    labels = [
        charged(1, 5_000),
        reviewed(1, 9_000, fraud=False),  # before it is mature: good when it is
        charged(2, 5_000),
        reviewed(2, 70_000, fraud=False),  # after: at once
        reviewed(3, 5_000, fraud=False),  # no label before it is mature
        charged(4, 80_000),  # it was good by then
        label("refund", "o-n5", 9_000),  # says nothing of fraud
    ]
    await stream.send(*by_time(*bought(120), *labels))
    await decided(stream, 120)
    await learned(stream, tmp_path)
    said: dict[str, list[tuple[int, int, int | None, str | None]]] = {}
    for row in await matured(stream):
        said.setdefault(row.order_id, []).append((row.due_ms - row.at_ms, row.label, row.was, row.label_type))
    review = "review_outcome"
    assert said["o-n1"] == [(5_000, 1, None, "chargeback"), (60_000, 0, 1, review)]
    assert said["o-n2"] == [(5_000, 1, None, "chargeback"), (70_000, 0, 1, review)]
    assert said["o-n3"] == [(60_000, 0, None, review)]
    assert said["o-n4"] == [(60_000, 0, None, None), (80_000, 1, 0, "chargeback")]
    assert said["o-n5"] == [(60_000, 0, None, None)]


async def with_another(stream: Stream, place: Path, one: Worker) -> tuple[Worker, Worker]:
    """A second process: who learns then, and who stands by. The group decides anew when somebody joins."""
    both = [one, start_learner(stream, place, LEARNER__IDLE_S="3")]

    def shared_out() -> bool:
        return "standing by" in one.said + both[1].said and sorted(map(_active, both)) == [0, 1]

    await until(shared_out, 60.0, lambda: f"{one.said}\n{both[1].said}")
    standing_by, learning = sorted(both, key=_active)
    return learning, standing_by


def _active(learner: Worker) -> float:
    return learner.metric("headrace_learner_active")


async def test_one_learns_and_another_stands_by_until_it_is_needed(embedded_stream: Stream, tmp_path: Path) -> None:
    stream = embedded_stream
    stream.worker()
    one = start_learner(stream, tmp_path, LEARNER__IDLE_S="3")
    await until(lambda: one.metric("headrace_learner_active") == 1, 40.0, lambda: one.said)
    one, other = await with_another(stream, tmp_path, one)
    await stream.send(*bought(100))
    await until(lambda: one.metric("headrace_learner_due_total") >= 39, 60.0, lambda: one.said)
    one.kill()
    await stream.send(*bought(100, first=100))
    await until(lambda: other.metric("headrace_learner_due_total") >= 100, 60.0, lambda: other.said)
    rows = await matured(stream)
    assert len({row.order_id for row in rows}) == len(rows)
    assert other.terminate() == 0, other.said


async def test_one_that_stood_still_and_wakes_does_no_harm(stream: Stream, tmp_path: Path) -> None:
    stream.worker()
    one = start_learner(stream, tmp_path / "both", LEARNER__IDLE_S="3")
    await stream.send(*by_time(*bought(150), *map(charged, range(0, 120, 11))))
    await until(lambda: one.metric("headrace_learner_due_total") > 50, 60.0, lambda: one.said)
    one, other = await with_another(stream, tmp_path / "both", one)
    one.child.stop()
    await stream.send(*by_time(*bought(150, first=150), *map(charged, range(120, 260, 11))))
    await until(lambda: other.metric("headrace_learner_active") == 1, 60.0, lambda: other.said)
    one.child.cont()
    await stream.send(*by_time(*bought(100, first=300), *map(charged, range(260, 360, 11))))
    await decided(stream, 400)
    total = 340 + 2  # mature by the end, and frauds 348 and 359
    await until(
        lambda: max(one.metric("headrace_learner_lag_records"), other.metric("headrace_learner_lag_records")) == 0,
        60.0,
        lambda: f"{one.said}\n{other.said}",
    )

    async def all_said() -> bool:
        return len(await matured(stream)) >= total

    await until(all_said, 60.0, lambda: f"want {total}:\n{one.said}\n{other.said}")
    assert (one.terminate(), other.terminate()) == (0, 0)
    rows, kept = await matured(stream), snapshots(tmp_path / "both")
    await delete_topics(stream, ["matured"])
    await make_matured(stream)
    await learned(stream, tmp_path / "clean")
    assert await matured(stream) == rows
    clean = snapshots(tmp_path / "clean")
    by_key = {(about["due_ms"], about["event_id"]): (model, about["state"]) for model, about in clean.values()}
    for model, about in kept.values():  # what was written twice may have moved the offsets
        if (key := (about["due_ms"], about["event_id"])) in by_key:
            assert by_key[key] == (model, about["state"])


async def test_a_broker_that_stands_still_is_waited_for(kafka_stream: Stream, kafka: object, tmp_path: Path) -> None:
    stream = kafka_stream
    stream.worker()
    learner = start_learner(stream, tmp_path, LEARNER__IDLE_S="20")
    await stream.send(*by_time(*bought(100), *map(charged, range(0, 60, 9))))
    await until(lambda: learner.metric("headrace_learner_due_total") > 0, 60.0, lambda: learner.said)
    kafka.stop()  # type: ignore[attr-defined]
    await asyncio.sleep(12)
    kafka.cont()  # type: ignore[attr-defined]
    await stream.send(*by_time(*bought(100, first=100), *map(charged, range(60, 160, 9))))
    await decided(stream, 200)
    await until(lambda: learner.metric("headrace_learner_due_total") >= 143, 90.0, lambda: learner.said)
    assert learner.terminate() == 0, learner.said
    rows = await matured(stream)
    await delete_topics(stream, ["matured"])
    await make_matured(stream)
    await learned(stream, tmp_path / "clean")
    assert await matured(stream) == rows
    assert len(rows) == 140 + 3  # mature by the end, and the frauds among the others


async def test_a_registry_that_is_away_is_waited_for(embedded_stream: Stream, tmp_path: Path) -> None:
    stream, place = embedded_stream, tmp_path / "registry"
    stream.worker()
    learner = start_learner(stream, place, LEARNER__IDLE_S="1")
    await stream.send(*bought(120))
    await until(lambda: learner.metric("headrace_learner_snapshots_total") > 0, 60.0, lambda: learner.said)
    (place / MODEL).rename(tmp_path / "away")
    (place / MODEL).write_text("in the way")
    await stream.send(*bought(120, first=120))
    await until(lambda: learner.metric("headrace_learner_registry_errors_total") > 0, 60.0, lambda: learner.said)
    assert learner.child.running
    (place / MODEL).unlink()
    (tmp_path / "away").rename(place / MODEL)
    await until(lambda: max(snapshots(place)) >= f"{150:020d}", 60.0, lambda: learner.said)
    assert learner.terminate() == 0, learner.said


async def test_without_a_registry_it_says_which_variable(embedded_stream: Stream) -> None:
    code, _, errors = await embedded_stream.command("learn")
    assert code == 2
    assert "HEADRACE_REGISTRY__URL" in errors


async def test_an_unknown_model_is_named_with_those_that_there_are(embedded_stream: Stream, tmp_path: Path) -> None:
    code, _, errors = await embedded_stream.command("learn", "--models", "oracle", REGISTRY__URL=str(tmp_path))
    assert code == 2
    assert "online model 'oracle': there are online_logistic" in errors


async def test_a_column_that_the_vector_lacks_is_named(embedded_stream: Stream, tmp_path: Path) -> None:
    columns = "order_amount, moon"
    code, _, errors = await embedded_stream.command("learn", REGISTRY__URL=str(tmp_path), LEARNER__COLUMNS=columns)
    assert code == 2
    assert "column 'moon': the vector has no such column (HEADRACE_LEARNER__COLUMNS)" in errors


async def test_other_columns_are_another_model_which_begins_anew(embedded_stream: Stream, tmp_path: Path) -> None:
    stream = embedded_stream
    stream.worker()
    await stream.send(*bought(130))
    await decided(stream, 130)
    await learned(stream, tmp_path)
    before = snapshots(tmp_path)
    await stream.send(*bought(60, first=130))
    await decided(stream, 190)
    await learned(stream, tmp_path, LEARNER__COLUMNS="order_amount,order_hour")
    after = snapshots(tmp_path)
    assert after.keys() > before.keys()
    assert {version: after[version] for version in before} == before, "what is kept is never changed"
    newest = Registry.at(str(tmp_path)).load(MODEL, max(after), VECTOR.names, VECTOR.hash).model
    assert set(newest.reads) <= {"order_amount", "order_hour"}
    assert newest.reads


async def test_a_topic_made_anew_is_named_and_no_snapshot_is_mixed_up(embedded_stream: Stream, tmp_path: Path) -> None:
    stream = embedded_stream
    stream.worker()
    await stream.send(*bought(100))
    await decided(stream, 100)
    await learned(stream, tmp_path)
    before = snapshots(tmp_path)
    await delete_topics(stream, ["matured"])
    await make_matured(stream)
    second = start_learner(stream, tmp_path, "--once")
    assert await second.ended() == 2
    assert "the topic was made anew or this is another cluster" in second.said
    assert snapshots(tmp_path) == before
