"""Every name of aiokafka that the transport uses, its private ones included, in one place.

aiokafka ships no types; here is the boundary at which mypy is told so, and the list to read before an upgrade.
"""

from typing import Any

from aiokafka import (  # type: ignore[import-untyped] # ships no types
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRebalanceListener,
    conn,
)
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType  # type: ignore[import-untyped] # same
from aiokafka.conn import AIOKafkaConnection, CloseReason, create_conn  # type: ignore[import-untyped] # same
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords  # type: ignore[import-untyped] # same
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor  # type: ignore[import-untyped] # same
from aiokafka.errors import (  # type: ignore[import-untyped] # same
    AuthenticationFailedError,
    BrokerResponseError,
    ClusterAuthorizationFailedError,
    CommitFailedError,
    ConsumerStoppedError,
    CorruptRecordException,
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    IllegalSaslStateError,
    IllegalStateError,
    IncompatibleBrokerVersion,
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTopicError,
    InvalidTxnState,
    KafkaError,
    MessageSizeTooLargeError,
    NodeNotReadyError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    ProducerClosed,
    ProducerFenced,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
    for_code,
    kafka_errors,
)
from aiokafka.helpers import create_ssl_context  # type: ignore[import-untyped] # same
from aiokafka.producer.message_accumulator import BatchBuilder  # type: ignore[import-untyped] # same
from aiokafka.protocol.abstract import AbstractType  # type: ignore[import-untyped] # same
from aiokafka.protocol.admin import DescribeConfigsRequest  # type: ignore[import-untyped] # same
from aiokafka.protocol.api import Request, RequestStruct, Response, ResponseHeader_v0  # type: ignore[import-untyped] # same
from aiokafka.protocol.commit import OffsetCommitRequest  # type: ignore[import-untyped] # same
from aiokafka.protocol.fetch import FetchRequest  # type: ignore[import-untyped] # same
from aiokafka.protocol.group import HeartbeatRequest  # type: ignore[import-untyped] # same
from aiokafka.protocol.offset import OffsetRequest  # type: ignore[import-untyped] # same
from aiokafka.protocol.types import (  # type: ignore[import-untyped] # same
    Array,
    Boolean,
    Bytes,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    String,
    TaggedFields,
)
from aiokafka.record.memory_records import MemoryRecords  # type: ignore[import-untyped] # same
from aiokafka.structs import OffsetAndMetadata, TopicPartition  # type: ignore[import-untyped] # same


class FencedInstanceIdError(BrokerResponseError):  # type: ignore[misc] # untyped base
    """Another member has joined the group under our static name. aiokafka knows no such code: `UnknownError`."""

    errno = 82
    message = "FENCED_INSTANCE_ID"
    description = "Another member has joined the group with the same instance id."


class Connection(AIOKafkaConnection):  # type: ignore[misc] # untyped base
    """Says of a connection that has just broken what it says of every other.

    uvloop answers a write to one by a RuntimeError until its reader has noticed, and nobody above takes that for an
    outage: the worker would end (aiokafka #1038).
    """

    def send(self, request: Any, expect_response: bool = True) -> Any:
        """Raises KafkaConnectionError where it is closed or about to be."""
        if self._writer is not None and self._writer.transport.is_closing():
            self.close(reason=CloseReason.CONNECTION_BROKEN)
        return super().send(request, expect_response)


conn.AIOKafkaConnection = Connection  # of which create_conn makes its own
kafka_errors[FencedInstanceIdError.errno] = FencedInstanceIdError  # its coordinator then tells it by name

__all__ = [
    "READ_COMMITTED",
    "AIOKafkaClient",
    "AIOKafkaConsumer",
    "AIOKafkaProducer",
    "AbstractType",
    "Array",
    "AuthenticationFailedError",
    "BatchBuilder",
    "Boolean",
    "Bytes",
    "ClusterAuthorizationFailedError",
    "CommitFailedError",
    "CompactArray",
    "CompactString",
    "ConnectionGroup",
    "ConsumerRebalanceListener",
    "ConsumerStoppedError",
    "CoordinationType",
    "CorruptRecordException",
    "DescribeConfigsRequest",
    "FencedInstanceIdError",
    "FetchRequest",
    "FetchResult",
    "GroupAuthorizationFailedError",
    "GroupCoordinatorNotAvailableError",
    "HeartbeatRequest",
    "IllegalSaslStateError",
    "IllegalStateError",
    "IncompatibleBrokerVersion",
    "Int16",
    "Int32",
    "Int64",
    "InvalidProducerEpoch",
    "InvalidProducerIdMapping",
    "InvalidTopicError",
    "InvalidTxnState",
    "KafkaError",
    "MemoryRecords",
    "MessageSizeTooLargeError",
    "NoOffsetForPartitionError",
    "NodeNotReadyError",
    "OffsetAndMetadata",
    "OffsetCommitRequest",
    "OffsetOutOfRangeError",
    "OffsetRequest",
    "PartitionRecords",
    "ProducerClosed",
    "ProducerFenced",
    "Request",
    "RequestStruct",
    "Response",
    "ResponseHeader_v0",
    "RoundRobinPartitionAssignor",
    "SaslAuthenticationFailed",
    "Schema",
    "String",
    "TaggedFields",
    "TopicAuthorizationFailedError",
    "TopicPartition",
    "TransactionalIdAuthorizationFailed",
    "UnknownTopicOrPartitionError",
    "UnsupportedSaslMechanismError",
    "create_conn",
    "create_ssl_context",
    "for_code",
]
