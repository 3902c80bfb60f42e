"""What users notice of a swap: a steady load on a real Triton while its policy is exchanged again and again, and without.

Four clients ask at a fixed rate, eight samples of one question each time. A request's latency counts from when it was due,
so that one late answer does not hide those it delayed. Windows with swaps and without take turns; each repetition has a
Triton and a ratio of its own. Within one, every swap brings weights that this Triton never saw before: stored, signed,
published, fetched, verified, loaded, probed, flipped.
"""

import multiprocessing
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from benchmarks import workloads
from benchmarks.harness import Result, command_of, paired_ratios, percentile, shorter
from benchmarks.site import TritonSite, triton_site
from harden.domain.completion import Sampling
from harden.domain.errors import PoisonError, TransientError
from harden.domain.policy import PolicyServed, Probe, Slot
from harden.serving.ports import GenerateRequest
from harden.serving.probe import make_probe
from harden.serving.transformers_loader import TransformersLoader
from harden.serving.triton_client import TritonPolicies
from tests.support.policies import Publishing

NAME = "swap_under_load"
# Ours over the peer's is at most 1.3; ratios here are the other way round.
P99_GOAL = 1 / 1.3
# Each a Triton of its own, with windows of both kinds.
REPETITIONS = 5
SERVED_WITHIN_MS = 300.0
NUM_CLIENTS, NUM_SAMPLES = 4, 8
# Of each client. Together about a third of what two cores can do.
REQUESTS_PER_S = 15.0
# In each repetition: 25 seconds of either kind, or about 1,500 requests.
NUM_WINDOWS, SWAPS_PER_WINDOW = 3, 10
SWAP_EVERY_S = 0.8
# Between windows: what the last swap has left to do is not the next window's.
SETTLE_S = 0.5
WEIGHT_NOISE = 1e-4
PEER = "the same load without swaps"


@dataclass(frozen=True)
class _Policy:
    directory: Path
    probe: Probe


@dataclass(frozen=True)
class _Window:
    """What the clients saw in one stretch of time."""

    latencies_ms: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class _Clients:
    """Users, in a process of their own: who publishes must not take the interpreter from those who wait for answers."""

    def __init__(self, url: str) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve_clients, args=(url, theirs), daemon=True)
        self._process.start()
        self._pipe.recv()  # they are ready

    @contextmanager
    def asking(self) -> Iterator[_Window]:
        """The window is filled when it is left."""
        window = _Window()
        self._pipe.send("begin")
        try:
            yield window
        finally:
            self._pipe.send("end")
            latencies_ms, errors = self._pipe.recv()
            window.latencies_ms.extend(latencies_ms)
            window.errors.extend(errors)

    def close(self) -> None:
        self._pipe.send("close")
        self._process.join()


def _serve_clients(url: str, pipe: Connection) -> None:
    pipe.send("ready")
    while pipe.recv() == "begin":
        window, stop = _Window(), threading.Event()
        threads = [threading.Thread(target=_ask, args=(url, n, window, stop)) for n in range(NUM_CLIENTS)]
        for thread in threads:
            thread.start()
        pipe.recv()
        stop.set()
        for thread in threads:
            thread.join()
        pipe.send((window.latencies_ms, window.errors))


def _ask(url: str, client: int, window: _Window, stop: threading.Event) -> None:
    policies = TritonPolicies(url)
    prompts = [question.prompt for question in workloads.questions(32)]
    period = 1 / REQUESTS_PER_S
    # Spread, so that the clients do not all ask in the same moment.
    due = time.monotonic() + client * period / NUM_CLIENTS
    number = client
    # One in any case: a window may be over before a slow machine has begun to ask.
    is_over = False
    while not is_over:
        is_over = stop.wait(max(0.0, due - time.monotonic()))
        request = GenerateRequest(prompts[number % len(prompts)], NUM_SAMPLES, Sampling(workloads.ANSWER_TOKENS), number)
        try:
            policies.generate(Slot.DEFENDER, [request])
            window.latencies_ms.append(1000 * (time.monotonic() - due))
        except (TransientError, PoisonError) as error:
            window.errors.append(str(error))
        due += period
        number += NUM_CLIENTS
    policies.close()


@dataclass(frozen=True)
class _Repetition:
    quiet: Sequence[_Window]
    swapping: Sequence[_Window]
    waits_ms: Sequence[float]

    def latencies(self, windows: Sequence[_Window]) -> list[float]:
        return [latency for window in windows for latency in window.latencies_ms]

    @property
    def p99_ms(self) -> tuple[float, float]:
        """While swapping, and without."""
        return percentile(self.latencies(self.swapping), 0.99), percentile(self.latencies(self.quiet), 0.99)


def run(quick: bool) -> list[Result]:
    torch.set_num_threads(1)
    num_windows, per_window = (1, 2) if quick else (NUM_WINDOWS, SWAPS_PER_WINDOW)
    with tempfile.TemporaryDirectory(prefix="harden-bench-policies-") as scratch:
        policies = _new_policies(Path(scratch), 1 + num_windows * per_window)
        return _results([_repeat(policies, num_windows, per_window) for _ in range(1 if quick else REPETITIONS)])


def _repeat(policies: Sequence[_Policy], num_windows: int, per_window: int) -> _Repetition:
    first, *rest = policies
    quiet, swapping, waits_ms = [], [], list[float]()
    with triton_site() as site, closing(_Clients(site.server.grpc_url)) as clients:
        _swap(site.publishing, first)
        with clients.asking():  # warms up both sides
            time.sleep(SWAP_EVERY_S)
        for n in range(num_windows):
            with clients.asking() as window:
                time.sleep(per_window * SWAP_EVERY_S)
            quiet.append(window)
            time.sleep(SETTLE_S)
            with clients.asking() as window:
                waits_ms += _swaps(site, rest[n * per_window : (n + 1) * per_window])
            swapping.append(window)
            time.sleep(SETTLE_S)
    return _Repetition(quiet, swapping, waits_ms)


def _swaps(site: TritonSite, policies: Sequence[_Policy]) -> list[float]:
    """One after the other at a fixed rate; milliseconds from the beginning of each publication until it was served."""
    waits_ms = []
    due = time.monotonic()
    for policy in policies:
        time.sleep(max(0.0, due - time.monotonic()))
        waits_ms.append(_swap(site.publishing, policy))
        due += SWAP_EVERY_S
    time.sleep(max(0.0, due - time.monotonic()))
    return waits_ms


def _swap(publishing: Publishing, policy: _Policy) -> float:
    began = time.time()
    word = publishing.verdict_on(publishing.publish(Slot.DEFENDER, policy.directory, policy.probe))
    assert isinstance(word, PolicyServed), word
    return 1000 * (word.served_at - began)


def _results(repetitions: Sequence[_Repetition]) -> list[Result]:
    quiet = [window for one in repetitions for window in one.quiet]
    swapping = [window for one in repetitions for window in one.swapping]
    waits_ms = [wait for one in repetitions for wait in one.waits_ms]
    calm = [latency for window in quiet for latency in window.latencies_ms]
    busy = [latency for window in swapping for latency in window.latencies_ms]
    errors = [error for window in swapping for error in window.errors]
    ours, theirs = zip(*(one.p99_ms for one in repetitions), strict=True)
    paired = paired_ratios(theirs, ours)
    p99 = Result(
        name=NAME,
        value=statistics.median(ours),
        unit="ms p99",
        peer=PEER,
        peer_value=statistics.median(theirs),
        ratio=paired.median,
        goal=P99_GOAL,
        command=command_of(NAME),
        details={
            "paired_ratio": paired.to_json(),
            "p99_ms": {"ours": list(ours), "peer": list(theirs)},
            "swaps": len(waits_ms),
            "requests": {"ours": len(busy), "peer": len(calm)},
            "p50_ms": {"ours": percentile(busy, 0.5), "peer": percentile(calm, 0.5)},
            "max_ms": {"ours": max(busy), "peer": max(calm)},
        },
    )
    failed = Result(
        name=f"{NAME}.failed",
        value=len(errors),
        unit="requests failed",
        peer=PEER,
        peer_value=sum(len(window.errors) for window in quiet),
        ratio=len(busy) / (len(busy) + len(errors)),
        goal=1.0,
        command=command_of(NAME),
        details={"ratio_is": "share of requests answered while swapping", "first_errors": errors[:3]},
    )
    served = shorter(
        f"{NAME}.publish_to_served",
        statistics.median(waits_ms),
        "ms p50",
        "the limit",
        SERVED_WITHIN_MS,
        1.0,
        max_ms=max(waits_ms),
        from_="the first blob stored until the policy answers",
    )
    return [p99, failed, served]


def _new_policies(directory: Path, count: int) -> list[_Policy]:
    """The seed defender with a little noise, another one each: as much to fetch and load as after a step of training."""
    loader = TransformersLoader(num_threads=1)
    engine = loader.load(workloads.DEFENDER)
    prompts = [question.prompt for question in workloads.questions(4)]
    weights = load_file(workloads.DEFENDER / "model.safetensors")
    generator = torch.Generator().manual_seed(0)
    policies = []
    for n in range(count):
        own = shutil.copytree(workloads.DEFENDER, directory / str(n))
        noisy = {name: w + WEIGHT_NOISE * torch.randn(w.shape, generator=generator) for name, w in weights.items()}
        save_file(noisy, own / "model.safetensors", metadata={"format": "pt"})
        policies.append(_Policy(own, make_probe(loader.load(own, engine), prompts)))
    return policies
