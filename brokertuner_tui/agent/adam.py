"""Adam on torch's own kernel, without what `torch.optim.Adam` brings along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.optim.adam import adam

_BETAS = (0.9, 0.999)
_EPS = 1e-8


class Adam:
    """Adam (Kingma and Ba, 2015, algorithm 1) with torch's defaults; the step is torch's fused one, bit for bit.

    Making a `torch.optim.Adam` imports torch's compiler, which nobody uses here: a process that learns took 1.8 to 1.9 times as
    much CPU to start (`benchmarks/agent_start.py`).
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], lr: float) -> None:
        self._parameters, self._lr = list(parameters), lr
        self._state: dict[int, dict[str, Tensor]] = {}

    def zero_grad(self) -> None:
        """Forgets every gradient."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Moves every parameter that has a gradient."""
        indices = [index for index, parameter in enumerate(self._parameters) if parameter.grad is not None]
        for index in indices:
            if index not in self._state:
                self._state[index] = _start(self._parameters[index])
        states = [self._state[index] for index in indices]
        adam(
            [self._parameters[index] for index in indices],
            [grad for index in indices if (grad := self._parameters[index].grad) is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            lr=self._lr,
            weight_decay=0.0,
            eps=_EPS,
            maximize=False,
        )

    def state(self) -> dict[int, dict[str, Tensor]]:
        """By a parameter's place: `step` (a number), `exp_avg` and `exp_avg_sq` (the parameter's shape)."""
        return self._state

    def restore(self, state: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Takes over what `state` gave.

        Raises:
            ValueError: it is of other parameters.
        """
        restored: dict[int, dict[str, Tensor]] = {}
        for index, values in state.items():
            if not 0 <= index < len(self._parameters):
                raise ValueError(f"there is no parameter {index}, but {len(self._parameters)}")
            start = _start(self._parameters[index])
            if values.keys() != start.keys() or any(values[name].shape != empty.shape for name, empty in start.items()):
                raise ValueError(f"what Adam knows of parameter {index} is of another one")
            restored[index] = {name: empty.copy_(values[name]) for name, empty in start.items()}
        self._state = restored


def _start(parameter: torch.nn.Parameter) -> dict[str, Tensor]:
    return {
        "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
        "exp_avg": torch.zeros_like(parameter, requires_grad=False),
        "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
    }
