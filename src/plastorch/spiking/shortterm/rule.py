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
        gamma: gain, the share of a difference taken up in one step by a neuron certain to win.
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


def initial_state(streams: int, weight: Tensor, site: Site = "synapse") -> ShortTermState:
    """Returns an empty memory, and traces of 0.

    Args:
        streams: number of streams S.
        weight: weights W [K, D].
        site: place of short-term memory.

    Example:
        >>> initial_state(2, torch.zeros(3, 5)).F.shape
        torch.Size([2, 3, 5])
    """
    neurons, inputs = weight.shape
    shapes = {"synapse": (neurons, inputs), "neuron": (neurons,), "presynaptic": (inputs,)}
    memory = weight.new_zeros(streams, *shapes.get(site, (0,)))
    return ShortTermState(memory, weight.new_zeros(streams, inputs))


def unit(x: Tensor) -> Tensor:
    """Divides inputs [..., D] by their norms; inputs that are all 0 stay so.

    Example:
        >>> unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    return F.normalize(x, dim=-1, eps=1e-30)


def scores(
    x: Tensor, state: ShortTermState, weight: Tensor, bias: Tensor, constants: ShortTerm
) -> Tensor:
    """Returns potentials u = b + κ G x / |G|, or another score of the efficacies G = W + F.

    Args:
        x: inputs [S, D].
        state: short-term memory, already decayed.
        weight: weights W [K, D].
        bias: biases b [K], logarithms of priors.
        constants: constants of the circuit.

    Returns:
        Membrane potentials [S, K].

    Example:
        >>> weight = torch.eye(2)
        >>> scores(torch.eye(2), initial_state(2, weight), weight, torch.zeros(2), ShortTerm())
        tensor([[80.,  0.],
                [ 0., 80.]])
    """
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
    """Returns Q(k | x) = exp u_k / Σ exp u, or 1 for the best neuron: [..., K] to [..., K].

    Example:
        >>> compete(torch.tensor([0.0, 0.0]))
        tensor([0.5000, 0.5000])
    """
    if competition == "hard":
        return F.one_hot(u.argmax(-1), u.shape[-1]).to(u.dtype)
    return u.softmax(-1)


def decay(state: ShortTermState, constants: ShortTerm) -> ShortTermState:
    """Returns F exp(-1 / τ): the mean, a frame later, of a deviation that reverts to 0."""
    return state._replace(F=state.F * math.exp(-1 / constants.tau))


def update(
    x: Tensor, y: Tensor, state: ShortTermState, weight: Tensor, constants: ShortTerm
) -> ShortTermState:
    """Adds γ y (x - W - F) to F, as a steady-state Kalman filter of each object's deviation does;
    the share y of an object is its posterior, or 1 where it is known.

    ``accumulate``: F += γ y (x - W). A neuron's trace: F += γ y. An input's: F += γ x.

    Args:
        x: inputs [S, D].
        y: posterior [S, K].
        state: short-term memory, already decayed.
        weight: weights W [K, D].
        constants: constants of the circuit.

    Example:
        >>> weight = torch.zeros(1, 2)
        >>> x, y = torch.ones(1, 2), torch.ones(1, 1)
        >>> update(x, y, initial_state(1, weight), weight, ShortTerm(gamma=0.5)).F
        tensor([[[0.5000, 0.5000]]])
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
    """Runs one frame: memory decays, neurons compete, winners remember.

    Args:
        x: inputs [S, D], of norm 1 unless the score is "distance".
        state: short-term memory after the frame before.
        weight: weights W [K, D].
        bias: biases b [K].
        constants: constants of the circuit.

    Returns:
        Posterior [S, K], and the new state.

    Example:
        >>> weight = torch.eye(2)
        >>> y, state = step(weight, initial_state(2, weight), weight, torch.zeros(2), ShortTerm())
        >>> y.argmax(1)
        tensor([0, 1])
    """
    state = decay(state, constants)
    y = compete(scores(x, state, weight, bias, constants), constants.competition)
    return y, update(x, y, state, weight, constants)


def name_neurons(posteriors: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Returns the class of each neuron: that of most of the inputs that it won.

    Args:
        posteriors: posteriors of labeled inputs [N, K].
        labels: labels, int64 [N].
        classes: number of classes C.

    Returns:
        Classes, int64 [K].

    Example:
        >>> name_neurons(torch.eye(2)[[0, 0, 1]], torch.tensor([5, 5, 3]), 10)
        tensor([5, 3])
    """
    return (posteriors.mT @ F.one_hot(labels, classes).to(posteriors.dtype)).argmax(1)


def class_scores(posteriors: Tensor, names: Tensor, classes: int) -> Tensor:
    """Sums the posteriors of each class's neurons: [..., K] and names [K] to [..., C].

    Example:
        >>> class_scores(torch.tensor([0.2, 0.5, 0.3]), torch.tensor([1, 0, 1]), 2)
        tensor([0.5000, 0.5000])
    """
    return posteriors @ F.one_hot(names, classes).to(posteriors.dtype)
