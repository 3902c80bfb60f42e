"""Apache Kafka behind the bus port, through kafka-python. The only module that knows the client.

kafka-python runs an I/O thread per client: heartbeats go on between polls, and rebalance listeners run on that thread
while the polling thread waits in `poll`. A commit from a listener is therefore sent there and awaited by the listener.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.structs import OffsetAndMetadata

from harden.bus.layout import Layout, layouts, size_of
from harden.bus.ports import ExclusiveProducer, GroupConsumer, Incoming, LogReader, OnDone, Outgoing, Partition, Producer
from harden.config import KafkaSettings
from harden.domain.errors import FencedError, PoisonError, SetupError, TransientError
from harden.topics import CATALOGUE, MIB, Topic

# Enough for one bout with its answers, or several small messages, in one request.
BATCH_BYTES = 256 * 1024
FETCH_MAX_BYTES = 32 * MIB
# A fetch returns with the first byte; this is only how long it stays open when nothing comes. Short, because partitions
# that are resumed or newly assigned, commits and questions for offsets wait for the open fetch to come back.
FETCH_WAIT_MS = 100
# An abandoned transaction holds back readers for at most this long.
TRANSACTION_TIMEOUT_MS = 15_000
RETRY_BACKOFF_MS = 50
RECONNECT_MAX_MS = 2_000
CLOSE_TIMEOUT_S = 5.0
COMMIT_TIMEOUT_MS = 10_000
QUERY_TIMEOUT_MS = 10_000
HEARTBEAT_MS = 500
# Between these a worker may notice that it should stop.
REBALANCE_POLL_MS = 2_000
# So that a client that cannot poll does not spin.
POLL_FAILED_WAIT_S = 0.1

_FENCED = (kafka_errors.ProducerFencedError, kafka_errors.InvalidProducerEpochError)
_MEMBERSHIP = (
    kafka_errors.CommitFailedError,
    kafka_errors.RebalanceInProgressError,
    kafka_errors.IllegalGenerationError,
    kafka_errors.UnknownMemberIdError,
)
_log = structlog.get_logger()


class KafkaBus:
    """The bus port over the brokers in the settings. SetupError where no broker answers."""

    def __init__(self, settings: KafkaSettings, catalogue: Iterable[Topic] = CATALOGUE) -> None:
        self._settings = settings
        self._layouts = {layout.name: layout for layout in layouts(catalogue)}
        self._common: dict[str, Any] = {
            "bootstrap_servers": settings.bootstrap_servers.split(","),
            "bootstrap_timeout_ms": int(settings.connect_timeout_s * 1000),
            "retry_backoff_ms": RETRY_BACKOFF_MS,
            "reconnect_backoff_max_ms": RECONNECT_MAX_MS,
        }
        with _without_log():
            self._admin = self._open(KafkaAdminClient, client_id="harden-admin")

    def producer(self, *, client_id: str) -> Producer:
        return _Producer(self._open(KafkaProducer, **self._producing(client_id)), self._layouts, self._settings)

    def exclusive_producer(self, *, client_id: str, exclusive_name: str) -> ExclusiveProducer:
        client = self._open(
            KafkaProducer,
            transactional_id=exclusive_name,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            **self._producing(client_id),
        )
        with _translated(f"taking over as {exclusive_name!r}"):
            client.init_transactions()
        return _ExclusiveProducer(client, self._layouts, self._settings, exclusive_name)

    def group_consumer(
        self,
        topics: Sequence[str],
        *,
        group: str,
        client_id: str,
        on_revoked: Callable[[frozenset[Partition]], None],
    ) -> GroupConsumer:
        session_ms = int(self._settings.session_timeout_s * 1000)
        client = self._open(
            KafkaConsumer,
            group_id=group,
            partition_assignment_strategy=[CooperativeStickyAssignor],
            session_timeout_ms=session_ms,
            # A rebalance is noticed with a heartbeat, so this is also how long the others wait for this member.
            heartbeat_interval_ms=min(HEARTBEAT_MS, session_ms // 3),
            max_poll_interval_ms=int(self._settings.max_poll_interval_s * 1000),
            **self._consuming(client_id),
        )
        _partitions_of(client, topics)
        return _GroupConsumer(client, topics, on_revoked)

    def log_reader(self, topics: Sequence[str], *, client_id: str, start: Mapping[Partition, int] | None = None) -> LogReader:
        client = self._open(KafkaConsumer, group_id=None, **self._consuming(client_id))
        return _LogReader(client, _partitions_of(client, topics), start or {})

    def create_topics(self) -> list[str]:
        with _translated("listing topics"):
            existing = set(self._admin.list_topics())
        missing = [layout for name, layout in self._layouts.items() if name not in existing]
        if not missing:
            return []
        wanted = {
            layout.name: {
                "num_partitions": layout.num_partitions,
                "replication_factor": self._settings.replication_factor,
                "configs": dict(layout.configs),
            }
            for layout in missing
        }
        with _translated("creating topics"):
            try:
                self._admin.create_topics(wanted, wait_for_metadata=True)
            except kafka_errors.TopicAlreadyExistsError:
                # Another process creates them at the same time; what matters is that they are there.
                self._admin.wait_for_topics(list(wanted))
            except kafka_errors.InvalidReplicationFactorError as error:
                raise SetupError(
                    f"topics cannot be created with {self._settings.replication_factor} replicas ({error.args}); "
                    "set HARDEN_KAFKA__REPLICATION_FACTOR to at most the number of brokers"
                ) from error
        return [layout.name for layout in missing]

    def check_topics(self) -> None:
        with _translated("looking at the topics"):
            found = {topic["name"]: topic for topic in self._admin.describe_topics()}
            present = [name for name in self._layouts if name in found]
            resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in present]
            described = self._admin.describe_configs(resources, config_filter="all") if resources else {}
        configs = {name: values for by_name in described.values() for name, values in by_name.items()}
        problems = [f"{name} is missing" for name in self._layouts if name not in found]
        for name in present:
            problems += _differences(self._layouts[name], len(found[name]["partitions"]), configs.get(name, {}))
        if problems:
            raise SetupError(
                f"topics at {self._settings.bootstrap_servers} are not as they must be: {'; '.join(problems)}. "
                "Missing ones are created with `harden topics create`; set the others right with kafka-configs.sh and "
                "kafka-topics.sh, or delete them where their content may go"
            )

    def close(self) -> None:
        self._admin.close()

    def _open(self, client: Callable[..., Any], **options: Any) -> Any:
        try:
            return client(**self._common, **options)
        except (kafka_errors.KafkaTimeoutError, kafka_errors.KafkaConnectionError) as error:
            raise SetupError(
                f"no Kafka broker answers at {self._settings.bootstrap_servers}; start one, or set "
                "HARDEN_KAFKA__BOOTSTRAP_SERVERS to where it is"
            ) from error

    def _producing(self, client_id: str) -> dict[str, Any]:
        return {
            "client_id": client_id,
            "metrics_enabled": False,
            "enable_idempotence": True,
            "acks": "all",
            "linger_ms": self._settings.linger_ms,
            "batch_size": BATCH_BYTES,
            "max_request_size": max(layout.max_message_bytes for layout in self._layouts.values()),
            "delivery_timeout_ms": int(self._settings.delivery_timeout_s * 1000),
            "request_timeout_ms": int(min(30.0, self._settings.delivery_timeout_s) * 1000),
            "max_block_ms": int(self._settings.delivery_timeout_s * 1000),
            "allow_auto_create_topics": False,
        }

    def _consuming(self, client_id: str) -> dict[str, Any]:
        return {
            "client_id": client_id,
            "metrics_enabled": False,
            "isolation_level": "read_committed",
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "fetch_min_bytes": 1,
            "fetch_max_wait_ms": FETCH_WAIT_MS,
            "fetch_max_bytes": FETCH_MAX_BYTES,
            "max_partition_fetch_bytes": max(layout.max_message_bytes for layout in self._layouts.values()),
            "allow_auto_create_topics": False,
        }


class _Sender:
    """A client, the catalogue's limits, and sending that waits."""

    def __init__(self, client: Any, layouts_by_name: Mapping[str, Layout], settings: KafkaSettings) -> None:
        self._client = client
        self._layouts = layouts_by_name
        self._timeout_s = settings.delivery_timeout_s

    def send(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            self._check(message)
        with _translated("sending to " + ", ".join(sorted({message.topic for message in messages}))):
            self._send(messages)

    def close(self) -> None:
        self._client.close(timeout=CLOSE_TIMEOUT_S)

    def _send(self, messages: Sequence[Outgoing]) -> None:
        sent = [self._start(message) for message in messages]
        for future in sent:
            future.get(self._timeout_s)

    def _start(self, message: Outgoing) -> Any:
        return self._client.send(message.topic, key=message.key, value=message.value, headers=list(message.headers))

    def _check(self, message: Outgoing) -> None:
        layout = self._layouts.get(message.topic)
        if layout is None:
            raise SetupError(f"topic {message.topic} does not exist in the catalogue")
        size = size_of(message)
        if size > layout.max_message_bytes:
            raise PoisonError("oversized", f"{size} bytes for {layout.name}, whose limit is {layout.max_message_bytes}")


class _Producer(_Sender):
    """Many threads send at once and share batches."""

    def send_async(self, message: Outgoing, on_done: OnDone) -> None:
        self._check(message)
        try:
            future = self._start(message)
        except kafka_errors.KafkaError as error:
            raise _translation(f"sending to {message.topic}", error) from error
        future.add_callback(lambda _: on_done(None))
        future.add_errback(lambda error: on_done(_caused(_translation(f"sending to {message.topic}", error), error)))


class _ExclusiveProducer(_Sender):
    """One transaction per call. The broker refuses a producer that another of its name has replaced."""

    def __init__(self, client: Any, layouts_by_name: Mapping[str, Layout], settings: KafkaSettings, name: str) -> None:
        super().__init__(client, layouts_by_name, settings)
        self._name = name
        self._is_fenced = False
        self._lock = threading.Lock()

    def _send(self, messages: Sequence[Outgoing]) -> None:
        with self._lock:
            try:
                self._client.begin_transaction()
                try:
                    super()._send(messages)
                except kafka_errors.KafkaError:
                    # Where the client is past saving, the abort fails too, and the first error is the cause.
                    with _quietly():
                        self._client.abort_transaction()
                    raise
                self._client.commit_transaction()
            except kafka_errors.KafkaError as error:
                # A fenced client reports a generic error from its second call on.
                self._is_fenced = self._is_fenced or _is_fencing(error)
                if self._is_fenced:
                    raise FencedError(f"another process took over as {self._name!r}; this one must end") from error
                raise


class _Revocations(AsyncConsumerRebalanceListener):
    """Runs on the client's I/O thread while `poll` waits."""

    def __init__(self, consumer: "_GroupConsumer") -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        for commit in self._consumer.revoke(revoked):
            try:
                await commit
            except kafka_errors.KafkaError as error:
                # What was finished here is done again by the new owner, with the same ids.
                _log.warning("commit_on_revocation_failed", error=type(error).__name__)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Positions come from the group's commits."""


class _GroupConsumer:
    def __init__(self, client: Any, topics: Sequence[str], on_revoked: Callable[[frozenset[Partition]], None]) -> None:
        self._client = client
        self._on_revoked = on_revoked
        self._is_closing = False
        self._revoking: list[Any] | None = None  # commits to await, while a listener runs
        client.subscribe(list(topics), listener=_Revocations(self))

    def poll(self, timeout_s: float, max_records: int) -> list[Incoming]:
        # kafka-python forgets a join that completes between two polls and begins the next one, so that a group whose
        # members poll briefly would rebalance for ever. A member in a rebalance therefore stays until it is through.
        coordinator = self._client._coordinator
        if coordinator.need_rejoin():
            with _settled():
                coordinator.poll(timeout_ms=REBALANCE_POLL_MS)
        return _poll(self._client, timeout_s, max_records)

    def pause(self, partitions: Sequence[Partition]) -> None:
        assigned = self._client.assignment()
        self._client.pause(*(tp for tp in map(_native, partitions) if tp in assigned))

    def resume(self, partitions: Sequence[Partition]) -> None:
        assigned = self._client.assignment()
        self._client.resume(*(tp for tp in map(_native, partitions) if tp in assigned))

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        wanted = {_native(partition): OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()}
        if self._revoking is not None:
            self._revoking.append(self._client.commit_async(wanted))
            return
        with _translated("committing offsets"):
            self._client.commit(wanted, timeout_ms=COMMIT_TIMEOUT_MS)

    def assigned(self) -> frozenset[Partition]:
        return frozenset(Partition(tp.topic, tp.partition) for tp in self._client.assignment())

    def lag(self) -> Mapping[Partition, int]:
        return {Partition(tp.topic, tp.partition): self._lag(tp) for tp in self._client.assignment()}

    def close(self) -> None:
        self._is_closing = True
        with _quietly():
            self._client.close(autocommit=False, timeout_ms=int(CLOSE_TIMEOUT_S * 1000))

    def revoke(self, revoked: Iterable[TopicPartition]) -> list[Any]:
        """Tells the owner of this consumer; returns the commits that it sent."""
        if self._is_closing:
            return []
        self._revoking = []
        try:
            self._on_revoked(frozenset(Partition(tp.topic, tp.partition) for tp in revoked))
            return self._revoking
        finally:
            self._revoking = None

    def _lag(self, tp: TopicPartition) -> int:
        # Unknown before the first fetch of a partition.
        end = self._client.highwater(tp)
        position = self._client.position(tp, timeout_ms=0) if end is not None else None
        return max(0, end - position) if end is not None and position is not None else 0


class _LogReader:
    def __init__(self, client: Any, partitions: list[TopicPartition], start: Mapping[Partition, int]) -> None:
        self._client = client
        self._partitions = partitions
        client.assign(partitions)
        for tp in partitions:
            offset = start.get(Partition(tp.topic, tp.partition))
            if offset is None:
                client.seek_to_beginning(tp)
            else:
                client.seek(tp, offset)

    def poll(self, timeout_s: float, max_records: int) -> list[Incoming]:
        return _poll(self._client, timeout_s, max_records)

    def position(self) -> Mapping[Partition, int]:
        with _translated("asking for positions"):
            return {Partition(tp.topic, tp.partition): self._position(tp) for tp in self._partitions}

    def caught_up(self) -> bool:
        with _translated("asking for the ends of the log"):
            ends = self._client.end_offsets(self._partitions, timeout_ms=QUERY_TIMEOUT_MS)
            return all(self._position(tp) >= end for tp, end in ends.items())

    def close(self) -> None:
        with _quietly():
            self._client.close(autocommit=False, timeout_ms=int(CLOSE_TIMEOUT_S * 1000))

    def _position(self, tp: TopicPartition) -> int:
        position = self._client.position(tp, timeout_ms=QUERY_TIMEOUT_MS)
        if position is None:
            raise TransientError(f"the broker did not say where {tp.topic}[{tp.partition}] begins")
        return int(position)


def _poll(client: Any, timeout_s: float, max_records: int) -> list[Incoming]:
    by_partition: dict[TopicPartition, list[Any]] = {}
    with _settled():
        by_partition = client.poll(timeout_ms=int(timeout_s * 1000), max_records=max_records)
    return [_incoming(record) for records in by_partition.values() for record in records]


@contextmanager
def _settled() -> Iterator[None]:
    """Around a poll. What passes by itself is logged, and the caller polls again; a listener's error is raised as it was."""
    try:
        yield
    except kafka_errors.KafkaError as error:
        if isinstance(error.__cause__, Exception) and not isinstance(error.__cause__, kafka_errors.KafkaError):
            raise error.__cause__ from None
        if not (error.retriable or isinstance(error, _MEMBERSHIP)):
            raise
        _log.warning("poll_failed", error=type(error).__name__)
        time.sleep(POLL_FAILED_WAIT_S)


def _incoming(record: Any) -> Incoming:
    return Incoming(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        # A tombstone has no value; none of our events is empty, so a reader finds it malformed.
        value=record.value or b"",
        headers=tuple((name, value or b"") for name, value in record.headers),
        timestamp_ms=record.timestamp,
    )


def _native(partition: Partition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.number)


def _partitions_of(client: Any, topics: Sequence[str]) -> list[TopicPartition]:
    partitions: list[TopicPartition] = []
    for name in topics:
        with _translated(f"looking for topic {name}"):
            numbers = client.partitions_for_topic(name)
        if not numbers:
            client.close()
            raise SetupError(f"topic {name} does not exist; create the topics with `harden topics create`")
        partitions += [TopicPartition(name, number) for number in sorted(numbers)]
    return partitions


def _differences(layout: Layout, num_partitions: int, configs: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    if num_partitions != layout.num_partitions:
        yield f"{layout.name} has {num_partitions} partitions, not {layout.num_partitions}"
    for key, wanted in layout.configs.items():
        actual = configs.get(key, {}).get("value")
        if actual != wanted:
            yield f"{layout.name} has {key}={actual}, not {wanted}"


def _is_fencing(error: BaseException) -> bool:
    causes = [error, *error.args, error.__cause__, error.__context__]
    return any(isinstance(cause, _FENCED) for cause in causes) or "Fenced" in str(error)


@contextmanager
def _without_log() -> Iterator[None]:
    """For the first connection: the client logs every try, and only the final line helps a person."""
    logger = logging.getLogger("kafka")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """Kafka's errors as ours. What is none of these is a bug, and passes as it is."""
    try:
        yield
    except kafka_errors.KafkaError as error:
        ours = _translation(doing, error)
        if ours is error:
            raise
        raise ours from error


def _translation(doing: str, error: Exception) -> Exception:
    """The port's exception for `error`; `error` itself where it is a bug."""
    match error:
        case kafka_errors.MessageSizeTooLargeError() | kafka_errors.RecordListTooLargeError():
            return PoisonError("oversized", f"{doing}: {error}")
        case kafka_errors.ProducerFencedError() | kafka_errors.InvalidProducerEpochError():
            return FencedError(f"{doing}: another process took this one's place")
        case kafka_errors.AuthorizationError():
            return SetupError(f"{doing}: Kafka does not permit it ({type(error).__name__}); look at this user's ACLs")
        case kafka_errors.KafkaError() if isinstance(error, _MEMBERSHIP):
            return TransientError(f"{doing}: the group is rebalancing ({type(error).__name__})")
        case kafka_errors.KafkaError() if error.retriable:
            return TransientError(f"{doing}: {type(error).__name__}")
    return error


def _caused(ours: Exception, by: Exception) -> Exception:
    """As `raise ours from by` would leave it, for an error that is handed over and not raised."""
    if ours is not by:
        ours.__cause__ = by
    return ours


@contextmanager
def _quietly() -> Iterator[None]:
    """For the close of a client: errors are ignored, because the broker notices by itself that a client is gone."""
    try:
        yield
    except kafka_errors.KafkaError as error:
        _log.info("kafka_close_incomplete", error=type(error).__name__)
