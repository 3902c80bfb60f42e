"""Settings of the learner. Every default is the one that hardened the arena's defender."""

from typing import Literal

from pydantic import Field, model_validator

from harden.config import Section


class ObjectiveSettings(Section):
    """The GRPO loss."""

    normalise: Literal["token", "sample", "constant"] = "token"
    """What a token's term is divided by: all tokens of the step (DAPO); its sample's tokens and the number of samples
    (GRPO); or the number of samples times `longest` (Dr. GRPO)."""
    longest: int = Field(default=64, ge=1)
    """Tokens per sample that `constant` divides by; unused otherwise."""
    clip_low: float = Field(default=0.2, ge=0, le=1)
    """The ratio counts down to 1 - clip_low."""
    clip_high: float = Field(default=0.28, ge=0)
    """The ratio counts up to 1 + clip_high."""
    ratio: Literal["decoupled", "behaviour"] = "decoupled"
    """What the clipped ratio compares the policy with: itself at the start of the step, the engine's distance being
    corrected by the importance weight; or directly the engine that sampled (plain PPO, no weight)."""
    importance: Literal["truncate", "mask", "none"] = "truncate"
    """Weight of a token that another policy sampled than the one at the start of the step: capped at `importance_cap`,
    dropped outside [1 / cap, cap], or always 1. Only with the decoupled ratio."""
    importance_cap: float = Field(default=2.0, ge=1)
    """C of the importance weight."""
    kl_beta: float = Field(default=0.0, ge=0)
    """Weight of the KL to the first policy. 0 keeps no reference and skips its pass."""
    kl_estimator: Literal["k1", "k2", "k3"] = "k3"
    """k3 pulls along the forward KL, k2 along the reverse; k1 in the reward does what k2 in the loss does."""
    kl_in: Literal["loss", "reward"] = "loss"
    """Whether the KL is differentiated or subtracted from the advantage."""
    kl_importance: bool = False
    """Multiply the KL in the loss by the ratio: unbiased on stale samples."""

    @model_validator(mode="after")
    def _kl_moves_something(self) -> "ObjectiveSettings":
        if self.kl_beta > 0 and self.kl_estimator == "k1" and self.kl_in == "loss" and not self.kl_importance:
            raise ValueError(
                "k1 in the loss has a gradient of mean zero and would hold the policy nowhere: "
                "use k2 or k3, set kl_importance, or put it into the reward with kl_in: reward"
            )
        return self


class LearnerSettings(Section):
    """How a policy is updated."""

    objective: ObjectiveSettings = ObjectiveSettings()
    """The loss."""
    learning_rate: float = Field(default=2e-4, gt=0)
    """AdamW's learning rate."""
    decay_steps: int = Field(default=0, ge=0)
    """Steps over which the learning rate falls linearly to `decay_to` of itself, and stays there; 0 keeps it constant.
    AdamW takes steps of full size however small the gradient, so late in a game, when few attacks work, a constant rate
    moves a policy mostly by noise."""
    decay_to: float = Field(default=0.2, gt=0, le=1)
    """What is left of the learning rate after `decay_steps`."""
    beta_1: float = Field(default=0.9, ge=0, lt=1)
    """AdamW's decay of the mean."""
    beta_2: float = Field(default=0.95, ge=0, lt=1)
    """AdamW's decay of the square."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's weight decay."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Longer gradients are scaled down to this norm."""
    epochs: int = Field(default=1, ge=1, le=16)
    """Updates on the same groups per step."""
    anchor_weight: float = Field(default=0.3, ge=0)
    """Weight of the supervised loss beside the objective; 0 ignores anchors."""
    frozen: tuple[str, ...] = ()
    """Shell patterns of parameter names that never change, such as `*vision_tower*` and `*projector*`."""
    layout: Literal["auto", "tree", "rows"] = "auto"
    """`tree` computes a prompt and equal beginnings of its samples once; `rows` gives each distinct sample a padded row.
    `auto` takes the tree where a check at the start finds both to agree."""
    max_tokens_per_pass: int = Field(default=2048, ge=16)
    """Padded tokens in one forward and backward pass; changes no result. Small ones stay in a CPU's cache, a GPU wants more."""
    device: str = "cpu"
    """Where the policy lives, as torch names it."""
    num_threads: int = Field(default=0, ge=0)
    """Threads torch computes with; 0 leaves torch's own choice."""
