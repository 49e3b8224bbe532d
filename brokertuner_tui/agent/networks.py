"""The actor, and an ensemble of critics that is computed as one."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class Actor(nn.Module):
    """Context (batch, inputs) to action (batch, actions) in (-1, 1)."""

    def __init__(self, inputs: int, actions: int, hidden: int, layer_norm: bool) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.head = nn.Linear(hidden, actions)
        self._layer_norm = layer_norm
        with torch.no_grad():  # starts in the middle, far from the flat ends of tanh
            self.head.weight.uniform_(-3e-3, 3e-3)
            self.head.bias.zero_()

    def raw(self, context: Tensor) -> Tensor:
        """What goes into the tanh."""
        hidden = _norm(functional.relu(self.first(context)), self._layer_norm)
        return self.head(_norm(functional.relu(self.second(hidden)), self._layer_norm))  # type: ignore[no-any-return]

    def forward(self, context: Tensor) -> Tensor:
        """The action."""
        return torch.tanh(self.raw(context))


class Critics(nn.Module):
    """`members` independent networks: context (batch, c) and action (batch, a) to values (members, batch).

    The members' weights are stacked, so that one batched product serves them all: eight small networks cost little more
    than one.
    """

    def __init__(self, contexts: int, actions: int, hidden: int, members: int, layer_norm: bool) -> None:
        super().__init__()
        sizes = (contexts + actions, hidden, hidden, 1)
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        self._layer_norm = layer_norm
        for inputs, outputs in itertools.pairwise(sizes):
            bound = 1 / math.sqrt(inputs)
            self.weights.append(nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound)))
            self.biases.append(nn.Parameter(torch.empty(members, 1, outputs).uniform_(-bound, bound)))

    def forward(self, context: Tensor, action: Tensor) -> Tensor:
        """Shape (members, batch)."""
        hidden = torch.cat([context, action], dim=1).expand(self.weights[0].shape[0], -1, -1)
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = torch.baddbmm(bias, hidden, weight)
            if layer < last:
                hidden = _norm(functional.relu(hidden), self._layer_norm)
        return hidden.squeeze(-1)


def _norm(hidden: Tensor, wanted: bool) -> Tensor:
    # After the activation and without parameters: bounds what a critic can say far from the data.
    return functional.layer_norm(hidden, hidden.shape[-1:]) if wanted else hidden


@torch.no_grad()
def move_towards(target: nn.Module, source: nn.Module, tau: float) -> None:
    """target <- (1 - tau) * target + tau * source, parameter by parameter."""
    for slow, fast in zip(target.parameters(), source.parameters(), strict=True):
        slow.lerp_(fast, tau)
