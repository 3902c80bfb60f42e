"""AdamW over float32 weights, for a policy of any number format, and over the parameters of objectives.

A weight that is not float32 itself has a float32 twin, the master. Its gradient is added to the master's as soon as a pass has
it, so that small gradients of many passes are not lost in bfloat16; after an update the weight is the master, rounded.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from harden.trainer.learner.settings import LearnerSettings

STATE_KEYS = ("step", "exp_avg", "exp_avg_sq")
NARROW = (torch.bfloat16, torch.float16)


class Optimiser:
    """`named`: the parameters of the policy that are trained."""

    def __init__(self, named: Mapping[str, nn.Parameter], settings: LearnerSettings) -> None:
        self._settings = settings
        self._policy = dict(named)
        self._masters = {name: _master(parameter) for name, parameter in named.items()}
        self._own: dict[str, nn.Parameter] = {}
        self._own_rates: dict[str, float] = {}
        self._rate = settings.learning_rate
        self._adamw = torch.optim.AdamW(
            list(self._masters.values()),
            lr=settings.learning_rate,
            betas=(settings.beta_1, settings.beta_2),
            weight_decay=settings.weight_decay,
            fused=True,
        )

    def weights(self) -> dict[str, nn.Parameter]:
        """What is trained, by name, in float32."""
        return dict(self._masters)

    def own(self) -> dict[str, nn.Parameter]:
        """Numbers of the objectives, by name."""
        return dict(self._own)

    def train_own(self, name: str, initial: Tensor, learning_rate: float) -> nn.Parameter:
        """The number of this name; one not seen before begins at `initial`. Never decayed, clipped by itself."""
        if name not in self._own:
            self._own[name] = nn.Parameter(initial.detach().clone())
            self._adamw.add_param_group({"params": [self._own[name]], "weight_decay": 0.0})
        self._own_rates[name] = learning_rate
        return self._own[name]

    def set_rate(self, rate: float) -> None:
        """The policy's learning rate; those of the objectives' numbers fall in the same proportion."""
        self._rate = rate

    def zero_grad(self) -> None:
        for parameter in (*self._policy.values(), *self._masters.values(), *self._own.values()):
            parameter.grad = None

    def clip(self) -> Tensor:
        """Scales the policy's gradient down to the largest norm allowed and returns the norm it had; not finite where any
        gradient is not."""
        norm = torch.nn.utils.clip_grad_norm_(self._masters.values(), self._settings.max_grad_norm)
        for parameter in self._own.values():
            if parameter.grad is not None and not parameter.grad.isfinite().all():
                return norm + torch.inf
        return norm

    @torch.no_grad()
    def step(self) -> None:
        rates = [self._rate, *(self._own_rates[name] * self._rate / self._settings.learning_rate for name in self._own)]
        for group, rate in zip(self._adamw.param_groups, rates, strict=True):
            group["lr"] = rate
        self._adamw.step()
        for name, master in self._masters.items():
            if master is not self._policy[name]:
                self._policy[name].copy_(master)

    # Saving

    def moments(self) -> Iterator[tuple[str, Tensor]]:
        """AdamW's state, as `<key>.<name>`."""
        for name, parameter in (*self._masters.items(), *self._own.items()):
            for key, value in self._adamw.state.get(parameter, {}).items():
                yield f"{key}.{name}", value

    @torch.no_grad()
    def restore(self, weights: Mapping[str, Tensor], own: Mapping[str, Tensor], moments: Mapping[str, Tensor]) -> None:
        """Restores a saved state. Parameters of objectives get their learning rate when an objective asks for them."""
        self._adamw.state.clear()
        del self._adamw.param_groups[1:]
        self._own = {}
        for name, value in own.items():
            self.train_own(name, value, 0.0)
        for name, master in self._masters.items():
            master.copy_(weights[name])
            if master is not self._policy[name]:
                self._policy[name].copy_(master)
        for name, parameter in (*self._masters.items(), *self._own.items()):
            keys = [key for key in STATE_KEYS if f"{key}.{name}" in moments]
            if keys:
                # AdamW wants the step counter and the moments on the device of their parameter.
                self._adamw.state[parameter] = {key: moments[f"{key}.{name}"].to(parameter.device) for key in keys}


def _master(parameter: nn.Parameter) -> nn.Parameter:
    if parameter.dtype not in NARROW:
        return parameter
    master = nn.Parameter(parameter.detach().float())

    def collect(narrow: Tensor) -> None:
        assert narrow.grad is not None  # the hook is called when it has been accumulated
        master.grad = narrow.grad.float() if master.grad is None else master.grad.add_(narrow.grad)
        narrow.grad = None

    parameter.register_post_accumulate_grad_hook(collect)
    return master
