"""Agents that are compared at tasks of memory, and their widths at equal numbers of parameters."""

from collections.abc import Callable
from functools import cache

import torch
from torch import nn

from plastorch.experiments.stpn.mqar_models import nearest
from plastorch.experiments.stpn.recurrent import trained_parameters
from plastorch.rl.agent import Agent
from plastorch.stp import STPN
from plastorch.stp.baselines import GRU, LSTM, MLP, LinearAttention, Stacked

FRAMES = 4
"""Number of observations that the model without a state sees at once."""


def _core(make: Callable[[int, int], nn.Module]) -> Callable[[int, int, int], Agent]:
    """Returns the function that makes an agent whose core sees observations as they are."""
    return lambda inputs, width, actions: Agent(nn.Identity(), make(inputs, width), width, actions)


def _linear_attention(inputs: int, width: int, actions: int) -> Agent:
    """Returns an agent that, as its core is linear in what it sees, has a layer before it."""
    encoder = nn.Sequential(nn.Linear(inputs, width), nn.Tanh())
    return Agent(encoder, LinearAttention(width, width), width, actions)


MODELS: dict[str, Callable[[int, int, int], Agent]] = {
    "stpn": _core(lambda inputs, width: STPN(inputs, width, norm="post", clamp=1.0)),
    "gru": _core(GRU),
    "lstm": _core(LSTM),
    "linear-attention": _linear_attention,
    "mlp-stacked": _core(lambda inputs, width: Stacked(MLP(FRAMES * inputs, width), FRAMES)),
}
"""Functions that make an agent from its numbers of inputs, of units and of actions."""


@cache
def agent_parameters(name: str, inputs: int, width: int, actions: int) -> int:
    """Returns the number of trained parameters of an agent."""
    with torch.device("meta"):
        return trained_parameters(MODELS[name](inputs, width, actions))


def width_of(name: str, inputs: int, units: int, actions: int) -> int:
    """Returns the width at which an agent has as many parameters as an STPN of some units."""
    if name == "stpn":
        return units
    stpn = agent_parameters("stpn", inputs, units, actions)
    return nearest(lambda width: agent_parameters(name, inputs, width, actions), stpn)
