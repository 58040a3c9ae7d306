"""Short-term plasticity as inference: a soft winner-take-all whose winners remember their input.

Moraitis, Sebastian, Eleftheriou, *Optimality of short-term synaptic plasticity in modeling certain
dynamic environments*, arXiv 2009.06808. Each neuron stands for an object. Its long-term weight W is
the object's appearance at rest. Its short-term weight F is the current deviation from that, as last
seen; it decays exponentially, as the deviation itself is expected to.

Here one step is one frame, whose spikes are all taken together. For single spikes, see
:mod:`plastorch.spiking.shortterm.events`.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.errors import InputError, check_one_of, check_positive

Score = Literal["cosine", "dot", "distance"]
Site = Literal["synapse", "neuron", "presynaptic", "none"]
Update = Literal["track", "accumulate"]
Competition = Literal["soft", "hard"]


@dataclass(frozen=True)
class ShortTerm:
    """Constants of a circuit.

    Args:
        kappa: inverse temperature of the competition.
        gamma: gain, the share of a difference taken up in one step by a neuron certain to win; in
            a circuit that spikes, at each spike, where about 0.01 suits the default timing.
        tau: time constant of F, in steps (in seconds where there are spikes).
        update: "track": F takes up x - W - F, as the Kalman filter does; "accumulate": x - W.
        site: place of short-term memory: "synapse"; "neuron", a trace of each neuron's activity
            instead of its synapses'; "presynaptic", one of each input for all neurons; "none".
        competition: "soft", the posterior; "hard", the best neuron alone.
        score: score of an input x by efficacies G = W + F: "cosine", G x over the norm of G;
            "dot", G x; "distance", G x - ``|G|²`` / 2, the posterior of Gaussian objects.

    Raises:
        InputError: if a constant is out of range, or a name is unknown.
    """

    kappa: float = 80.0
    gamma: float = 0.6
    tau: float = 8.0
    update: Update = "track"
    site: Site = "synapse"
    competition: Competition = "soft"
    score: Score = "cosine"

    def __post_init__(self) -> None:
        check_positive(kappa=self.kappa, tau=self.tau)
        if not 0 <= self.gamma < math.inf:
            raise InputError(f"gamma is {self.gamma}; expected 0 or more")
        check_one_of(get_args(Update), update=self.update)
        check_one_of(get_args(Site), site=self.site)
        check_one_of(get_args(Competition), competition=self.competition)
        check_one_of(get_args(Score), score=self.score)


class ShortTermState(NamedTuple):
    """State of S streams."""

    F: Tensor
    """Memory [S, K, D] of synapses, [S, K] of neurons, [S, D] of inputs, or [S, 0] of nothing."""
    trace: Tensor
    """Traces ε of the inputs [S, D], which spikes raise; frames leave them as they are."""


torch.serialization.add_safe_globals([ShortTermState])


def initial_state(streams: int, weight: Tensor, site: Site = "synapse") -> ShortTermState:
    """Returns an empty memory, and traces of 0, for weights W [K, D]."""
    neurons, inputs = weight.shape
    shapes = {"synapse": (neurons, inputs), "neuron": (neurons,), "presynaptic": (inputs,)}
    memory = weight.new_zeros(streams, *shapes.get(site, (0,)))
    return ShortTermState(memory, weight.new_zeros(streams, inputs))


def unit(x: Tensor) -> Tensor:
    """Divides inputs [..., D] by their norms; inputs that are all 0 stay so."""
    return F.normalize(x, dim=-1, eps=1e-30)


def scores(
    x: Tensor, state: ShortTermState, weight: Tensor, bias: Tensor, constants: ShortTerm
) -> Tensor:
    """Returns potentials u = b + κ G x / |G| [S, K] for inputs x [S, D], or another score of the
    efficacies G = W + F; W is [K, D], b [K] are logarithms of priors, and F has already decayed."""
    trace, site = state.F, constants.site
    drive, squared = x @ weight.mT, weight.square().sum(-1).expand(len(x), -1)
    if site == "synapse":
        total = weight + trace
        drive, squared = (total @ x.unsqueeze(-1)).squeeze(-1), total.square().sum(-1)
    elif site == "presynaptic":
        drive = drive + (trace * x).sum(-1, keepdim=True)
        squared = squared + 2 * trace @ weight.mT + trace.square().sum(-1, keepdim=True)
    u = bias + constants.kappa * scored(drive, squared, constants.score)
    return u + trace if site == "neuron" else u


def scored(drive: Tensor, squared: Tensor, score: Score) -> Tensor:
    """Returns the score of an input x by efficacies G, from G x and ``|G|²``, in their shape."""
    if score == "cosine":
        return drive / squared.sqrt().clamp(min=1e-30)
    return drive - squared / 2 if score == "distance" else drive


def compete(u: Tensor, competition: Competition = "soft") -> Tensor:
    """Returns Q(k | x) = exp u_k / Σ exp u, or 1 for the best neuron: [..., K] to [..., K]."""
    if competition == "hard":
        return F.one_hot(u.argmax(-1), u.shape[-1]).to(u.dtype)
    return u.softmax(-1)


def decay(state: ShortTermState, constants: ShortTerm) -> ShortTermState:
    """Returns F exp(-1 / τ): the mean, a frame later, of a deviation that reverts to 0."""
    return state._replace(F=state.F * math.exp(-1 / constants.tau))


def update(
    x: Tensor, y: Tensor, state: ShortTermState, weight: Tensor, constants: ShortTerm
) -> ShortTermState:
    """Adds γ y (x - W - F) to F, already decayed, as a steady-state Kalman filter of each object's
    deviation does; the share y of an object [S, K] is its posterior, or 1 where it is known.

    ``accumulate``: F += γ y (x - W). A neuron's trace: F += γ y. An input's: F += γ x [S, D].
    """
    memory, gamma = state.F, constants.gamma
    if constants.site == "neuron":
        return state._replace(F=memory + gamma * y)
    if constants.site == "presynaptic":
        return state._replace(F=memory + gamma * x)
    if constants.site == "none":
        return state
    surprise = x.unsqueeze(1) - (weight + memory if constants.update == "track" else weight)
    return state._replace(F=torch.addcmul(memory, gamma * y.unsqueeze(-1), surprise))


def step(
    x: Tensor, state: ShortTermState, weight: Tensor, bias: Tensor, constants: ShortTerm
) -> tuple[Tensor, ShortTermState]:
    """Runs one frame: memory decays, neurons compete, winners remember. Inputs [S, D] have norm 1
    unless the score is "distance". Returns the posterior [S, K], and the new state."""
    state = decay(state, constants)
    y = compete(scores(x, state, weight, bias, constants), constants.competition)
    return y, update(x, y, state, weight, constants)
