"""What Triton costs: tokens a second of eight clients that ask a real Triton, against the same engine in this process.

Same weights, questions, sampling and number of threads (one, as a slot has by default). Two peers: the engine called
directly with full batches of 256, which is all it can do; and the same eight clients at a batcher in this process, which
is the same way to work without Triton, gRPC and the other process.
"""

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from benchmarks import workloads
from benchmarks.harness import Result, Turns, faster, timed
from benchmarks.site import triton_site
from harden.domain.completion import Completion, Sampling
from harden.domain.policy import PolicyServed, Slot
from harden.serving.batching import Batcher, Serving
from harden.serving.ports import GenerateRequest, Sample
from harden.serving.probe import make_probe
from harden.serving.transformers_engine import TransformersEngine
from harden.serving.transformers_loader import TransformersLoader
from harden.serving.triton_client import TritonPolicies

NAME = "generate_through_triton"
GOAL = 0.85
NUM_CLIENTS = 8
PROMPTS_PER_CALL, NUM_SAMPLES = 8, 8
# The clients have twice as much outstanding, so that batches of about this size form while others are computed.
ROWS_IN_PROCESS = 256
CALLS_PER_CLIENT, REPETITIONS = 12, 5

Call = list[GenerateRequest]
Drawn = Sequence[Sequence[Sample | Completion]]


def run(quick: bool) -> list[Result]:
    calls_per_client, repetitions = (2, 1) if quick else (CALLS_PER_CLIENT, REPETITIONS)
    torch.set_num_threads(1)
    engine = TransformersLoader(num_threads=1).load(workloads.DEFENDER)
    calls = _calls(NUM_CLIENTS * calls_per_client)
    with triton_site() as site:
        probe = make_probe(engine, [question.prompt for question in workloads.questions(2)])
        policy = site.publishing.publish(Slot.DEFENDER, workloads.DEFENDER, probe)
        word = site.publishing.verdict_on(policy)
        assert isinstance(word, PolicyServed), word
        clients = [TritonPolicies(site.server.grpc_url) for _ in range(NUM_CLIENTS)]
        batcher = Batcher("defender")
        batcher.swap(Serving(engine, policy))
        try:
            sides: dict[str, Callable[[], float]] = {
                "triton": lambda: _by_clients(calls, lambda n, call: clients[n].generate(Slot.DEFENDER, call)),
                "engine": lambda: _directly(engine, calls),
                "batcher": lambda: _by_clients(calls, lambda _, call: batcher.submit(call).result().samples),
            }
            turns = _in_turns(sides, repetitions)
        finally:
            batcher.close()
            for client in clients:
                client.close()
    return [
        _result(NAME, turns["triton"], turns["engine"], f"the engine in process, batches of {ROWS_IN_PROCESS}"),
        _result(f"{NAME}.same_clients", turns["triton"], turns["batcher"], "the same clients at the engine in process"),
    ]


def _result(name: str, ours: Turns, theirs: Turns, peer: str) -> Result:
    turns = Turns(ours.ours, theirs.ours)
    return faster(
        name,
        turns.rates[0],
        "tokens/s",
        peer,
        turns.rates[1],
        GOAL,
        clients=NUM_CLIENTS,
        rows_per_call=PROMPTS_PER_CALL * NUM_SAMPLES,
        spread=turns.spread(),
        torch_threads=1,
    )


def _in_turns(sides: dict[str, Callable[[], float]], repetitions: int) -> dict[str, Turns]:
    turns = {name: Turns() for name in sides}
    for repetition in range(repetitions + 1):
        for name, side in sides.items():
            turn = timed(side)
            if repetition:  # the first is for warming up
                turns[name].ours.append(turn)
    return turns


def _calls(count: int) -> list[Call]:
    """Each asks eight of the same sixty-four questions, in an order of its own."""
    rng = random.Random(0)
    questions = workloads.questions(NUM_CLIENTS * PROMPTS_PER_CALL)
    sampling = Sampling(workloads.ANSWER_TOKENS)
    return [
        [
            GenerateRequest(question.prompt, NUM_SAMPLES, sampling, rng.getrandbits(32))
            for question in rng.sample(questions, PROMPTS_PER_CALL)
        ]
        for _ in range(count)
    ]


def _by_clients(calls: Sequence[Call], ask: Callable[[int, Call], Drawn]) -> float:
    """Client n does every eighth call, one after the other."""

    def work(n: int) -> int:
        return sum(_num_tokens(ask(n, call)) for call in calls[n::NUM_CLIENTS])

    with ThreadPoolExecutor(NUM_CLIENTS) as pool:
        return sum(pool.map(work, range(NUM_CLIENTS)))


def _directly(engine: TransformersEngine, calls: Sequence[Call]) -> float:
    at_once = ROWS_IN_PROCESS // (PROMPTS_PER_CALL * NUM_SAMPLES)
    batches = [calls[i : i + at_once] for i in range(0, len(calls), at_once)]
    return sum(_num_tokens(engine.generate([request for call in batch for request in call])) for batch in batches)


def _num_tokens(drawn: Drawn) -> int:
    return sum(len(one.token_ids) for samples in drawn for one in samples)
