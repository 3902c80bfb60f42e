"""What every PolicyClient promises."""

from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest

from harden.domain.completion import Sampling
from harden.domain.errors import PoisonError, TransientError
from harden.domain.policy import PolicyRef, PolicyServed, Slot
from harden.serving.ports import GenerateRequest, Sample
from tests.contract.serving.conftest import EMPTY_SLOT, SLOT, Model, Site
from tests.support.tiny_models import a_png, a_prompt, some_prompts

# float32 over another batch shape, and a file's weights on the way through two processes.
ROUNDING = 2e-4


def some_requests() -> list[GenerateRequest]:
    prompts = [
        *some_prompts(3),
        a_prompt("w1 w2", images=(a_png(1), a_png(2))),
        a_prompt("w3", images=(a_png(3),), system="w9"),
    ]
    return [GenerateRequest(prompt, 3, Sampling(8 + i, 0.0 if i == 1 else 1.0), 100 + i) for i, prompt in enumerate(prompts)]


def test_completions_are_the_engines_own(site: Site, models: list[Model]) -> None:
    policy = site.serve(models[0])
    requests = some_requests()
    found = site.policies.generate(SLOT, requests)
    expected = models[0].engine.generate(requests)
    assert [len(samples) for samples in found] == [3] * len(requests)
    for completion, sample in zip(chain(*found), chain(*expected), strict=True):
        assert Sample(completion.text, completion.token_ids, sample.logprobs, completion.finish_reason) == sample
        assert completion.logprobs == pytest.approx(sample.logprobs, abs=ROUNDING)
        assert (completion.policy_digest, completion.policy_version) == (policy.digest, policy.version)


def test_the_newest_publication_is_what_answers(site: Site, models: list[Model]) -> None:
    for model in (models[1], models[0], models[1]):
        policy = site.serve(model)
        assert site.policies.served(SLOT) == policy
        request = some_requests()[0]
        (completions,) = site.policies.generate(SLOT, [request])
        assert [c.token_ids for c in completions] == [s.token_ids for s in model.engine.generate([request])[0]]
        assert {c.policy_digest for c in completions} == {policy.digest}


def test_an_older_manifest_published_again_is_served_under_its_new_number(site: Site, models: list[Model]) -> None:
    old = site.serve(models[0])
    manifest = site.publishing.manifests[old]
    newer = site.serve(models[1])
    again = PolicyRef(SLOT, newer.version + 1, old.digest)
    site.publishing.version = again.version
    site.publishing.announce(again, manifest)
    assert isinstance(site.publishing.verdict_on(again), PolicyServed)
    assert site.policies.served(SLOT) == again


def test_many_threads_ask_at_once_and_each_gets_its_own_answer(site: Site, models: list[Model]) -> None:
    site.serve(models[0])
    requests = [GenerateRequest(prompt, 2, Sampling(6), i) for i, prompt in enumerate(some_prompts(24, random_seed=3))]
    expected = models[0].engine.generate(requests)
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda request: site.policies.generate(SLOT, [request])[0], requests))
    for completions, samples in zip(found, expected, strict=True):
        assert [c.token_ids for c in completions] == [s.token_ids for s in samples]


def test_a_slot_without_a_policy_asks_for_patience(site: Site) -> None:
    assert site.policies.served(EMPTY_SLOT) is None
    with pytest.raises(TransientError, match="no policy yet"):
        site.policies.generate(EMPTY_SLOT, some_requests()[:1])


def test_a_slot_that_is_not_served_here_asks_for_patience(site: Site) -> None:
    with pytest.raises(TransientError):
        site.policies.generate(Slot.DEFENDER_STABLE, some_requests()[:1])


def test_an_image_that_is_none_is_poison_for_its_own_caller_only(site: Site, models: list[Model]) -> None:
    site.serve(models[0])
    broken = GenerateRequest(a_prompt(images=(b"\x89PNG but no picture",)), 1, Sampling(2), 0)
    good = some_requests()[0]

    def ask(request: GenerateRequest) -> str:
        try:
            site.policies.generate(SLOT, [request])
        except PoisonError:
            return "poison"
        return "ok"

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, [good, broken] * 8)) == ["ok", "poison"] * 8


def test_asking_nothing_gives_nothing(site: Site) -> None:
    assert site.policies.generate(SLOT, []) == []
