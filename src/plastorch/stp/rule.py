"""The equations of short-term plasticity neurons as pure functions: tensors in, tensors out.

Each synapse has a slow weight W and, per sample, a state F that decays and grows by a Hebbian rule;
a neuron responds with W + F. Shapes: B samples, H neurons, K presynaptic signals, Kp of which come
in over plastic synapses.

Paper: Garcia Rodriguez, Guo, Moraitis, *Short-Term Plasticity Neurons Learning to Learn and
Forget*, ICML 2022, arXiv 2206.14048.
"""

from dataclasses import dataclass
from math import inf
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from plastorch.engine.errors import InputError

Norm = Literal["pre", "post", "efficacy", "none"]
"""What is divided by the norm of W + F: ``pre``, the response and the memory F that is kept;
``post``, the response, and F once it has been updated; ``efficacy``, the response only."""
Presynaptic = Literal["previous", "current"]
"""Which neuronal activity is associated: the one that came in, h(t-1), or the one that went out."""
Plastic = Literal["all", "input", "hidden"]
Activation = Literal["tanh", "sigmoid", "relu", "identity"]
EPSILON = 1e-16
"""Added to norms."""


class STPNState(NamedTuple):
    """What a unit carries from one step to the next."""

    h: Tensor
    """Activity of the neurons [B, H]."""
    F: Tensor
    """Short-term state of the plastic synapses [B, H, Kp]."""

    def detach(self) -> "STPNState":
        """The same without history, for truncated backpropagation through time."""
        return STPNState(self.h.detach(), self.F.detach())


class Parameters(NamedTuple):
    """What a unit learns slowly."""

    weight: Tensor
    """W [H, K]; input columns first, recurrent columns last."""
    bias: Tensor | None
    """b [H]."""
    weight_lambda: Tensor
    """Λ, share of F that is kept from step to step: [H, Kp], or one for all [1]."""
    weight_gamma: Tensor
    """Γ, Hebbian rate, of either sign: like Λ."""


@dataclass(frozen=True)
class Dynamics:
    """How a unit computes.

    Args:
        recurrent: the neurons' own activity is presynaptic too (STPNr), or the input alone (STPNf).
        norm: see :data:`Norm`.
        clamp: bound of the absolute value of F.
        presynaptic: see :data:`Presynaptic`; without recurrence there is no difference.
        plastic: which synapses have a short-term state.
        activation: of the neurons.
        rule: Hebb's, h z, or Oja's, h (z - F'h).
        decay: F is updated by Λ F + Γ Δ, "with" the decay, or by Λ (F + Γ Δ), "after" the update.

    Raises:
        InputError: for an unknown name, a clamp that is not positive, or "hidden" synapses of a
            unit that is not recurrent.
    """

    recurrent: bool = True
    norm: Norm = "pre"
    clamp: float = inf
    presynaptic: Presynaptic = "previous"
    plastic: Plastic = "all"
    activation: Activation = "tanh"
    rule: Literal["hebb", "oja"] = "hebb"
    decay: Literal["with", "after"] = "with"

    def __post_init__(self) -> None:
        for name, choices in (
            ("norm", get_args(Norm)),
            ("presynaptic", get_args(Presynaptic)),
            ("plastic", get_args(Plastic)),
            ("activation", get_args(Activation)),
        ):
            value = getattr(self, name)
            if value not in choices:
                raise InputError(f"{name} is {value!r}; expected one of {', '.join(choices)}")
        if not self.clamp > 0:
            raise InputError(f"clamp is {self.clamp}; expected more than 0")
        if self.plastic == "hidden" and not self.recurrent:
            raise InputError(
                "plastic is 'hidden' in a feed-forward unit; expected all or input: it has no "
                "synapses between its neurons"
            )

    def columns(self, input_size: int, presynaptic_size: int) -> slice:
        """The plastic columns of W."""
        if self.plastic == "input":
            return slice(0, input_size)
        return slice(input_size if self.plastic == "hidden" else 0, presynaptic_size)


def saturation(dtype: torch.dtype) -> float:
    """The largest size of a signal or a synapse: sums of products of two stay finite.

    Example:
        >>> saturation(torch.float32)
        1000000000000000.0
    """
    return 1e150 if dtype == torch.float64 else 1e15


def efficacy(weight: Tensor, memory: Tensor, columns: slice) -> Tensor:
    """G = W + F.

    Args:
        weight: W [H, K].
        memory: F [B, H, Kp].
        columns: the plastic columns of W.

    Returns:
        [B, H, K].
    """
    if memory.shape[-1] == weight.shape[-1]:
        return weight + memory
    fixed = weight.expand(len(memory), -1, -1)
    left, right = fixed[..., : columns.start], fixed[..., columns.stop :]
    return torch.cat([left, fixed[..., columns] + memory, right], dim=-1)


def norm_of(total: Tensor) -> Tensor:
    """Euclidean norm of the synapses of each neuron, plus 1e-16: [B, H, K] to [B, H, 1]."""
    norm: Tensor = torch.linalg.vector_norm(total, dim=-1, keepdim=True) + EPSILON
    return norm


def hebb(pre: Tensor, post: Tensor) -> Tensor:
    """Δ = h z: [B, K] and [B, H] to [B, H, K]."""
    return post.unsqueeze(-1) * pre.unsqueeze(-2)


def oja(pre: Tensor, post: Tensor, memory: Tensor) -> Tensor:
    """Δ = h (z - F'h): [B, K], [B, H] and F [B, H, K] to [B, H, K]."""
    return hebb(pre - (memory * post.unsqueeze(-1)).sum(-2), post)


class Response(NamedTuple):
    """What neurons make of an input and their synapses."""

    h: Tensor
    """Activity [B, H]."""
    pre: Tensor
    """z, what came in over the synapses [B, K]."""
    efficacy: Tensor
    """G as it was used, normalised or not [B, H, K]."""
    norm: Tensor
    """|W + F| + 1e-16 [B, H, 1], or 1 in mode ``none``."""


def respond(x: Tensor, state: STPNState, parameters: Parameters, dynamics: Dynamics) -> Response:
    """h = tanh(G z / n + b), with G = W + F, n = |G| + 1e-16 and z = [x; h(t-1)].

    Paper, equations of STPNr and STPNf.

    Args:
        x: inputs [B, I].
        state: from the step before.
        parameters: of the unit.
        dynamics: how it computes.

    Returns:
        The neurons' activity, and what led to it.
    """
    weight, bias = parameters.weight, parameters.bias
    pre = torch.cat([x, state.h], dim=-1) if dynamics.recurrent else x
    total = efficacy(weight, state.F, dynamics.columns(x.shape[-1], weight.shape[-1]))
    norm = torch.ones_like(total[..., :1])
    if dynamics.norm != "none":
        norm = norm_of(total)
        total = total / norm
    drive = (total @ pre.unsqueeze(-1)).squeeze(-1)
    h = activate(drive if bias is None else drive + bias, dynamics.activation)
    bound = saturation(x.dtype)
    return Response(h.clamp(-bound, bound), pre, total, norm)


def update(
    memory: Tensor, x: Tensor, response: Response, parameters: Parameters, dynamics: Dynamics
) -> Tensor:
    """F = Λ F / n + Γ h z, in mode ``pre``. Paper, equation of the synaptic state.

    Args:
        memory: F [B, H, Kp] of the step before.
        x: inputs [B, I].
        response: to them.
        parameters: of the unit.
        dynamics: how it computes.

    Returns:
        F [B, H, Kp] of this step.
    """
    weight, _, decay, rate = parameters
    columns = dynamics.columns(x.shape[-1], weight.shape[-1])
    if dynamics.norm == "pre":
        memory = memory / response.norm
    pre = response.pre
    if dynamics.recurrent and dynamics.presynaptic == "current":
        pre = torch.cat([x, response.h], dim=-1)
    pre = pre[..., columns]
    change = hebb(pre, response.h) if dynamics.rule == "hebb" else oja(pre, response.h, memory)
    if dynamics.decay == "with":
        memory = decay * memory + rate * change
    else:
        memory = decay * (memory + rate * change)
    limit = min(dynamics.clamp, saturation(x.dtype))
    memory = memory.clamp(-limit, limit)
    if dynamics.norm == "post":
        memory = memory / norm_of(efficacy(weight, memory, columns))
    return memory


def step(
    x: Tensor, state: STPNState, parameters: Parameters, dynamics: Dynamics
) -> tuple[STPNState, Response]:
    """One step in time: :func:`respond`, then :func:`update`.

    Args:
        x: inputs [B, I].
        state: from the step before.
        parameters: of the unit.
        dynamics: how it computes.

    Returns:
        The new state, and the response.

    Example:
        >>> parameters = Parameters(torch.eye(2), None, torch.zeros(1), torch.ones(1))
        >>> state = STPNState(torch.zeros(1, 2), torch.zeros(1, 2, 2))
        >>> x, unit = torch.tensor([[1.0, 0.0]]), Dynamics(recurrent=False, activation="identity")
        >>> step(x, state, parameters, unit)[0].F
        tensor([[[1., 0.],
                 [0., 0.]]])
    """
    response = respond(x, state, parameters, dynamics)
    return STPNState(response.h, update(state.F, x, response, parameters, dynamics)), response


def activate(drive: Tensor, activation: Activation) -> Tensor:
    """The activation of that name."""
    if activation == "tanh":
        return torch.tanh(drive)
    if activation == "sigmoid":
        return torch.sigmoid(drive)
    return torch.relu(drive) if activation == "relu" else drive


def unroll(
    x: Tensor,
    state: STPNState,
    parameters: Parameters,
    dynamics: Dynamics,
    lengths: Tensor | None = None,
) -> tuple[Tensor, STPNState]:
    """All steps of a sequence in torch operations; what runs on GPUs.

    Args:
        x: inputs [T, B, I].
        state: before the first step.
        parameters: of the unit.
        dynamics: how it computes.
        lengths: steps of each sample [B]; after its last one a sample's output is 0 and its state
            stays. All T if None.

    Returns:
        Activities [T, B, H] and the last state.
    """
    outputs = []
    for t, input_ in enumerate(x):
        new, _ = step(input_, state, parameters, dynamics)
        if lengths is None:
            state = new
            outputs.append(new.h)
            continue
        alive = (t < lengths).to(x.device).unsqueeze(-1)
        state = STPNState(
            torch.where(alive, new.h, state.h), torch.where(alive.unsqueeze(-1), new.F, state.F)
        )
        outputs.append(torch.where(alive, new.h, torch.zeros_like(new.h)))
    return torch.stack(outputs), state
