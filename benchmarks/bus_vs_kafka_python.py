"""Our bus against raw kafka-python on one real broker, with events of about 1 kB and 200 kB.

    produce   domain objects encoded, validated and sent until acknowledged      raw: the same bytes sent
    consume   polled, decoded, validated                                         raw: polled
    worker    a service's whole path: polled, decoded, handled, the child encoded, validated, acknowledged; poison would go
              to the dead letters; committed up to the first unfinished          raw: a batch polled, the same bytes sent on,
                                                                                 acknowledged, committed

`reachable` in the details is the floor of ours: the peer's time for a message plus what decoding, building, validating and
encoding one costs by itself, in one thread with nothing beside it. One process cannot be faster with validation on.

Both with idempotence, acks=all and the same sizes of batches and fetches. Events are sampled bouts as the judge reads them:
1 kB is two answers of a few words, 200 kB is eight answers of 24 kB of text each (what large models write at length).
"""

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from prometheus_client import CollectorRegistry

from benchmarks.harness import Result, Turn, Turns, alternate, faster, paired_ratios, timed
from benchmarks.site import KafkaSite, kafka_site
from harden import codec
from harden.bus import kafka as our_kafka
from harden.bus.kafka import KafkaBus
from harden.bus.ports import Incoming
from harden.domain.events import Event
from harden.domain.response import SampledBout
from harden.domain.verdict import JudgedBout, Verdict, answers_of
from harden.judge.config import JudgeSettings
from harden.runtime.children import child_of
from harden.runtime.service import Service
from harden.runtime.worker import Worker
from harden.topics import RESPONSES, VERDICTS
from tests.support import builders
from tests.support.facts import a_meta

NAME = "bus_vs_kafka_python"
GOAL = 0.8
REPETITIONS = 5
FLOOR_PASSES = 3
MAX_RECORDS = 500
TIMEOUT_S = 120.0
PEER = "raw kafka-python"
RAW_TOPICS = RAW, RAW_LOG, RAW_READS, RAW_WRITES = "raw", "raw-log", "raw-responses", "raw-verdicts"
GROUP = "judge"
# How often the count is looked at: reading it takes the interpreter from the worker.
LOOK_S = 0.01


@dataclass(frozen=True)
class Size:
    name: str
    num_answers: int
    answer_bytes: int
    num_messages: int
    num_logged: int  # read by a consumer: more, because reading is quicker; a multiple of num_messages


SIZES = (Size("1kB", 2, 60, 2000, 12_000), Size("200kB", 8, 24_500, 100, 300))


def run(quick: bool) -> list[Result]:
    repetitions = 1 if quick else REPETITIONS
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    results: list[Result] = []
    for size in SIZES:
        chosen = replace(size, num_messages=40, num_logged=80) if quick else size
        # A broker each: what one size leaves in the caches is not the next one's.
        with tempfile.TemporaryDirectory(prefix="harden-bench-") as scratch, kafka_site(Path(scratch)) as site:
            results += _measure(site, chosen, repetitions)
    return results


def _measure(site: KafkaSite, size: Size, repetitions: int) -> Iterator[Result]:
    lane = _Lane(site, size)
    with lane.opened():
        for kind, turns, alone_s in (
            ("produce", alternate(lane.produce, lane.produce_raw, repetitions), lane.encoding_s()),
            ("consume", alternate(lane.consume, lane.consume_raw, repetitions), lane.decoding_s()),
            ("worker", alternate(lane.work, lane.work_raw, repetitions), lane.handling_s()),
        ):
            yield _result(f"{NAME}.{kind}_{size.name}", turns, lane.num_bytes, alone_s)


def _result(name: str, turns: Turns, num_bytes: int, alone_s: float) -> Result:
    ours, theirs = turns.rates
    reachable = 1 / (1 / theirs + alone_s)
    return faster(
        name,
        ours,
        "messages/s",
        PEER,
        theirs,
        GOAL,
        event_bytes=num_bytes,
        megabytes_per_s=ours * num_bytes / 1e6,
        added_us_per_message=1e6 * (1 / ours - 1 / theirs),
        codec_us_per_message=1e6 * alone_s,
        reachable={"messages_per_s": reachable, "ratio": reachable / theirs},
        paired_ratio=paired_ratios([turn.rate for turn in turns.ours], [turn.rate for turn in turns.peer]).to_json(),
        spread=turns.spread(),
    )


class _Lane:
    """The same events for our topics and for raw ones beside them; consuming and working have topics of their own."""

    def __init__(self, site: KafkaSite, size: Size) -> None:
        self._settings = site.settings
        self._log, self._reads = replace(RESPONSES, noun="bench-log"), replace(RESPONSES, noun="bench-responses")
        self._writes = replace(VERDICTS, noun="bench-verdicts")
        self._bus = KafkaBus(site.settings, [RESPONSES, self._log, self._reads, self._writes])
        self._events = [_event(n, size) for n in range(size.num_messages)]
        self._messages = [codec.to_message(RESPONSES, event) for event in self._events]
        self._num_logged = size.num_logged
        self.num_bytes = len(self._messages[0].value)

    @contextmanager
    def opened(self) -> Iterator[None]:
        self._bus.create_topics()
        layout = {
            "num_partitions": RESPONSES.num_partitions,
            "replication_factor": 1,
            "configs": {"max.message.bytes": str(RESPONSES.max_message_bytes)},
        }
        admin = KafkaAdminClient(**self._broker())
        admin.create_topics(dict.fromkeys(RAW_TOPICS, layout), wait_for_metadata=True)
        admin.close()
        self._producer = self._bus.producer(client_id="bench")
        self._raw_producer = KafkaProducer(**self._raw_producing())
        try:
            for topic in (self._log.name, RAW_LOG):
                for _ in range(-(-self._num_logged // len(self._messages))):
                    self._send_raw(topic)
            yield
        finally:
            self._raw_producer.close()
            self._producer.close()
            self._bus.close()

    # By itself: seconds for one message, the quickest of a few passes, so that a busy machine does not raise the floor

    def encoding_s(self) -> float:
        return self._quickest(lambda n: codec.to_message(RESPONSES, self._events[n]))

    def decoding_s(self) -> float:
        return self._quickest(lambda n: codec.from_message(RESPONSES, self._incoming(n)))

    def handling_s(self) -> float:
        def handle(n: int) -> None:
            event = codec.from_message(RESPONSES, self._incoming(n))
            assert isinstance(event.fact, SampledBout)
            codec.to_message(VERDICTS, child_of(event, _judged(event.fact), service="judge", now=0.0))

        return self._quickest(handle)

    def _incoming(self, n: int) -> Incoming:
        message = self._messages[n]
        return Incoming(RESPONSES.name, 0, n, message.key, message.value, message.headers, 0)

    def _quickest(self, do: Callable[[int], object]) -> float:
        passes = []
        for _ in range(FLOOR_PASSES):
            began = time.perf_counter()
            for n in range(len(self._messages)):
                do(n)
            passes.append((time.perf_counter() - began) / len(self._messages))
        return min(passes)

    # Produce

    def produce(self) -> Turn:
        def send() -> float:
            self._producer.send([codec.to_message(RESPONSES, event) for event in self._events])
            return len(self._events)

        return timed(send)

    def produce_raw(self) -> Turn:
        return timed(lambda: self._send_raw(RAW))

    # Consume: a log that stands there, from its beginning, by a reader that has looked for its partitions

    def consume(self) -> Turn:
        reader = self._bus.log_reader([self._log.name], client_id="bench")

        def read() -> float:
            num = 0
            while num < self._num_logged:
                num += len([codec.from_message(self._log, message) for message in reader.poll(1.0, MAX_RECORDS)])
            return num

        turn = timed(read)
        reader.close()
        return turn

    def consume_raw(self) -> Turn:
        consumer = KafkaConsumer(group_id=None, **self._raw_consuming())
        consumer.assign([TopicPartition(RAW_LOG, n) for n in consumer.partitions_for_topic(RAW_LOG)])
        consumer.seek_to_beginning()

        def read() -> float:
            num = 0
            while num < self._num_logged:
                num += sum(map(len, consumer.poll(timeout_ms=1000, max_records=MAX_RECORDS).values()))
            return num

        turn = timed(read)
        consumer.close()
        return turn

    # Worker: from the first message in hand to the last child acknowledged; joining the group is not counted

    def work(self) -> Turn:
        self._send_raw(self._reads.name)
        began: list[float] = []

        def handle(bout: SampledBout) -> JudgedBout:
            if not began:
                began.append(time.perf_counter())
            return _judged(bout)

        registry = CollectorRegistry()
        service = Service("judge", self._reads, (self._writes,), handle, JudgeSettings().max_in_flight, GROUP)
        stop = threading.Event()
        worker = Worker(service, self._bus, registry=registry)
        thread = threading.Thread(target=worker.run, args=(stop,))
        thread.start()
        try:
            ended = self._await_handled(registry, thread)
        finally:
            stop.set()
            thread.join()
        return Turn(len(self._messages), ended - began[0])

    def _await_handled(self, registry: CollectorRegistry, thread: threading.Thread) -> float:
        """When the last one was."""
        labels = {"outcome": "ok"}
        deadline = time.monotonic() + TIMEOUT_S
        while (registry.get_sample_value("harden_events_handled_total", labels) or 0) < len(self._messages):
            if not thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the worker did not get through its messages")
            time.sleep(LOOK_S)
        return time.perf_counter()

    def work_raw(self) -> Turn:
        self._send_raw(RAW_READS)
        consumer = KafkaConsumer(RAW_READS, group_id=GROUP, **self._raw_consuming())
        began, num = 0.0, 0
        while num < len(self._messages):
            polled = consumer.poll(timeout_ms=1000, max_records=MAX_RECORDS)
            records = [record for of_partition in polled.values() for record in of_partition]
            began = began or (time.perf_counter() if records else 0.0)
            sent = [self._raw_producer.send(RAW_WRITES, key=r.key, value=r.value, headers=r.headers) for r in records]
            for future in sent:
                future.get(TIMEOUT_S)
            consumer.commit()
            num += len(records)
        turn = Turn(num, time.perf_counter() - began)
        consumer.close()
        return turn

    def _send_raw(self, topic: str) -> float:
        sent = [self._raw_producer.send(topic, key=m.key, value=m.value, headers=list(m.headers)) for m in self._messages]
        for future in sent:
            future.get(TIMEOUT_S)
        return len(sent)

    # The raw clients, with the settings of ours that decide how much travels at once

    def _broker(self) -> dict[str, Any]:
        return {"bootstrap_servers": self._settings.bootstrap_servers}

    def _raw_producing(self) -> dict[str, Any]:
        return {
            **self._broker(),
            "acks": "all",
            "enable_idempotence": True,
            "batch_size": our_kafka.BATCH_BYTES,
            "max_request_size": RESPONSES.max_message_bytes,
            "metrics_enabled": False,
        }

    def _raw_consuming(self) -> dict[str, Any]:
        return {
            **self._broker(),
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "fetch_max_bytes": our_kafka.FETCH_MAX_BYTES,
            "fetch_max_wait_ms": our_kafka.FETCH_WAIT_MS,
            "max_partition_fetch_bytes": RESPONSES.max_message_bytes,
            "isolation_level": "read_committed",
            "metrics_enabled": False,
        }


def _event(number: int, size: Size) -> Event:
    words = f"answer {number} of a model that was asked something "
    text = (words * (1 + size.answer_bytes // len(words)))[: size.answer_bytes]
    bout = builders.a_bout(f"bench {number}", num_responses=size.num_answers)
    sampled = builders.a_sampled(bout, answers=(text,) * size.num_answers)
    return Event(a_meta(f"bench {number}", service="defender_inference"), sampled)


def _judged(sampled: SampledBout) -> JudgedBout:
    """As quick as a judge can be: it always says no."""
    attacks = builders.a_judged(sampled.bout).attack_verdicts
    no = answers_of(response_harmful="no", refusal="none", correct="no")
    return JudgedBout(sampled, attacks, tuple(Verdict(r.response_id, no) for r in sampled.responses))
