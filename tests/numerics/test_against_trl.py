"""Our loss and gradient against TRL's GRPOTrainer on the same samples, weights and advantages, in float64."""

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from harden.trainer.learner.learner import Learner
from harden.trainer.learner.policy import Reader
from harden.trainer.learner.scorer import Scorer
from harden.trainer.learner.settings import LearnerSettings
from harden.trainer.objectives.grpo import advantages_of
from harden.trainer.objectives.ports import SampleGroup, samples_of
from tests.numerics import twins
from tests.support.tiny_models import words

pytest.importorskip("trl")
pytestmark = pytest.mark.filterwarnings("ignore")

BETA, CAP, LONGEST, NUM_ROLLOUTS = 0.2, 2.0, 16, 4


def trl_trainer(model: Any, reader: Reader, loss_type: str, kl_importance: bool, directory: Path) -> Any:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    config = GRPOConfig(
        output_dir=str(directory),
        loss_type=loss_type,
        beta=BETA,
        use_bias_correction_kl=kl_importance,
        epsilon=0.2,
        epsilon_high=0.28,
        num_generations=NUM_ROLLOUTS,
        per_device_train_batch_size=NUM_ROLLOUTS,
        max_completion_length=LONGEST,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
    )
    tokenizer = copy.deepcopy(reader.tokenizer)
    return GRPOTrainer(
        model=model,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=config,
        train_dataset=Dataset.from_list([{"prompt": words()[i]} for i in range(4)]),
        processing_class=tokenizer,
    )


def trl_inputs(
    reader: Reader, groups: list[SampleGroup], theta_R: list[Any], ref_R: list[Any], *, decoupled: bool
) -> dict[str, Any]:
    """What TRL computes its loss from: prompts padded on the left, completions on the right."""
    prompts = reader.encode([group.prompt for group in groups for _ in group.samples])
    samples = samples_of(groups)
    advantages = [value for group in groups for value in advantages_of([sample.reward for sample in group.samples])]
    width = max(len(prompt.token_ids) for prompt in prompts)
    longest = max(len(sample.token_ids) for sample in samples)

    def left(values: list[list[int]]) -> torch.Tensor:
        return torch.tensor([[0] * (width - len(row)) + row for row in values])

    def right(values: list[Any], dtype: torch.dtype) -> torch.Tensor:
        return torch.stack(
            [torch.nn.functional.pad(torch.as_tensor(row, dtype=dtype), (0, longest - len(row))) for row in values]
        )

    behaviour = right([sample.behaviour_logprobs for sample in samples], torch.float64)
    mask = right([[1] * len(sample.token_ids) for sample in samples], torch.int64)
    return {
        "prompt_ids": left([list(prompt.token_ids) for prompt in prompts]),
        "prompt_mask": left([[1] * len(prompt.token_ids) for prompt in prompts]),
        "completion_ids": right([sample.token_ids for sample in samples], torch.int64),
        "completion_mask": mask,
        "advantages": torch.tensor(advantages, dtype=torch.float64),
        "ref_per_token_logps": right(ref_R, torch.float64),
        # Either the ratio is to the policy itself and a weight corrects for the engine, or it is to the engine.
        **(
            {"importance_sampling_ratio": torch.exp(right(theta_R, torch.float64) - behaviour).clamp(max=CAP)}
            if decoupled
            else {"old_per_token_logps": behaviour}
        ),
        "num_items_in_batch": mask.sum(),
    }


@pytest.mark.parametrize("kl_importance", [False, True])
@pytest.mark.parametrize(("loss_type", "normalise"), [("dapo", "token"), ("grpo", "sample"), ("dr_grpo", "constant")])
def test_loss_and_gradient_equal_trls(
    text_model: Path, tmp_path: Path, loss_type: str, normalise: str, kl_importance: bool
) -> None:
    # TRL weighs its KL by the ratio, which is the policy over the engine only where the ratio is.
    decoupled = not kl_importance
    learner = Learner(text_model, LearnerSettings(max_grad_norm=1e9), seed=0)
    # TRL knows no banned tokens.
    learner.model.generation_config.suppress_tokens = None
    learner.model.double()
    learner._scorer = Scorer(learner.model, "tree", 2**24)
    reference = copy.deepcopy(learner.model)
    learner._reference._scorer = Scorer(reference, "tree", 2**24)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in learner.model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    groups = [
        SampleGroup(g.prompt, tuple(dataclasses.replace(s, temperature=1.0) for s in g.samples))
        for g in twins.some_groups(3, NUM_ROLLOUTS, random_seed=2)
    ]

    reader = Reader(text_model)
    twin = twins.double_twin(learner.model)
    # Written-out attention overflows on the rows of left padding, which see nothing.
    twin.set_attn_implementation("sdpa")
    trainer = trl_trainer(twin, reader, loss_type, kl_importance, tmp_path)
    # The weights of samples that another engine drew are TRL's only with vLLM; the loss itself needs none.
    trainer.use_vllm, trainer.vllm_importance_sampling_correction = decoupled, decoupled
    trainer.current_gradient_accumulation_steps = 1
    twin.train()
    with torch.no_grad():
        theta = [twins.answer_logprobs(twin, reader, g.prompt, s.token_ids) for g in groups for s in g.samples]
        ref = [twins.answer_logprobs(reference, reader, g.prompt, s.token_ids) for g in groups for s in g.samples]
    inputs = trl_inputs(reader, groups, theta, ref, decoupled=decoupled)
    loss = trainer._compute_loss(twin, inputs)
    loss.backward()
    objective = {
        "normalise": normalise,
        "kl_beta": BETA,
        "longest": LONGEST,
        "importance_cap": CAP,
        "kl_importance": kl_importance,
        "ratio": "decoupled" if decoupled else "behaviour",
    }
    report = learner.step([twins.grpo(groups, **objective)])

    # Llama's norm computes in float32 for weights of every type: no two layouts agree better than it does.
    assert report.loss == pytest.approx(loss.item(), rel=1e-6)
    assert twins.largest_difference(twins.gradients(twin), twins.gradients(learner.model)) < 1e-6
