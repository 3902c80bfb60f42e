"""Settings of the learner."""

from typing import Literal

from pydantic import Field

from harden.config import Section


class LoRASettings(Section):
    """Low-rank adapters on a frozen policy (LoRA, arXiv 2106.09685). Where set, only the adapters are trained."""

    rank: int = Field(default=16, ge=1)
    """Rank of each adapter."""
    alpha: int = Field(default=32, ge=1)
    """An adapter's contribution is scaled by alpha / rank."""
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    """Names, or ends of names, of the linear modules that get an adapter."""
    publish: Literal["adapter", "full"] = "adapter"
    """What a publication holds. `adapter`: the first policy of a run is published whole, every later one as its adapter on that
    one; replicas fetch the adapter and merge it. `full`: every policy whole, merged by the trainer, for replicas that know no
    adapters."""


class LearnerSettings(Section):
    """How a policy is updated. The algorithm chooses the objective."""

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
    frozen: tuple[str, ...] = ()
    """Shell patterns of parameter names that never change, such as `*vision_tower*` and `*projector*`."""
    layout: Literal["auto", "tree", "rows"] = "auto"
    """`tree` computes a prompt and equal beginnings of its samples once; `rows` gives each distinct sample a padded row.
    `auto` takes the tree where a check at the start finds both to agree."""
    max_tokens_per_pass: int = Field(default=1024, ge=16)
    """Padded tokens in one forward and backward pass; changes no result. Small ones stay in a CPU's cache, a GPU wants more."""
    max_logits: int = Field(default=2**24, ge=1)
    """Logits in memory at a time; changes no result. Beyond it, log-probs are computed in chunks of positions and once more
    in the backward pass, so that a large vocabulary costs time instead of memory."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Number format of the policy in forward and backward passes, and of what is published. The optimiser keeps float32
    weights of what is trained, and gradients of several passes are added in float32, whichever it is."""
    gradient_checkpointing: bool = False
    """Compute the inside of each layer once more in the backward pass instead of keeping it: less memory, about a third
    more time."""
    lora: LoRASettings | None = None
    """Train adapters instead of the weights themselves. None trains all that is not frozen."""
    device: str = "cpu"
    """Where the policy lives, as torch names it."""
    num_threads: int = Field(default=0, ge=0)
    """Threads torch computes with; 0 leaves torch's own choice."""
