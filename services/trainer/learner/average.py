"""The moving average of a policy's weights (Polyak and Juditsky, 1992): steadier than the weights of any one step."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """average <- decay * average + (1 - decay) * weights after every step, of the parameters that are trained."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self._parameters = parameters
        self._decay = decay
        self._average = {name: parameter.detach().clone() for name, parameter in parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Counts in the weights as they are now."""
        for name, parameter in self._parameters.items():
            self._average[name].lerp_(parameter, 1 - self._decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within, the model has the average as its weights. Nothing may be trained meanwhile."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def tensors(self) -> dict[str, Tensor]:
        return dict(self._average)

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Becomes what `tensors` gave; without any, the average begins anew at the weights as they are."""
        for name, parameter in self._parameters.items():
            self._average[name].copy_(tensors.get(name, parameter))

    def _exchange(self) -> None:
        for name, parameter in self._parameters.items():
            parameter.data, self._average[name] = self._average[name], parameter.data
