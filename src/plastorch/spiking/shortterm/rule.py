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

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.errors import InputError, check_positive

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
        for name, choices in (
            ("update", get_args(Update)),
            ("site", get_args(Site)),
            ("competition", get_args(Competition)),
            ("score", get_args(Score)),
        ):
            if getattr(self, name) not in choices:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}; expected one of {', '.join(choices)}"
                )


class ShortTermState(NamedTuple):
    """Short-term memory of a circuit."""

    F: Tensor
    """Memory [S, K, D] of synapses, [S, K] of neurons, [S, D] of inputs, or [S, 0] of nothing."""


def initial_state(streams: int, weight: Tensor, site: Site = "synapse") -> ShortTermState:
    """Returns an empty short-term memory.

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
    return ShortTermState(weight.new_zeros(streams, *shapes.get(site, (0,))))


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
    if constants.score == "cosine":
        drive = drive / squared.sqrt().clamp(min=1e-30)
    elif constants.score == "distance":
        drive = drive - squared / 2
    u = bias + constants.kappa * drive
    return u + trace if site == "neuron" else u


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
    return ShortTermState(state.F * math.exp(-1 / constants.tau))


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
    trace, gamma = state.F, constants.gamma
    if constants.site == "neuron":
        return ShortTermState(trace + gamma * y)
    if constants.site == "presynaptic":
        return ShortTermState(trace + gamma * x)
    if constants.site == "none":
        return state
    expected = weight + trace if constants.update == "track" else weight
    return ShortTermState(torch.addcmul(trace, gamma * y.unsqueeze(-1), x.unsqueeze(1) - expected))


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


def run(
    x: Tensor, state: ShortTermState, weight: Tensor, bias: Tensor, constants: ShortTerm
) -> tuple[Tensor, ShortTermState]:
    """Runs frames one after the other: compiled on a CPU, in torch elsewhere; see :func:`step`.

    The compiled version ignores changes of synapses below 1e-9. It has no gradient: where one is
    required, torch is used on a CPU as well.

    Args:
        x: inputs [T, S, D].
        state: short-term memory before the first frame.
        weight: weights W [K, D].
        bias: biases b [K].
        constants: constants of the circuit.

    Returns:
        Posteriors [T, S, K], and the last state.

    Raises:
        InputError: if, in the compiled version, shapes or types don't fit each other, or numbers
            are not finite or overflow.
    """
    if constants.site == "none":
        u = scores(x.flatten(0, 1), state, weight, bias, constants)
        return compete(u, constants.competition).view(*x.shape[:2], len(weight)), state
    asked = torch.is_grad_enabled() and any(
        part.requires_grad for part in (x, *state, weight, bias)
    )
    if constants.site == "synapse" and x.device.type == "cpu" and not asked:
        return _run_compiled(x, state, weight, bias, constants)
    posteriors = []
    for frame in x:
        y, state = step(frame, state, weight, bias, constants)
        posteriors.append(y)
    empty = x.new_zeros(0, x.shape[1], len(weight))
    return torch.stack(posteriors) if posteriors else empty, state


def _run_compiled(
    x: Tensor, state: ShortTermState, weight: Tensor, bias: Tensor, constants: ShortTerm
) -> tuple[Tensor, ShortTermState]:
    from plastorch.engine.numba_options import REAL, check_arrays
    from plastorch.spiking.shortterm import kernels

    check_arrays(x=(x, (None, None, None), REAL))
    check_circuit(x, state.F, weight, bias, constants)
    memory = state.F.detach().clone(memory_format=torch.contiguous_format)
    drive = x.detach() @ weight.detach().mT
    number = np.float64 if x.dtype == torch.float64 else np.float32
    arrays = [t.detach().contiguous().numpy() for t in (x, weight, bias, memory, drive)]
    settings = (
        number(constants.kappa),
        number(constants.gamma),
        math.exp(-1 / constants.tau),
        kernels.SCORE[constants.score],
        constants.update == "track",
        constants.competition == "hard",
    )

    def share(begin: int, end: int) -> None:
        kernels.frames(*arrays, *settings, begin, end)

    kernels.in_threads(share, x.shape[1])
    check_arrays(posterior=(drive, drive.shape, x.dtype))
    return drive, ShortTermState(memory)


def check_circuit(
    x: Tensor, memory: Tensor, weight: Tensor, bias: Tensor, constants: ShortTerm
) -> None:
    """Checks the arguments of the compiled loops other than the inputs or their traces.

    Args:
        x: inputs, or traces [..., S, D].
        memory: short-term weights F [S, K, D].
        weight: weights W [K, D].
        bias: biases b [K].
        constants: constants of the circuit.

    Raises:
        InputError: if shapes don't fit, types differ from that of ``x``, or values aren't finite.
    """
    from plastorch.engine.numba_options import check_arrays, check_constants

    (streams, inputs), real = x.shape[-2:], x.dtype
    check_arrays(weight=(weight, (None, inputs), real))
    neurons = len(weight)
    check_arrays(bias=(bias, (neurons,), real), F=(memory, (streams, neurons, inputs), real))
    if weight.numel() == 0:
        raise InputError(f"weight is [{neurons}, {inputs}]; expected neurons and inputs")
    check_constants(real, kappa=constants.kappa, gamma=constants.gamma)


class ShortTermWTA(nn.Module):
    """Soft winner-take-all with short-term plasticity; long-term weights have to be supplied.

    Args:
        inputs: number of inputs D.
        neurons: number of neurons K.
        constants: constants of the circuit.

    Raises:
        InputError: if a size is not positive.

    Example:
        >>> net = ShortTermWTA(inputs=4, neurons=3)
        >>> net.weight.copy_(torch.eye(3, 4))[0].tolist()
        [1.0, 0.0, 0.0, 0.0]
        >>> posterior, state = net(torch.rand(5, 2, 4))
        >>> posterior.shape, state.F.shape
        (torch.Size([5, 2, 3]), torch.Size([2, 3, 4]))
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, inputs: int, neurons: int, constants: ShortTerm | None = None) -> None:
        super().__init__()
        check_positive(inputs=inputs, neurons=neurons)
        self.constants = ShortTerm() if constants is None else constants
        self.register_buffer("weight", torch.zeros(neurons, inputs))
        self.register_buffer("bias", torch.zeros(neurons))

    def forward(
        self, x: Tensor, state: ShortTermState | None = None
    ) -> tuple[Tensor, ShortTermState]:
        """Runs frames one after the other.

        Args:
            x: inputs of S streams [T, S, D], normalized here unless the score is "distance".
            state: short-term memory after the frames before; empty if None.

        Returns:
            Posteriors [T, S, K], and the new state.

        Raises:
            InputError: if shapes don't fit, or inputs are not finite.
        """
        inputs = self.weight.shape[1]
        if x.dim() != 3 or x.shape[2] != inputs or not x.is_floating_point():
            raise InputError(
                f"x has shape {tuple(x.shape)} and type {x.dtype}; expected real (T, S, {inputs})"
            )
        if not bool(torch.isfinite(x).all()):
            raise InputError("x holds NaN or infinite values; expected finite ones")
        start = initial_state(x.shape[1], self.weight, self.constants.site)
        state = start if state is None else state
        if state.F.shape != start.F.shape:
            raise InputError(
                f"state has F of shape {tuple(state.F.shape)}; expected {tuple(start.F.shape)}"
            )
        x = x if self.constants.score == "distance" else unit(x)
        return run(x, state, self.weight, self.bias, self.constants)


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
