"""From a learner with adapters to what answers: the same policy, in a fraction of the bytes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from harden.bus.memory import MemoryBus
from harden.codec import decode_signed
from harden.domain.bout import Role
from harden.domain.completion import Sampling
from harden.domain.policy import PolicyManifest, PolicyServed, Slot
from harden.serving.follower import Source
from harden.serving.in_process import InProcessPolicies
from harden.serving.ports import GenerateRequest
from harden.serving.transformers_loader import TransformersLoader
from harden.store.object_store import ObjectStore
from harden.store.policies import fetch_files
from harden.store.policy_log import PolicyLog
from harden.store.signing import Signer, Verifier, generate_keypair
from harden.trainer.game.player import Player
from harden.trainer.learner.learner import Learner
from harden.trainer.learner.settings import LearnerSettings, LoRASettings
from harden.trainer.publisher import Published, Publisher
from tests.numerics import twins
from tests.support.policies import Publishing
from tests.support.tiny_models import a_text_model, an_image_text_model, some_prompts

SLOT = Slot.DEFENDER
# float32, the adapter beside the weights in the learner and inside them in what is served.
ROUNDING = 1e-4


@dataclass
class Side:
    """A trainer's and a replica's side of one store."""

    source: Source
    publisher: Publisher
    replica: Publishing

    def manifest(self, published: Published) -> PolicyManifest:
        signed = decode_signed(self.source.store.get(published.manifest))
        return self.source.verifier.verify(signed, published.policy.digest)

    def fetch(self, manifest: PolicyManifest, into: Path) -> Path:
        fetch_files(self.source.store, manifest, into)
        return into


@pytest.fixture
def side(tmp_path: Path) -> Side:
    signing_key, verify_key = generate_keypair(tmp_path / "keys")
    bus, store, signer = MemoryBus(), ObjectStore(str(tmp_path / "store")), Signer(signing_key)
    bus.create_topics()
    log = PolicyLog(bus, store, signer, service="trainer", run_id="run")
    publisher = Publisher(log, store, run_id="run", num_replicas=1)
    return Side(Source(bus, store, Verifier([verify_key])), publisher, Publishing(bus, store, signer))


def a_player(directory: Path, *, publish: str = "adapter", dtype: str = "float32") -> Player:
    lora = LoRASettings(rank=4, alpha=8, publish=publish)
    learner = Learner(directory, LearnerSettings(lora=lora, learning_rate=1e-2, dtype=dtype), seed=0)
    return Player(Role.DEFENDER, SLOT, learner, directory, [(prompt.conversation, "w5 w6") for prompt in some_prompts(2)])


def begin(player: Player, side: Side) -> Published:
    """As the game does."""
    player.by_round[0] = player.publish(side.publisher, round_=0, reason="start")
    return player.by_round[0]


def learn(player: Player, seeds: Sequence[int] = (0, 1)) -> None:
    for seed in seeds:
        assert player.step([twins.grpo(twins.some_groups(3, 4, random_seed=seed))]).moved


def num_bytes(manifest: PolicyManifest) -> int:
    return sum(file.blob.num_bytes for file in manifest.files)


def test_what_answers_is_the_learners_policy(side: Side, tmp_path: Path) -> None:
    """Its log-probs are the learner's, with the adapter beside the weights, and those of the policy published whole."""
    player = a_player(an_image_text_model(tmp_path / "model", num_layers=2, hidden=64))
    requests = [GenerateRequest(prompt, 2, Sampling(6), 10 + i) for i, prompt in enumerate(some_prompts(4))]
    with InProcessPolicies([SLOT], side.source, TransformersLoader(num_threads=1)) as policies:
        assert isinstance(side.replica.verdict_on(begin(player, side).policy), PolicyServed)
        for seeds in ((0, 1), (2, 3)):
            learn(player, seeds)
            published = player.publish(side.publisher, round_=1, reason="step")
            word = side.replica.verdict_on(published.policy)
            assert isinstance(word, PolicyServed), word
            assert word.probe_max_error < ROUNDING
            found = policies.generate(SLOT, requests)
            whole = TransformersLoader().load(side.fetch(merged(player, side), tmp_path / f"whole-{seeds[0]}"))
            for request, completions, samples in zip(requests, found, whole.generate(requests), strict=True):
                token_ids = [completion.token_ids for completion in completions]
                learned = player.learner.logprobs([request.prompt] * 2, token_ids)
                for completion, sample, logprobs in zip(completions, samples, learned, strict=True):
                    assert completion.token_ids == sample.token_ids
                    assert completion.logprobs == sample.logprobs, "adapter and whole policy are the same bits"
                    assert completion.logprobs == pytest.approx(logprobs, abs=ROUNDING)


def merged(player: Player, side: Side) -> PolicyManifest:
    """The learner's policy published whole, as the first one of another slot."""
    first = replace(player, slot=Slot.DEFENDER_STABLE, by_round={})
    return side.manifest(first.publish(side.publisher, round_=0, reason="start"))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_replica_and_learner_merge_to_the_same_bits(side: Side, tmp_path: Path, dtype: str) -> None:
    directory = a_text_model(tmp_path / "model", num_layers=2, hidden=64)
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"dtype": dtype}))  # what it is served in
    player = a_player(directory, dtype=dtype)
    base = side.fetch(side.manifest(begin(player, side)), tmp_path / "base")
    learn(player)
    adapter = side.fetch(side.manifest(player.publish(side.publisher, round_=1, reason="step")), tmp_path / "adapter")
    served = TransformersLoader().load(base, adapter=adapter).model.state_dict()
    learned = player.learner.weights()
    assert learned.keys() <= served.keys()
    for name, tensor in learned.items():
        assert served[name].dtype == tensor.dtype
        assert torch.equal(served[name], tensor), name


def test_only_the_first_policy_of_a_run_is_published_whole(side: Side, tmp_path: Path) -> None:
    player = a_player(a_text_model(tmp_path / "model"))
    whole = begin(player, side)
    assert side.manifest(whole).base is None
    learn(player)
    adapter = player.publish(side.publisher, round_=1, reason="step")
    manifest = side.manifest(adapter)
    assert manifest.base is not None
    assert (manifest.base.digest, manifest.base.manifest) == (whole.policy.digest, whole.manifest)
    assert {file.path for file in manifest.files} == {"adapter_config.json", "adapter_model.safetensors"}
    assert manifest.lineage.parent == whole.policy.digest
    assert num_bytes(manifest) < 0.1 * num_bytes(side.manifest(whole))


def test_a_player_that_went_on_from_a_checkpoint_stands_on_the_same_base(side: Side, tmp_path: Path) -> None:
    player = a_player(a_text_model(tmp_path / "model"))
    whole = begin(player, side)
    learn(player)
    player.learner.save_state(tmp_path / "state")
    again = a_player(player.directory)
    again.restore(player.to_json())
    again.learner.load_state(tmp_path / "state")
    manifests = [side.manifest(one.publish(side.publisher, round_=1, reason="step")) for one in (player, again)]
    assert [m.base.digest for m in manifests if m.base] == [whole.policy.digest] * 2
    assert manifests[0].files == manifests[1].files


def test_an_experiment_may_ask_for_whole_policies(side: Side, tmp_path: Path) -> None:
    player = a_player(a_text_model(tmp_path / "model"), publish="full")
    begin(player, side)
    learn(player)
    manifest = side.manifest(player.publish(side.publisher, round_=1, reason="step"))
    assert manifest.base is None
    assert "model.safetensors" in {file.path for file in manifest.files}
