"""What a learner does over several steps, and what it leaves behind."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from harden.domain.completion import Sampling
from harden.serving.ports import GenerateRequest, Prompt
from harden.serving.prompt_encoder import PromptEncoder
from harden.serving.transformers_engine import TransformersEngine
from harden.trainer.learner.learner import Learner
from harden.trainer.learner.report import NON_FINITE
from harden.trainer.learner.settings import LearnerSettings
from harden.trainer.objectives.ports import Sample, SampleGroup
from tests.numerics import twins
from tests.support.tiny_models import a_prompt, some_prompts


def an_engine(directory: Path, learner: Learner, *, sees_images: bool = False) -> TransformersEngine:
    """Draws from the learner's own weights as they are now."""
    copied = Learner(directory, learner.settings, seed=0)
    copied.model.load_state_dict(learner.weights(), strict=False)
    return TransformersEngine(copied.model, PromptEncoder(directory, sees_images=sees_images))


def state_of(learner: Learner, directory: Path, name: str = "state") -> Path:
    path = directory / f"{name}.safetensors"
    learner.save_state(path)
    return path


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
            drawn = [
                Sample(s.token_ids, s.logprobs, temperature=0.9, rewards={"lower": r})
                for s, r in zip(samples, rewards, strict=True)
            ]
            groups.append(SampleGroup(request.prompt, tuple(drawn)))
            total += sum(rewards) / len(rewards)
        means.append(total / len(groups))
        report = learner.step([twins.grpo(groups)])
        # The engine drew from the very weights the step began with.
        assert report.figure("is_mean") == pytest.approx(1.0, abs=1e-3)
        assert report.figure("engine_kl_k3") == pytest.approx(0.0, abs=1e-6)
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


def test_a_restored_learner_goes_on_bit_by_bit(text_model: Path, tmp_path: Path) -> None:
    settings = LearnerSettings(epochs=2)
    steps = [
        [twins.grpo(twins.some_groups(3, 4, random_seed=seed), kl_beta=0.1), twins.given((a_prompt("w1"), "w2 w3"))]
        for seed in range(4)
    ]
    original = Learner(text_model, settings, seed=0)
    for step in range(2):
        original.step(steps[step])
    saved = state_of(original, tmp_path)
    restored = Learner(text_model, settings, seed=1)
    restored.step(steps[3])
    restored.load_state(saved)
    assert restored.step_count == 2
    for step in (2, 3):
        one, other = original.step(steps[step]), restored.step(steps[step])
        assert dataclasses.replace(one, seconds=0) == dataclasses.replace(other, seconds=0)
    assert not changed(original.weights(), restored.weights())
    one, other = state_of(original, tmp_path, "one"), state_of(restored, tmp_path, "other")
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("damage", ["truncated", "empty", "other model", "not a state", "missing"])
def test_a_state_that_does_not_fit_changes_nothing(text_model: Path, image_model: Path, tmp_path: Path, damage: str) -> None:
    learner = Learner(text_model, LearnerSettings(), seed=0)
    learner.step([twins.grpo(twins.some_groups(2, 3))])
    state = state_of(learner, tmp_path)
    bad = tmp_path / "bad.safetensors"
    match damage:
        case "truncated":
            bad.write_bytes(state.read_bytes()[:-10])
        case "empty":
            bad.write_bytes(b"")
        case "other model":
            Learner(image_model, LearnerSettings(), seed=0).save_state(bad)
        case "not a state":
            learner.save_weights(bad)
    with pytest.raises(ValueError, match="state"):
        learner.load_state(bad)
    assert state_of(learner, tmp_path, "after").read_bytes() == state.read_bytes()


def test_a_state_belongs_to_the_frozen_weights_it_was_trained_beside(image_model: Path, tmp_path: Path) -> None:
    settings = LearnerSettings(frozen=("*vision_tower*",))
    state = state_of(Learner(image_model, settings, seed=0), tmp_path)
    other = Learner(image_model, settings, seed=0)
    next(p for n, p in other.model.named_parameters() if "vision_tower" in n).data.add_(1.0)
    with pytest.raises(ValueError, match="other frozen weights"):
        other.load_state(state)


def test_a_state_is_held_to_the_first_policy_it_had(text_model: Path, tmp_path: Path) -> None:
    original = Learner(text_model, LearnerSettings(), seed=0)
    original.step([twins.grpo(twins.some_groups(1, 3), kl_beta=0.1)])
    state = state_of(original, tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for file in text_model.iterdir():
        (elsewhere / file.name).write_bytes(file.read_bytes())
    original.save_weights(elsewhere / "model.safetensors")
    with pytest.raises(ValueError, match="another first policy"):
        Learner(elsewhere, LearnerSettings(), seed=0).load_state(state)


def test_weights_are_a_checkpoint_that_transformers_loads(image_model: Path, tmp_path: Path) -> None:
    learner = Learner(image_model, LearnerSettings(), seed=0)
    learner.step([twins.grpo(twins.some_groups(3, 4, images=True))])
    for file in image_model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    learner.save_weights(tmp_path / "model.safetensors")
    loaded = Learner(tmp_path, LearnerSettings(), seed=0)
    assert not changed(learner.weights(), loaded.weights())
    # The serving side swaps by these names without building a model anew.
    assert load_file(tmp_path / "model.safetensors").keys() == load_file(image_model / "model.safetensors").keys()


def test_weights_are_copies(text_model: Path) -> None:
    learner = Learner(text_model, LearnerSettings(), seed=0)
    before = learner.weights()
    learner.step([twins.grpo(twins.some_groups(2, 3))])
    assert changed(before, learner.weights())


def test_frozen_parameters_stay_bit_by_bit(image_model: Path) -> None:
    learner = Learner(image_model, LearnerSettings(frozen=("*vision_tower*", "*projector*")), seed=0)
    before = learner.weights()
    learner.step([twins.grpo(twins.some_groups(3, 4, images=True))])
    moved = changed(before, learner.weights())
    assert moved
    assert not any("vision" in name or "projector" in name for name in moved)


def test_a_frozen_pattern_that_matches_nothing_is_refused(text_model: Path) -> None:
    with pytest.raises(ValueError, match="no parameter"):
        Learner(text_model, LearnerSettings(frozen=("*vision*",)), seed=0)


def test_equal_rewards_move_nothing(text_model: Path, tmp_path: Path) -> None:
    learner = Learner(text_model, LearnerSettings(), seed=0)
    learner.step([twins.grpo(twins.some_groups(2, 3))])  # so that the optimiser has momentum
    before = state_of(learner, tmp_path)
    groups = [
        SampleGroup(group.prompt, tuple(dataclasses.replace(sample, rewards={"task": 1.0}) for sample in group.samples))
        for group in twins.some_groups(2, 3)
    ]
    report = learner.step([twins.grpo(groups)])
    assert not report.moved
    assert report.skipped == ""
    assert report.figure("zero_variance_share") == 1.0
    learner.step_count -= 1
    assert state_of(learner, tmp_path, "after").read_bytes() == before.read_bytes()


def test_a_step_without_samples_moves_nothing(text_model: Path) -> None:
    learner = Learner(text_model, LearnerSettings(), seed=0)
    for terms in ([], [twins.grpo([], kl_beta=0.1)]):
        report = learner.step(terms)
        assert (report.moved, report.skipped, report.num_samples) == (False, "", 0)


def test_one_player_learns_and_the_other_stays_as_it_was(text_model: Path, image_model: Path) -> None:
    attacker = Learner(text_model, LearnerSettings(), seed=0)
    defender = Learner(image_model, LearnerSettings(), seed=0)
    before = attacker.weights()
    for seed in range(3):
        defender.step([twins.grpo(twins.some_groups(2, 3, random_seed=seed))])
    assert not changed(before, attacker.weights())
    assert attacker.step_count == 0


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_gradient_that_is_not_finite_is_skipped_and_counted(text_model: Path, tmp_path: Path, epochs: int) -> None:
    learner = Learner(text_model, LearnerSettings(epochs=epochs), seed=0)
    learner.step([twins.grpo(twins.some_groups(2, 3))])
    before = state_of(learner, tmp_path)
    # A rate at which float32 overflows: exp(theta - behav) is infinite, and nothing caps it.
    (group, *_) = twins.some_groups(1, 3)
    impossible = [dataclasses.replace(s, behaviour_logprobs=tuple(-1e5 for _ in s.token_ids)) for s in group.samples]
    report = learner.step([twins.grpo([SampleGroup(group.prompt, tuple(impossible))], ratio="behaviour", advantages="dr_grpo")])
    assert report.skipped == NON_FINITE
    assert not report.moved
    learner.step_count -= 1
    assert state_of(learner, tmp_path, "after").read_bytes() == before.read_bytes()
    learner.step_count += 1
    assert learner.step([twins.grpo(twins.some_groups(2, 3))]).moved, "the next step is not touched by it"


def test_settings_that_cannot_act_are_said_once(text_model: Path) -> None:
    learner = Learner(text_model, LearnerSettings(), seed=0)
    groups = twins.some_groups(1, 3)
    (note,) = learner.step([twins.grpo(groups, clip_low=0.1)]).notes
    assert "clip_low cannot act" in note
    assert learner.step([twins.grpo(groups, clip_low=0.1)]).notes == ()
    for settings, epochs in (({"clip_low": 0.1, "ratio": "behaviour"}, 1), ({"clip_high": 0.3}, 2), ({"clip_low": 0.2}, 1)):
        other = Learner(text_model, LearnerSettings(epochs=epochs), seed=0)
        assert other.step([twins.grpo(groups, **settings)]).notes == ()


def test_later_epochs_keep_the_start_of_the_step_as_prox(text_model: Path) -> None:
    learner = Learner(text_model, LearnerSettings(epochs=3, learning_rate=1e-3), seed=0)
    report = learner.step([twins.grpo(twins.some_groups(3, 4))])
    # In the last epoch the policy has moved away from where the step began.
    assert report.figure("ratio_max") > 1.0
    assert report.figure("is_max") <= 2.0


def test_the_learning_rate_falls_to_its_share_and_stays_there(text_model: Path) -> None:
    """The first update of AdamW is the learning rate times the gradient's sign, so what moves says what the rate was."""
    settings = LearnerSettings(learning_rate=1e-3, decay_steps=4, decay_to=0.2)
    learner = Learner(text_model, settings, seed=0)
    rates = []
    for _ in range(6):
        rates.append(learner.learning_rate)
        learner.step([twins.grpo(twins.some_groups(1, 4))])
    assert rates == pytest.approx([1e-3, 8e-4, 6e-4, 4e-4, 2e-4, 2e-4])
    assert moved_by_the_next_step(learner, text_model) == pytest.approx(2e-4, rel=0.01)
    assert moved_by_the_next_step(Learner(text_model, settings, seed=0), text_model) == pytest.approx(1e-3, rel=0.01)


def moved_by_the_next_step(learner: Learner, directory: Path) -> float:
    """The furthest that one parameter goes, with a fresh optimiser at the same count of steps."""
    fresh = Learner(directory, learner.settings, seed=0)
    fresh.step_count = learner.step_count
    before = fresh.weights()
    fresh.step([twins.grpo(twins.some_groups(1, 4))])
    return max(float((after - before[name]).abs().max()) for name, after in fresh.weights().items())


def test_the_report_says_how_stale_the_samples_were(text_model: Path) -> None:
    learner = Learner(text_model, LearnerSettings(), seed=0)
    report = learner.step([twins.grpo(twins.some_groups(4, 6))])
    assert 0 < report.figure("is_ess") < 1
    assert report.figure("engine_kl_k3") > 0
    assert 0 < report.figure("entropy") < math.log(88)
    assert report.num_positions < report.num_tokens * 3


def test_a_banned_token_is_refused(text_model: Path) -> None:
    learner = Learner(text_model, LearnerSettings(), seed=0)
    with pytest.raises(ValueError, match="suppress_tokens"):
        learner.step([twins.grpo([SampleGroup(a_prompt(), (Sample((5, 2), (-1.0, -1.0)),))])])


def test_a_given_sample_is_refused_where_the_engines_logprobs_are_needed(text_model: Path) -> None:
    learner = Learner(text_model, LearnerSettings(), seed=0)
    with pytest.raises(ValueError, match="this one was given"):
        learner.step([twins.grpo([SampleGroup(a_prompt(), (Sample((9, 2)),))])])


def test_terms_need_different_names(text_model: Path) -> None:
    learner = Learner(text_model, LearnerSettings(), seed=0)
    with pytest.raises(ValueError, match="different names"):
        learner.step([twins.given((a_prompt(), "w1")), twins.given((a_prompt(), "w2"))])


def test_samples_and_logprobs_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="2 tokens but 1"):
        Sample((5, 2), (-1.0,))


def test_greedy_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="temperature"):
        Sample((5, 2), (-1.0, -1.0), temperature=0.0)
