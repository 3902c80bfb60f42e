"""What a learner does over several steps, and what it leaves behind."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load

from harden.domain.completion import Sampling
from harden.serving.ports import GenerateRequest, Prompt
from harden.serving.prompt_encoder import PromptEncoder
from harden.serving.transformers_engine import TransformersEngine
from harden.trainer.core import advantages
from harden.trainer.learner.learner import Anchor, Group, Learner, Rollout
from harden.trainer.learner.settings import LearnerSettings, ObjectiveSettings
from tests.numerics import twins
from tests.support.tiny_models import a_prompt, some_prompts


def an_engine(directory: Path, learner: Learner, *, sees_images: bool = False) -> TransformersEngine:
    """Draws from the learner's own weights as they are now."""
    copied = Learner(directory, learner.settings, seed=0)
    copied.load_state(learner.save_state())
    return TransformersEngine(copied.model, PromptEncoder(directory, sees_images=sees_images))


def requests(prompts: list[Prompt], num_samples: int, random_seed: int, max_tokens: int = 4) -> list[GenerateRequest]:
    sampling = Sampling(max_tokens, temperature=0.9)
    return [GenerateRequest(prompt, num_samples, sampling, random_seed + i) for i, prompt in enumerate(prompts)]


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_reward_rises_in_a_few_steps(text_model: Path) -> None:
    """Rewarded for every token of the lower half of the vocabulary, sampled by the real engine."""
    learner = Learner(text_model, LearnerSettings(learning_rate=1e-3), seed=0)
    prompts = some_prompts(6, longest=8)
    means = []
    for step in range(6):
        asked = requests(prompts, 8, random_seed=100 * step)
        groups, total = [], 0.0
        for request, samples in zip(asked, an_engine(text_model, learner).generate(asked), strict=True):
            rewards = [sum(token < 44 for token in sample.token_ids) / len(sample.token_ids) for sample in samples]
            values = advantages.of_group(rewards)
            rollouts = tuple(Rollout(s.token_ids, s.logprobs, a) for s, a in zip(samples, values, strict=True))
            groups.append(Group(request.prompt, rollouts, temperature=0.9))
            total += sum(rewards) / len(rewards)
        means.append(total / len(groups))
        report = learner.step(groups)
        # The engine drew from the very weights the step began with.
        assert report.is_mean == pytest.approx(1.0, abs=1e-3)
        assert report.engine_kl_k3 == pytest.approx(0.0, abs=1e-6)
    assert means[-1] > means[0] + 0.2, means


@pytest.mark.parametrize("images", [False, True])
def test_logprobs_match_the_engines(text_model: Path, image_model: Path, images: bool) -> None:
    directory = image_model if images else text_model
    learner = Learner(directory, LearnerSettings(), seed=0)
    engine = an_engine(directory, learner, sees_images=images)
    prompts = [group.prompt for group in twins.some_groups(5, 1, images=images)]
    token_ids = [[10, 11, 12, 2], [40], [9, 9, 9], [30, 2], [50, 51, 52, 53, 54]]
    for ours, theirs in zip(learner.logprobs(prompts, token_ids), engine.logprobs(prompts, token_ids), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)


def test_a_restored_learner_goes_on_bit_by_bit(text_model: Path) -> None:
    settings = LearnerSettings(objective=ObjectiveSettings(kl_beta=0.1), epochs=2)
    groups = [twins.some_groups(3, 4, random_seed=seed) for seed in range(4)]
    anchors = [Anchor(a_prompt("w1"), "w2 w3")]
    original = Learner(text_model, settings, seed=0)
    for step in range(2):
        original.step(groups[step], anchors)
    saved = original.save_state()
    restored = Learner(text_model, settings, seed=1)
    restored.step(groups[3])
    restored.load_state(saved)
    assert restored.step_count == 2
    for step in (2, 3):
        one, other = original.step(groups[step], anchors), restored.step(groups[step], anchors)
        assert dataclasses.replace(one, seconds=0) == dataclasses.replace(other, seconds=0)
    assert not changed(original.weights(), restored.weights())
    assert original.save_state() == restored.save_state()


@pytest.mark.parametrize("damage", ["truncated", "empty", "other model", "not a state"])
def test_a_state_that_does_not_fit_changes_nothing(text_model: Path, image_model: Path, damage: str) -> None:
    learner = Learner(text_model, LearnerSettings(), seed=0)
    learner.step(twins.some_groups(2, 3))
    state = learner.save_state()
    bad = {
        "truncated": state[:-10],
        "empty": b"",
        "other model": Learner(image_model, LearnerSettings(), seed=0).save_state(),
        "not a state": learner.weights_bytes(),
    }[damage]
    with pytest.raises(ValueError, match="state"):
        learner.load_state(bad)
    assert learner.save_state() == state


def test_weights_are_a_checkpoint_that_transformers_loads(image_model: Path, tmp_path: Path) -> None:
    learner = Learner(image_model, LearnerSettings(), seed=0)
    learner.step(twins.some_groups(3, 4, images=True))
    for file in image_model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(learner.weights_bytes())
    loaded = Learner(tmp_path, LearnerSettings(), seed=0)
    assert not changed(learner.weights(), loaded.weights())
    # The serving side swaps by these names without building a model anew.
    assert load(learner.weights_bytes()).keys() == load((image_model / "model.safetensors").read_bytes()).keys()


def test_weights_are_copies(text_model: Path) -> None:
    learner = Learner(text_model, LearnerSettings(), seed=0)
    before = learner.weights()
    learner.step(twins.some_groups(2, 3))
    assert changed(before, learner.weights())


def test_frozen_parameters_stay_bit_by_bit(image_model: Path) -> None:
    learner = Learner(image_model, LearnerSettings(frozen=("*vision_tower*", "*projector*")), seed=0)
    before = learner.weights()
    learner.step(twins.some_groups(3, 4, images=True))
    moved = changed(before, learner.weights())
    assert moved
    assert not any("vision" in name or "projector" in name for name in moved)


def test_a_frozen_pattern_that_matches_nothing_is_refused(text_model: Path) -> None:
    with pytest.raises(ValueError, match="no parameter"):
        Learner(text_model, LearnerSettings(frozen=("*vision*",)), seed=0)


def test_equal_rewards_move_nothing(text_model: Path) -> None:
    learner = Learner(text_model, LearnerSettings(), seed=0)
    learner.step(twins.some_groups(2, 3))  # so that the optimiser has momentum
    before = learner.save_state()
    groups = [
        Group(group.prompt, tuple(dataclasses.replace(rollout, advantage=0.0) for rollout in group.rollouts))
        for group in twins.some_groups(2, 3)
    ]
    report = learner.step(groups)
    assert not report.moved
    assert report.zero_variance_share == 1.0
    learner.step_count -= 1
    assert learner.save_state() == before


def test_one_side_learns_and_the_other_stays_as_it_was(text_model: Path, image_model: Path) -> None:
    attacker = Learner(text_model, LearnerSettings(), seed=0)
    defender = Learner(image_model, LearnerSettings(), seed=0)
    before = attacker.save_state()
    for seed in range(3):
        defender.step(twins.some_groups(2, 3, random_seed=seed))
    assert attacker.weights_bytes() == load_weights(before, attacker)
    assert attacker.step_count == 0


def load_weights(state: bytes, learner: Learner) -> bytes:
    learner.load_state(state)
    return learner.weights_bytes()


def test_later_epochs_keep_the_start_of_the_step_as_prox(text_model: Path) -> None:
    learner = Learner(text_model, LearnerSettings(epochs=3, learning_rate=1e-3), seed=0)
    report = learner.step(twins.some_groups(3, 4))
    # In the last epoch the policy has moved away from where the step began.
    assert report.ratio_max > 1.0
    assert report.is_max <= 2.0


def test_the_learning_rate_falls_to_its_share_and_stays_there(text_model: Path) -> None:
    """The first update of AdamW is the learning rate times the gradient's sign, so what moves says what the rate was."""
    settings = LearnerSettings(learning_rate=1e-3, decay_steps=4, decay_to=0.2)
    learner = Learner(text_model, settings, seed=0)
    rates = []
    for _ in range(6):
        rates.append(learner.learning_rate)
        learner.step(twins.some_groups(1, 4))
    assert rates == pytest.approx([1e-3, 8e-4, 6e-4, 4e-4, 2e-4, 2e-4])
    assert moved_by_the_next_step(learner, text_model) == pytest.approx(2e-4, rel=0.01)
    assert moved_by_the_next_step(Learner(text_model, settings, seed=0), text_model) == pytest.approx(1e-3, rel=0.01)


def moved_by_the_next_step(learner: Learner, directory: Path) -> float:
    """The furthest that one parameter goes, with a fresh optimiser at the same count of steps."""
    fresh = Learner(directory, learner.settings, seed=0)
    fresh.step_count = learner.step_count
    before = fresh.weights()
    fresh.step(twins.some_groups(1, 4))
    return max(float((after - before[name]).abs().max()) for name, after in fresh.weights().items())


def test_the_report_says_how_stale_the_samples_were(text_model: Path) -> None:
    learner = Learner(text_model, LearnerSettings(), seed=0)
    report = learner.step(twins.some_groups(4, 6))
    assert 0 < report.is_ess < 1
    assert report.engine_kl_k3 > 0
    assert 0 < report.entropy < math.log(88)
    assert report.num_positions < report.num_tokens * 3


def test_a_banned_token_is_refused(text_model: Path) -> None:
    learner = Learner(text_model, LearnerSettings(), seed=0)
    with pytest.raises(ValueError, match="suppress_tokens"):
        learner.step([Group(a_prompt(), (Rollout((5, 2), (-1.0, -1.0), 1.0),))])


def test_samples_and_logprobs_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="2 tokens but 1"):
        Rollout((5, 2), (-1.0,), 1.0)


def test_greedy_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="temperature"):
        Group(a_prompt(), (), temperature=0.0)
