"""Settings of the learner. Every default is the one that hardened the arena's defender."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ObjectiveSettings(_Frozen):
    """The GRPO loss."""

    normalise: Literal["token", "sample", "constant"] = Field(
        "token",
        description="What a token's term is divided by: all tokens of the step (DAPO), its sample's tokens and the samples "
        "(GRPO), or the samples times `longest` (Dr. GRPO).",
    )
    longest: int = Field(64, ge=1, description="Tokens per sample that `constant` divides by; unused otherwise.")
    clip_low: float = Field(0.2, ge=0, le=1, description="The ratio counts down to 1 - clip_low.")
    clip_high: float = Field(0.28, ge=0, description="The ratio counts up to 1 + clip_high.")
    ratio: Literal["decoupled", "behaviour"] = Field(
        "decoupled",
        description="What the clipped ratio compares the policy with: itself at the start of the step, the engine's distance "
        "being corrected by the importance weight; or directly the engine that sampled (plain PPO, no weight).",
    )
    importance: Literal["truncate", "mask", "none"] = Field(
        "truncate",
        description="Weight of a token sampled by a policy other than the one at the start of the step: capped at "
        "`importance_cap`, dropped outside [1/cap, cap], or always 1. Only with the decoupled ratio.",
    )
    importance_cap: float = Field(2.0, ge=1, description="C of the importance weight.")
    kl_beta: float = Field(
        0.0, ge=0, description="Weight of the KL to the first policy. 0 keeps no reference and skips its pass."
    )
    kl_estimator: Literal["k1", "k2", "k3"] = Field(
        "k3", description="k3 pulls along the forward KL, k2 along the reverse; k1 in the reward does what k2 in the loss does."
    )
    kl_in: Literal["loss", "reward"] = Field(
        "loss", description="Whether the KL is differentiated or subtracted from the advantage."
    )
    kl_importance: bool = Field(False, description="Multiply the KL in the loss by the ratio: unbiased on stale samples.")

    @model_validator(mode="after")
    def _kl_moves_something(self) -> "ObjectiveSettings":
        if self.kl_beta > 0 and self.kl_estimator == "k1" and self.kl_in == "loss" and not self.kl_importance:
            raise ValueError(
                "k1 in the loss has a gradient of mean zero and would hold the policy nowhere: "
                "use k2 or k3, set kl_importance, or put it into the reward with kl_in: reward"
            )
        return self


class LearnerSettings(_Frozen):
    """How a policy is updated."""

    objective: ObjectiveSettings = ObjectiveSettings()
    learning_rate: float = Field(2e-4, gt=0, description="AdamW's learning rate.")
    beta_1: float = Field(0.9, ge=0, lt=1, description="AdamW's decay of the mean.")
    beta_2: float = Field(0.95, ge=0, lt=1, description="AdamW's decay of the square.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's weight decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="Longer gradients are scaled down to this norm.")
    epochs: int = Field(1, ge=1, le=16, description="Updates on the same groups per step.")
    anchor_weight: float = Field(
        0.3, ge=0, description="Weight of the supervised loss beside the objective; 0 ignores anchors."
    )
    frozen: tuple[str, ...] = Field(
        (),
        description="Shell patterns of parameter names that never change, such as `*vision_tower*` and `*multi_modal_projector*`.",
    )
    layout: Literal["auto", "tree", "rows"] = Field(
        "auto",
        description="`tree` computes a prompt and equal beginnings of its samples once; `rows` gives every sample a padded row. "
        "`auto` takes the tree where a check at the start finds both to agree.",
    )
    max_tokens_per_pass: int = Field(
        16_384, ge=16, description="Padded tokens in one forward and backward pass; bounds memory, changes no result."
    )
    max_samples_tokens_per_row: int = Field(
        1024, ge=1, description="Tokens of samples that share one row of a tree; more open another row. Changes no result."
    )
    device: str = Field("cpu", description="Where the policy lives, as torch names it.")
    num_threads: int = Field(0, ge=0, description="Threads torch computes with; 0 leaves torch's own choice.")
