"""What the transport relies on inside Faust, mode and aiokafka: every private name, and what it must be like.

A public interface may be trusted between versions; none of these may. The versions are pinned; an upgrade that changes
one of them fails here, by name, before it loses records somewhere else.
"""

import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import faust
import pytest
from aiokafka.consumer.fetcher import Fetcher, FetchError  # type: ignore[import-untyped]  # it has no types
from aiokafka.consumer.group_coordinator import GroupCoordinator  # type: ignore[import-untyped]
from aiokafka.consumer.subscription_state import (  # type: ignore[import-untyped]
    SubscriptionState,
    TopicPartitionState,
)
from aiokafka.producer.message_accumulator import (  # type: ignore[import-untyped]
    MessageAccumulator,
    MessageBatch,
)
from aiokafka.producer.sender import Sender  # type: ignore[import-untyped]
from aiokafka.producer.transaction_manager import TransactionManager  # type: ignore[import-untyped]
from faust.app.base import App
from faust.serializers.schemas import Schema
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.conductor import Conductor
from faust.transport.consumer import Consumer
from faust.transport.consumer import Fetcher as FaustFetcher
from faust.transport.drivers import aiokafka as driver
from faust.types import ConsumerMessage
from mode.threads import QueueServiceThread, ServiceThread
from mode.utils.queues import FlowControlEvent

from streams.transport.aio import (
    READ_COMMITTED,
    AIOKafkaClient,
    AIOKafkaConsumer,
    AIOKafkaProducer,
    BatchBuilder,
    FetchResult,
    HeartbeatRequest,
    MemoryRecords,
    OffsetCommitRequest,
    PartitionRecords,
    TopicPartition,
)
from streams.transport.app import App as BatchApp
from streams.transport.app import BatchProducer, BatchTransport, NoTables, PassThrough, make_app
from streams.transport.consumer import BatchConsumer
from streams.transport.fetching import BatchConsumerThread
from streams.transport.link import Link
from streams.transport.profile import KAFKA
from tests.unit.streams.transport.batches import batch


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def source(thing: Any) -> str:
    return inspect.getsource(thing)


def test_the_versions_are_the_ones_that_were_measured() -> None:
    assert (version("faust-streaming"), version("aiokafka")) == ("0.15.3", "0.14.0")


OVERRIDDEN = [
    (BatchConsumer, driver.Consumer, "_new_consumer_thread", ["self"]),
    (BatchConsumer, Consumer, "_drain_messages", ["self", "fetcher"]),
    (BatchConsumer, Consumer, "getmany", ["self", "timeout"]),
    (BatchConsumer, Consumer, "_new_offset", ["self", "tp"]),
    (BatchConsumer, Consumer, "_filter_tps_with_pending_acks", ["self", "topics"]),
    (BatchConsumer, Consumer, "on_buffer_full", ["self", "tp"]),
    (BatchConsumer, Consumer, "on_buffer_drop", ["self", "tp"]),
    (BatchConsumer, Consumer, "wait_empty", ["self"]),
    (BatchConsumer, Consumer, "on_partitions_revoked", ["self", "revoked"]),
    (BatchConsumer, Consumer, "on_partitions_assigned", ["self", "assigned", "generation_id"]),
    (BatchConsumer, Consumer, "perform_seek", ["self"]),
    (BatchConsumer, driver.Consumer, "verify_event_path", ["self", "now", "tp"]),
    (BatchConsumerThread, driver.AIOKafkaConsumerThread, "_create_worker_consumer", ["self", "transport"]),
    (BatchConsumerThread, driver.AIOKafkaConsumerThread, "_commit", ["self", "offsets"]),
    (BatchConsumerThread, driver.AIOKafkaConsumerThread, "on_start", ["self"]),
    (BatchConsumerThread, driver.AIOKafkaConsumerThread, "__post_init__", ["self"]),
    (BatchProducer, driver.Producer, "_settings_auth", ["self"]),
    (BatchApp, App, "_new_transport", ["self"]),
    (BatchApp, App, "_new_producer_transport", ["self"]),
    (BatchApp, App, "_create_directories", ["self"]),
    (NoTables, TableManager, "on_start", ["self"]),
]


@pytest.mark.parametrize(
    ("ours", "theirs", "name", "takes"), OVERRIDDEN, ids=[f"{o.__name__}.{n}" for o, _, n, _ in OVERRIDDEN]
)
def test_what_is_overridden_is_there_and_is_called_as_before(
    ours: Any, theirs: Any, name: str, takes: list[str]
) -> None:
    assert parameters(getattr(theirs, name)) == takes
    assert name in vars(ours)


def test_a_schema_compiles_to_the_function_that_the_conductor_calls() -> None:
    assert parameters(Schema.compile)[:2] == ["self", "app"]
    assert "compile" in vars(PassThrough)
    assert "self.schema.compile(" in source(faust.Topic._compile_decode)


def test_faust_still_makes_its_transport_consumer_and_producer_where_ours_are_put() -> None:
    assert (BatchTransport.Consumer, BatchTransport.Producer) == (BatchConsumer, BatchProducer)
    assert "self._new_transport()" in source(inspect.getattr_static(App, "transport").fget)
    assert "consumer._drain_messages(self)" in source(FaustFetcher)


def test_an_agent_is_made_as_stock_faust_makes_one_and_not_announced_to_autodiscovery() -> None:
    text = source(App.agent)
    for step in ("on_error=self._on_agent_error", "self.agents[agent.name] = agent", "venusian.attach(agent"):
        assert step in text
    app = make_app("group", Link("localhost:9092"), KAFKA)

    @app.agent(app.batches("orders"), name="orders")
    async def agent(stream: Any) -> None: ...

    assert app.agents == {"orders": agent}
    assert not hasattr(agent, "__venusian_callbacks__")


class TestAcknowledging:
    """Stock acknowledgements fill these three; ours read them."""

    def test_an_acknowledgement_marks_its_offset_and_wakes_who_waits(self) -> None:
        text = source(Consumer.ack)
        assert "acked_index.add(offset)" in text
        assert "self._acked_index[tp]" in text
        assert "notify(self._waiting_for_ack)" in text
        assert "committed is None or offset >= committed" in text

    def test_the_cython_stream_does_the_same_or_is_not_there(self) -> None:
        pyx = inspect.getsourcefile(faust)
        assert pyx is not None
        from pathlib import Path

        text = (Path(pyx).parent / "_cython" / "streams.pyx").read_text()
        for line in ("consumer._acked_index[tp]", "acked_index.add(offset)", "notify(consumer._waiting_for_ack)"):
            assert line in text

    def test_a_commit_asks_for_pending_partitions_then_offsets_then_the_thread(self) -> None:
        assert "self._filter_tps_with_pending_acks(topics)" in source(Consumer.force_commit)
        assert "self._new_offset(tp)" in source(Consumer._filter_committable_offsets)
        assert "await self._commit(committable_offsets)" in source(Consumer._commit_offsets)

    def test_a_message_carries_what_the_streams_read(self) -> None:
        takes = parameters(ConsumerMessage.__init__)
        assert takes[1:13] == [
            "topic", "partition", "offset", "timestamp", "timestamp_type", "headers",
            "key", "value", "checksum", "serialized_key_size", "serialized_value_size", "tp",
        ]  # fmt: skip
        assert "generation_id" in takes


class TestRebalance:
    def test_a_revocation_stops_the_flow_and_waits_until_all_is_finished_before_it_tells_the_app(self) -> None:
        text = source(App._on_partitions_revoked)
        order = ["consumer.stop_flow", "self.flow_control.suspend", "self.flow_control.clear", "_consumer_wait_empty"]
        assert sorted(order, key=text.index) == order

    def test_after_an_assignment_the_last_step_before_the_flow_resumes_is_the_seek(self) -> None:
        text = source(Recovery._resume_streams)
        order = ["consumer.resume_partitions", "consumer.perform_seek", "self.completed.set", "consumer.resume_flow"]
        assert sorted(order, key=text.index) == order

    def test_a_stop_waits_until_all_is_finished(self) -> None:
        assert "wait_empty" in source(App._consumer_wait_empty)
        assert "_consumer_wait_empty" in source(App._stop_consumer)

    def test_the_conductor_has_the_index_and_the_lock_that_say_whether_it_would_wait(self) -> None:
        text = source(Conductor.__init__)
        assert "self._tp_index" in text
        assert "self._tp_to_callback_lock" in text
        assert parameters(FlowControlEvent.is_active) == ["self"]

    def test_the_consumers_thread_has_a_loop_of_its_own(self) -> None:
        assert issubclass(BatchConsumerThread, QueueServiceThread)
        text = source(ServiceThread.__init__)
        assert "self.thread_loop = thread_loop or" in text
        assert "self._close_thread_loop_on_stop = thread_loop is None" in text
        assert "if self._close_thread_loop_on_stop:" in source(ServiceThread._start_thread)


class TestFetching:
    """What `BatchConsumerThread._drain` and `records.Fetched` use of aiokafka's fetcher."""

    def test_the_fetcher_keeps_results_by_partition_and_wakes_waiters(self) -> None:
        text = source(Fetcher.__init__)
        for name in ("_records", "_wait_consume_future", "_prefetch_backoff", "_subscriptions", "_closed"):
            assert f"self.{name} = " in text
        assert parameters(Fetcher._create_fetch_waiter) == ["self"]
        assert parameters(Fetcher._notify) == ["self", "future"]
        assert parameters(Fetcher._select_read_replica) == ["self", "tp"]
        assert "assignment.tps" in source(Fetcher._get_actions_per_node)

    def test_a_fetch_says_whether_it_brought_something_and_holds_its_node_until_it_ends(self) -> None:
        assert parameters(Fetcher._proc_fetch_request) == ["self", "assignment", "node_id", "request"]
        text = source(Fetcher._fetch_requests_routine)
        assert "self._proc_fetch_request(assignment, node_id, request)" in text
        assert "self._in_flight.discard(node_id)" in text
        assert "elif node_id in self._in_flight:" in source(Fetcher._get_actions_per_node)
        assert "for waiter in self._fetch_waiters:" in text

    def test_its_own_draining_is_what_ours_was_written_from(self) -> None:
        text = source(Fetcher.fetched_records)
        for line in (
            "if self._subscriptions.reassignment_in_progress",
            "if not self._subscriptions.is_assigned(tp)",
            "del self._records[tp]",
            "self._notify(self._wait_consume_future)",
            "res_or_error.check_raise()",
        ):
            assert line in text

    def test_a_result_knows_whether_it_still_counts_and_moves_the_position_to_the_records_next_offset(self) -> None:
        assert parameters(FetchResult.check_assignment) == ["self", "tp"]
        assert "self._partition_records.next_fetch_offset" in source(FetchResult._update_position)
        assert parameters(FetchError.check_raise) == ["self"]

    def test_partition_records_unpack_lazily_and_by_the_parts_that_are_used(self) -> None:
        tp = TopicPartition("orders", 0)
        unread = PartitionRecords(tp, MemoryRecords(batch(0, [b"v"])), [(7, 0)], 0, None, None, True, READ_COMMITTED)
        assert unread.next_fetch_offset == 0
        assert unread._records.has_next()
        assert (unread._tp, unread._check_crcs, unread._isolation_level) == (tp, True, READ_COMMITTED)
        unread._consume_aborted_up_to(0)
        assert unread._aborted_producers == {7}
        assert parameters(unread._contains_abort_marker) == ["next_batch"]

    def test_a_record_batch_of_the_c_parser_has_what_is_read_of_it(self) -> None:
        parsed = MemoryRecords(batch(5, [b"a", b"b"], producer=3, transactional=True)).next_batch()
        assert parsed.validate_crc()
        assert (parsed.base_offset, parsed.next_offset, parsed.producer_id) == (5, 7, 3)
        assert (parsed.is_transactional, parsed.is_control_batch) == (True, False)
        assert [(r.offset, r.key, r.value, r.timestamp, list(r.headers)) for r in parsed] == [
            (5, b"k", b"a", 1_000, []),
            (6, b"k", b"b", 1_000, []),
        ]

    def test_the_subscription_tells_assignment_positions_and_idle_time(self) -> None:
        assert parameters(SubscriptionState.fetch_context) == ["self"]
        text = source(TopicPartitionState)
        for name in ("highwater", "lso", "has_valid_position", "position"):
            assert name in text

    def test_a_consumer_takes_the_settings_and_has_the_parts(self) -> None:
        takes = parameters(AIOKafkaConsumer.__init__)
        for name in (
            "group_instance_id", "fetch_max_wait_ms", "fetch_max_bytes", "max_partition_fetch_bytes",
            "max_poll_interval_ms", "rebalance_timeout_ms", "isolation_level",
        ):  # fmt: skip
            assert name in takes
        text = source(AIOKafkaConsumer)
        assert "self._fetcher = Fetcher(" in text
        assert "self._subscription = " in text
        assert "self._closed" in text
        assert "self._coordinator = GroupCoordinator(" in text
        assert parameters(GroupCoordinator.fetch_committed_offsets) == ["self", "partitions"]
        assert parameters(GroupCoordinator.check_errors) == ["self"]


class TestMembership:
    """What `membership.py` replaces: how a static member asks, and what becomes of the answer."""

    def test_all_that_a_coordinator_asks_goes_through_one_method(self) -> None:
        assert parameters(GroupCoordinator._send_req) == ["self", "request"]
        assert "self._group_instance_id = " in source(GroupCoordinator.__init__)
        for method in (GroupCoordinator._do_heartbeat, GroupCoordinator._do_commit_offsets):
            assert "await self._send_req(request)" in source(method)

    def test_heartbeats_and_commits_still_lack_the_name(self) -> None:
        assert parameters(HeartbeatRequest.__init__) == ["self", "group", "generation_id", "member_id"]
        assert "instance" not in source(OffsetCommitRequest)

    def test_a_heartbeat_that_is_refused_for_another_reason_than_those_it_knows_reaches_the_next_fetch(self) -> None:
        assert "Unexpected exception in heartbeat task: {error_type()!r}" in source(GroupCoordinator._do_heartbeat)
        assert "self._pending_exception = exc" in source(GroupCoordinator._push_error_to_user)
        assert "raise exc" in source(GroupCoordinator.check_errors)

    def test_a_static_member_that_ends_does_not_leave(self) -> None:
        assert "self._group_instance_id is None" in source(GroupCoordinator._maybe_leave_group)


class TestProducing:
    """What `packing` and `publisher.abandon` use of aiokafka's producer."""

    def test_a_builder_is_filled_through_its_c_builder_and_told_its_count(self) -> None:
        builder = BatchBuilder(1_000, 0)
        assert builder._builder.append(0, 5, b"k", b"v", []) is not None
        assert builder._builder.append(1, 5, b"k", b"v" * 2_000, []) is None
        builder._relative_offset = 1
        builder.close()
        assert builder.record_count() == 1
        assert builder.closed()

    def test_the_first_record_of_a_builder_is_taken_whatever_its_size(self) -> None:
        assert BatchBuilder(1_000, 0)._builder.append(0, 5, b"k", b"v" * 50_000, []) is not None

    def test_a_send_gives_a_future_of_the_batch_and_waits_for_the_batch_before(self) -> None:
        assert parameters(AIOKafkaProducer.send_batch) == ["self", "batch", "topic", "partition"]
        assert "asyncio.shield(batch.future)" in source(MessageAccumulator.add_batch)

    def test_a_producer_can_be_ended_without_a_flush(self) -> None:
        text = source(AIOKafkaProducer.__init__)
        for part in ("self._message_accumulator = ", "self._sender = ", "self._txn_manager = ", "self.client = "):
            assert part in text
        assert "self._closed" in source(AIOKafkaProducer.stop)
        assert parameters(MessageAccumulator.fail_all) == ["self", "exception"]
        for name in ("_batches", "_pending_batches"):
            assert f"self.{name} = " in source(MessageAccumulator.__init__)
        assert "self._drain_waiter = " in source(MessageBatch.__init__)
        assert "_transaction_waiter" in source(TransactionManager.__init__)
        assert parameters(Sender._fail_all) == ["self", "task"]
        assert "self._sender_task.add_done_callback(self._fail_all)" in source(Sender.start)
        assert parameters(MessageAccumulator.reenqueue) == ["self", "batch"]
        assert "self._pending_batches.remove(batch)" in source(MessageAccumulator._pop_batch)

    def test_fencing_leaves_the_sender_as_itself_and_anything_else_wrapped_with_its_cause(self) -> None:
        text = source(Sender._sender_routine)
        assert "ProducerFenced" in text
        assert "from exc" in text


def test_a_client_finds_leaders_coordinators_and_any_node() -> None:
    assert parameters(AIOKafkaClient.send) == ["self", "node_id", "request", "group"]
    assert parameters(AIOKafkaClient.coordinator_lookup) == ["self", "coordinator_type", "coordinator_key"]
    assert parameters(AIOKafkaClient.get_random_node) == ["self"]
    assert parameters(AIOKafkaClient.force_metadata_update) == ["self"]
