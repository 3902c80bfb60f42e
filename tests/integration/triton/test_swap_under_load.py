"""Policies are exchanged while requests come from several clients: none fails, none mixes two policies."""

import threading
import time
from dataclasses import dataclass, field

import pytest

from harden.domain.completion import Completion, Sampling
from harden.domain.policy import PolicyRef, PolicyServed, Slot
from harden.serving.ports import GenerateRequest
from harden.serving.transformers_loader import TransformersLoader
from harden.serving.triton_client import TritonPolicies
from tests.support.policies import a_probe
from tests.support.tiny_models import an_image_text_model, some_prompts
from tests.support.triton import TritonSite

pytestmark = [pytest.mark.kafka, pytest.mark.triton]

NUM_CLIENTS = 4
NUM_SWAPS = 20


@dataclass
class Load:
    """Clients that ask without a pause until stopped. What they got, and what went wrong."""

    url: str
    requests: list[GenerateRequest]
    answers: list[list[list[Completion]]] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Load":
        self.threads = [threading.Thread(target=self._ask) for _ in range(NUM_CLIENTS)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def _ask(self) -> None:
        policies = TritonPolicies(self.url)
        while not self.stop.is_set():
            try:
                self.answers.append(policies.generate(Slot.DEFENDER, self.requests))
            except Exception as error:
                self.failures.append(error)
        policies.close()


def test_no_request_fails_and_no_answer_mixes_policies(
    triton_site: TritonSite, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directories = [an_image_text_model(tmp_path_factory.mktemp("model"), random_seed=seed) for seed in (1, 2)]
    probes = [a_probe(directory) for directory in directories]
    # Greedy, because batches differ in shape with what arrives together, and rounding must not decide a draw.
    requests = [GenerateRequest(prompt, 4, Sampling(8, temperature=0.0), i) for i, prompt in enumerate(some_prompts(3))]
    expected = [
        [[sample.token_ids for sample in samples] for samples in TransformersLoader().load(directory).generate(requests)]
        for directory in directories
    ]
    publishing = triton_site.publishing
    model_of: dict[str, int] = {}

    def swap_to(i: int) -> tuple[PolicyRef, float]:
        began = time.time()
        policy = publishing.publish(Slot.DEFENDER, directories[i % 2], probes[i % 2])
        model_of[policy.digest] = i % 2
        word = publishing.verdict_on(policy)
        assert isinstance(word, PolicyServed), word
        return policy, word.served_at - began

    swap_to(0)
    with Load(triton_site.server.grpc_url, requests) as load:
        waits = [swap_to(i)[1] for i in range(1, NUM_SWAPS + 1)]
    assert load.failures == []
    assert len({completion.policy_digest for answer in load.answers for of_prompt in answer for completion in of_prompt}) > 5
    for answer in load.answers:
        (digest,) = {completion.policy_digest for of_prompt in answer for completion in of_prompt}
        assert [[completion.token_ids for completion in of_prompt] for of_prompt in answer] == expected[model_of[digest]]
    print(f"{len(load.answers)} answers; published to served, ms: {sorted(round(1000 * wait) for wait in waits)}")


def test_swaps_are_counted_where_prometheus_looks(triton_site: TritonSite, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = an_image_text_model(tmp_path_factory.mktemp("model"), random_seed=3)
    probe = a_probe(directory)
    policy = triton_site.publishing.publish(Slot.DEFENDER, directory, probe)
    assert isinstance(triton_site.publishing.verdict_on(policy), PolicyServed)
    triton_site.policies.generate(Slot.DEFENDER, [GenerateRequest(some_prompts(1)[0], 2, Sampling(4), 0)])
    (weights,) = list(directory.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    broken = triton_site.publishing.publish(Slot.DEFENDER, directory, probe)
    triton_site.publishing.verdict_on(broken)
    metrics = dict(line.rsplit(" ", 1) for line in triton_site.server.metrics().splitlines() if line.startswith("harden_"))
    assert float(metrics['harden_policy_version{kind="served",slot="defender"}']) == policy.version
    assert float(metrics['harden_swaps_total{outcome="served",slot="defender"}']) >= 1
    assert float(metrics['harden_swap_refused_total{reason="truncated",slot="defender"}']) >= 1
    assert float(metrics['harden_policy_requests_total{outcome="ok",slot="defender"}']) >= 1
    assert float(metrics['harden_policy_tokens_total{slot="defender"}']) >= 2
    assert float(metrics['harden_policy_batch_rows_count{slot="defender"}']) >= 1
