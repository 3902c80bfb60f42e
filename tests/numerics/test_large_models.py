"""What a learner needs for real models: bfloat16, gradient checkpointing, adapters, chunked log-probs. Each on a tiny model,
against the plain way to compute the same."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaForCausalLM

from harden.trainer.learner.learner import Learner
from harden.trainer.learner.logprobs import Choice, chosen_logprobs
from harden.trainer.learner.policy import Reader, load_model
from harden.trainer.learner.settings import LearnerSettings, LoRASettings
from harden.trainer.objectives.dpo import DPO, DPOSettings
from harden.trainer.objectives.ports import Sample, SampleGroup, Term
from tests.numerics import twins
from tests.support.tiny_models import a_prompt, some_prompts

LORA = LoRASettings(rank=4, alpha=8)


def a_learner(directory: Path, **settings: Any) -> Learner:
    return Learner(directory, LearnerSettings(max_grad_norm=1e9, **settings), seed=0)


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def stir_adapters(learner: Learner) -> None:
    """Adapters begin as zero; here they are something."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in learner.model.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)


# Chunked log-probs


@pytest.mark.parametrize("max_logits", [1, 30, 100, 10_000])
@pytest.mark.parametrize("entropy", [False, True])
def test_chunks_are_exact(max_logits: int, entropy: bool) -> None:
    """In value, entropy and gradient, in float64, for any size of chunk, with positions that predict several tokens or none."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(9, 6, generator=generator, dtype=torch.float64)
    ban = torch.zeros(11, dtype=torch.float64)
    ban[3] = torch.finfo(torch.float32).min
    choice = Choice(
        torch.rand(9, generator=generator, dtype=torch.float64) + 0.5,
        ban,
        torch.tensor([8, 0, 4, 4, 2, 7, 0]),
        torch.tensor([1, 2, 10, 0, 5, 6, 9]),
    )
    results = []
    for limit in (10**9, max_logits):
        head = torch.nn.Linear(6, 11).double()
        head.load_state_dict({"weight": torch.arange(66.0).reshape(11, 6).sin(), "bias": torch.arange(11.0).cos()})
        given = hidden.clone().requires_grad_()
        predictions = chosen_logprobs(given, head, choice, max_logits=limit, entropy=entropy)
        (predictions.logprobs_N * torch.arange(1.0, 8.0)).sum().backward()
        assert (predictions.entropy_N is not None) is entropy
        entropies = predictions.entropy_N if predictions.entropy_N is not None else torch.zeros(7)
        results.append([predictions.logprobs_N.detach(), entropies, given.grad, head.weight.grad, head.bias.grad])
    for whole, chunked in zip(*results, strict=True):
        assert torch.allclose(whole, chunked, atol=1e-12)


def test_chunks_never_hold_more_logits_than_allowed() -> None:
    sizes: list[int] = []

    def head(hidden_UH: Tensor) -> Tensor:
        logits = hidden_UH @ torch.ones(4, 50)
        sizes.append(logits.numel())
        return logits

    choice = Choice(torch.ones(20), torch.zeros(50), torch.arange(20), torch.arange(20))
    hidden = torch.randn(20, 4, requires_grad=True)
    chosen_logprobs(hidden, head, choice, max_logits=150, entropy=False).logprobs_N.sum().backward()
    assert max(sizes) <= 150
    # Once forwards and once more in the backward pass.
    assert sum(sizes) == 2 * 20 * 50


@pytest.mark.parametrize("layout", ["tree", "rows"])
def test_a_step_in_chunks_is_the_step(text_model: Path, layout: str) -> None:
    groups = twins.some_groups(4, 5)
    whole, chunked = a_learner(text_model, layout=layout), a_learner(text_model, layout=layout, max_logits=500)
    one, other = whole.step([twins.grpo(groups)]), chunked.step([twins.grpo(groups)])
    assert one.terms["grpo"] == pytest.approx(other.terms["grpo"], rel=1e-5)
    assert twins.largest_difference(twins.gradients(whole.model), twins.gradients(chunked.model)) < 1e-6


def test_a_model_that_does_more_to_its_logits_is_scored_by_its_own_forward(text_model: Path) -> None:
    """Scaled logits stand for any head that is not just the output embedding."""

    class Scaled(LlamaForCausalLM):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            output = super().forward(*args, **kwargs)
            output.logits = 2 * output.logits
            return output

    learner = a_learner(text_model)
    learner.model.__class__ = Scaled
    learner._scorer = type(learner._scorer)(learner.model, "auto", 2**24)
    assert not learner._scorer.uses_tree
    (group,) = twins.some_groups(1, 1)
    token_ids = group.samples[0].token_ids
    expected = twins.answer_logprobs(learner.model, Reader(text_model), group.prompt, token_ids)
    assert learner.logprobs([group.prompt], [token_ids])[0] == pytest.approx(expected.tolist(), abs=1e-4)


# Gradient checkpointing


@pytest.mark.parametrize("images", [False, True])
def test_checkpointing_changes_no_gradient(text_model: Path, image_model: Path, images: bool) -> None:
    directory = image_model if images else text_model
    groups = twins.some_groups(3, 4, images=images)
    plain, checkpointed = a_learner(directory), a_learner(directory, gradient_checkpointing=True)
    gradient = twins.stepped(plain, twins.grpo(groups))
    assert twins.largest_difference(gradient, twins.stepped(checkpointed, twins.grpo(groups))) < 1e-6


def test_checkpointing_turns_no_dropout_on_and_computes_layers_again(text_model: Path, tmp_path: Path) -> None:
    for file in text_model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "attention_dropout": 0.5}))
    learner, plain = a_learner(tmp_path, gradient_checkpointing=True), a_learner(tmp_path)
    calls = [0, 0]
    for i, one in enumerate((learner, plain)):
        # Before, not after: the second computation stops once it has what the backward pass needs.
        one.model.model.layers[0].mlp.register_forward_pre_hook(lambda *_, i=i: calls.__setitem__(i, calls[i] + 1))
    groups = twins.some_groups(3, 4)
    gradients = [twins.stepped(one, twins.grpo(groups)) for one in (learner, plain)]
    assert twins.largest_difference(*gradients) < 1e-6
    assert calls[0] == 2 * calls[1]


# bfloat16


def test_bfloat16_computes_in_it_and_learns_in_float32(text_model: Path) -> None:
    """An update far below bfloat16's resolution of a weight is not lost: it adds up in the master."""
    learner = Learner(text_model, LearnerSettings(dtype="bfloat16", learning_rate=1e-5), seed=0)
    assert {p.dtype for p in learner.model.parameters()} == {torch.bfloat16}
    before = {name: p.detach().clone() for name, p in learner._optimiser.weights().items()}
    assert {p.dtype for p in before.values()} == {torch.float32}
    groups = twins.some_groups(3, 4)
    for _ in range(10):
        learner.step([twins.grpo(groups)])
    moved = {name: (p.detach() - before[name]).abs().max().item() for name, p in learner._optimiser.weights().items()}
    assert max(moved.values()) == pytest.approx(1e-4, rel=0.1)  # ten steps in one direction
    assert {tensor.dtype for tensor in learner.weights().values()} == {torch.bfloat16}
    for name, parameter in learner.model.named_parameters():
        assert torch.equal(parameter, learner._optimiser.weights()[name].bfloat16()), "the policy is its master, rounded"


def test_bfloat16s_gradient_is_float32s_to_its_precision(text_model: Path) -> None:
    groups = twins.some_groups(4, 5)
    full, narrow = a_learner(text_model), a_learner(text_model, dtype="bfloat16")
    gradient = twins.stepped(full, twins.grpo(groups))
    narrow.step([twins.grpo(groups)])
    ours = {n: p.grad.double() for n, p in narrow._optimiser.weights().items() if p.grad is not None}
    assert ours.keys() == gradient.keys()
    one, other = (torch.cat([g[n].flatten() for n in sorted(gradient)]) for g in (gradient, ours))
    assert torch.nn.functional.cosine_similarity(one, other, dim=0) > 0.995


def test_gradients_of_many_passes_are_added_in_float32(text_model: Path) -> None:
    """Each of 300 equal passes adds 1/300; in bfloat16 the sum would stop growing on the way."""
    learner = a_learner(text_model, dtype="bfloat16")
    parameter = next(iter(learner.model.parameters()))
    master = next(iter(learner._optimiser.weights().values()))
    learner._optimiser.zero_grad()
    for _ in range(300):
        (parameter.sum() / 300).backward()
    assert parameter.grad is None
    assert master.grad is not None
    assert master.grad.mean().item() == pytest.approx(1.0, rel=5e-3)


def test_a_bfloat16_learner_goes_on_from_its_masters(text_model: Path, tmp_path: Path) -> None:
    settings = LearnerSettings(dtype="bfloat16", learning_rate=1e-5)
    original, restored = Learner(text_model, settings, seed=0), Learner(text_model, settings, seed=1)
    original.step([twins.grpo(twins.some_groups(3, 4))])
    original.save_state(tmp_path / "state")
    restored.load_state(tmp_path / "state")
    for learner in (original, restored):
        learner.step([twins.grpo(twins.some_groups(3, 4, random_seed=1), kl_beta=0.1)])
    assert not changed(*({n: p.detach() for n, p in x._optimiser.weights().items()} for x in (original, restored)))


# Adapters


def test_a_fresh_adapter_changes_nothing(text_model: Path) -> None:
    prompts, token_ids = some_prompts(3, longest=8), [[9, 10, 2]] * 3
    plain, adapted = a_learner(text_model), a_learner(text_model, lora=LORA)
    for one, other in zip(plain.logprobs(prompts, token_ids), adapted.logprobs(prompts, token_ids), strict=True):
        assert one == pytest.approx(other, abs=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_only_adapters_learn(text_model: Path, dtype: str) -> None:
    learner = Learner(text_model, LearnerSettings(lora=LORA, dtype=dtype), seed=0)
    before = {name: p.detach().clone() for name, p in learner.model.named_parameters()}
    for seed in range(2):  # one half of each adapter begins as zero, so the other half has no gradient in the first step
        learner.step([twins.grpo(twins.some_groups(3, 4, random_seed=seed))])
    moved = changed(before, {name: p.detach() for name, p in learner.model.named_parameters()})
    assert moved == {name for name in before if "lora_" in name}
    assert {p.dtype for p in learner._optimiser.weights().values()} == {torch.float32}


def test_the_merged_form_is_the_policy_without_peft(image_model: Path, tmp_path: Path) -> None:
    """Named as the directory names it, and with the same log-probs."""
    learner = a_learner(image_model, lora=LORA)
    stir_adapters(learner)
    for file in image_model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    learner.save_weights(tmp_path / "model.safetensors")
    before, after = load_file(image_model / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert before.keys() == after.keys()
    assert changed(before, after)
    merged = a_learner(tmp_path)
    prompts, token_ids = some_prompts(3, longest=8), [[9, 10, 2]] * 3
    for one, other in zip(learner.logprobs(prompts, token_ids), merged.logprobs(prompts, token_ids), strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_the_adapter_form_is_what_peft_loads_onto_the_base(text_model: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    learner = a_learner(text_model, lora=LORA)
    stir_adapters(learner)
    learner.save_weights(tmp_path / "adapter_model.safetensors", "adapter")
    (tmp_path / "adapter_config.json").write_text(json.dumps(learner.adapter_config(str(text_model))))
    loaded = PeftModel.from_pretrained(load_model(text_model, torch.device("cpu")), str(tmp_path)).merge_and_unload()
    ours = learner.weights()
    for name, tensor in loaded.state_dict().items():
        if name in ours:
            assert torch.allclose(tensor, ours[name], atol=1e-6), name
    assert sum(t.numel() for t in learner.weights("adapter").values()) < 0.2 * sum(t.numel() for t in ours.values())


def test_without_adapters_there_is_no_adapter_form(text_model: Path) -> None:
    learner = a_learner(text_model)
    with pytest.raises(ValueError, match="set `lora`"):
        learner.weights("adapter")
    with pytest.raises(ValueError, match="set `lora`"):
        learner.adapter_config("base")


def test_under_adapters_the_reference_is_the_policy_without_them(text_model: Path) -> None:
    """The same loss and gradient as with a reference of its own, and no second model."""
    chosen = Sample((20, 21, 22, 2), rewards={"p": 1.0}, pair="p")
    pair = SampleGroup(a_prompt("w1 w2"), (chosen, dataclasses.replace(chosen, token_ids=(31, 2), rewards={"p": 0.0})))
    adapted = a_learner(text_model, lora=LORA)
    stir_adapters(adapted)
    reference = twins.double_twin(load_model(text_model, torch.device("cpu")))
    settings = DPOSettings(beta=0.3)
    expected = twins.dpo_loss(twins.double_twin(adapted.model), reference, Reader(text_model), [pair], settings)
    report = adapted.step([Term(DPO(settings), [pair])])
    assert report.loss == pytest.approx(expected.item(), rel=1e-4)
    assert adapted._reference._scorer is None
    assert report.moved


def test_frozen_patterns_freeze_adapters_too(image_model: Path) -> None:
    learner = Learner(image_model, LearnerSettings(lora=LORA, frozen=("*vision_tower*",)), seed=0)
    trained = set(learner._optimiser.weights())
    assert trained
    assert not any("vision_tower" in name for name in trained)
    before = learner.weights()
    # A KL asks for the reference between passes, which must not thaw anything.
    for seed in range(2):
        learner.step([twins.grpo(twins.some_groups(3, 4, images=True, random_seed=seed), kl_beta=0.1)])
    assert set(learner._optimiser.weights()) == {n for n, p in learner.model.named_parameters() if p.requires_grad}
    moved = changed(before, learner.weights())
    assert moved
    assert not any("vision_tower" in name for name in moved)


def test_targets_that_match_nothing_are_named(text_model: Path) -> None:
    with pytest.raises(ValueError, match=r"lora\.targets \['w_q'\] match no module"):
        a_learner(text_model, lora=LoRASettings(targets=("w_q",)))


def test_an_adapters_state_is_small_and_goes_on_bit_by_bit(text_model: Path, tmp_path: Path) -> None:
    settings = LearnerSettings(lora=LORA, gradient_checkpointing=True)
    original, restored = Learner(text_model, settings, seed=0), Learner(text_model, settings, seed=1)
    original.step([twins.grpo(twins.some_groups(3, 4))])
    original.save_state(tmp_path / "state")
    restored.load_state(tmp_path / "state")
    for learner in (original, restored):
        learner.step([twins.grpo(twins.some_groups(3, 4, random_seed=1), kl_beta=0.1)])
    assert not changed(original.weights(), restored.weights())
    whole = Learner(text_model, LearnerSettings(), seed=0)
    whole.step([twins.grpo(twins.some_groups(3, 4))])
    whole.save_state(tmp_path / "whole")
    assert (tmp_path / "state").stat().st_size < 0.3 * (tmp_path / "whole").stat().st_size


def test_everything_together_learns(text_model: Path) -> None:
    learner = Learner(
        text_model,
        LearnerSettings(
            dtype="bfloat16", lora=LORA, gradient_checkpointing=True, max_logits=500, max_tokens_per_pass=60, learning_rate=1e-2
        ),
        seed=0,
    )
    texts = twins.given(*((prompt, "w3 w4 w5") for prompt in some_prompts(4, longest=8)))
    losses = [learner.step([texts]).loss for _ in range(8)]
    assert losses[-1] < 0.5 * losses[0], losses
