"""Equations of short-term plasticity neurons as pure functions of tensors.

Each synapse has a slow weight W and, per sample, a state F that decays and grows by a Hebbian rule;
a neuron responds with W + F. Shapes: B samples, H neurons, K presynaptic signals, of which Kp
arrive over plastic synapses.

Paper: Garcia Rodriguez, Guo, Moraitis, *Short-Term Plasticity Neurons Learning to Learn and
Forget*, ICML 2022, arXiv 2206.14048.
"""

from dataclasses import dataclass
from math import inf
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_one_of

Norm = Literal["pre", "post", "efficacy", "none"]
"""Terms divided by the norm of W + F: ``pre``, the response and the stored memory F; ``post``, the
response, and F after its update; ``efficacy``, the response only."""
Presynaptic = Literal["previous", "current"]
"""Neurons' activity in the Hebbian term Δ = h z: incoming, h(t-1), or outgoing, h(t)."""
Plastic = Literal["all", "input", "hidden"]
Activation = Literal["tanh", "sigmoid", "relu", "identity"]
EPSILON = 1e-16
"""Constant added to norms."""


class STPNState(NamedTuple):
    """State that a unit carries from one step to the next."""

    h: Tensor
    """Activity of the neurons [B, H]."""
    F: Tensor
    """Short-term state of the plastic synapses [B, H, Kp]."""

    def detach(self) -> "STPNState":
        """Returns the state without history, for truncated backpropagation through time."""
        return STPNState(self.h.detach(), self.F.detach())


torch.serialization.add_safe_globals([STPNState])


class Parameters(NamedTuple):
    """Slow parameters of a unit."""

    weight: Tensor
    """Weights W [H, K]; input columns first, recurrent columns last."""
    bias: Tensor | None
    """Bias b [H]."""
    weight_lambda: Tensor
    """Share Λ of F that is kept per step: [H, Kp], or one for all [1]."""
    weight_gamma: Tensor
    """Hebbian rate Γ, of either sign; shaped like Λ."""


@dataclass(frozen=True, kw_only=True)
class Dynamics:
    """Variant of a unit's equations.

    Args:
        recurrent: whether the neurons' own activity is presynaptic too (STPNr), or only inputs
            (STPNf).
        norm: terms divided by the norm; see :data:`Norm`.
        clamp: bound of the absolute value of F.
        presynaptic: activity used in Δ, see :data:`Presynaptic`; no effect without recurrence.
        plastic: synapses with a short-term state.
        activation: activation function of the neurons.
        rule: Hebb's rule, h z, or Oja's, h (z - F'h).
        decay: F becomes Λ F + Γ Δ ("with" the decay) or Λ (F + Γ Δ) ("after" the update).

    Raises:
        InputError: a name is unknown, the clamp is not positive, or synapses are "hidden" in a
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
        check_one_of(get_args(Norm), norm=self.norm)
        check_one_of(get_args(Presynaptic), presynaptic=self.presynaptic)
        check_one_of(get_args(Plastic), plastic=self.plastic)
        check_one_of(get_args(Activation), activation=self.activation)
        check_one_of(("hebb", "oja"), rule=self.rule)
        check_one_of(("with", "after"), decay=self.decay)
        if not self.clamp > 0:
            raise InputError(f"clamp is {self.clamp}; expected more than 0")
        if self.plastic == "hidden" and not self.recurrent:
            raise InputError(
                "plastic is 'hidden' in a feed-forward unit; expected all or input: it has no "
                "synapses between its neurons"
            )

    def columns(self, input_size: int, presynaptic_size: int) -> slice:
        """Returns the plastic columns of W."""
        if self.plastic == "input":
            return slice(0, input_size)
        return slice(input_size if self.plastic == "hidden" else 0, presynaptic_size)


def saturation(dtype: torch.dtype) -> float:
    """Returns the largest size of signals and synapses whose sums of products stay finite."""
    return {torch.float64: 1e150, torch.float16: 255.0}.get(dtype, 1e15)


def efficacy(weight: Tensor, memory: Tensor, columns: slice) -> Tensor:
    """Computes efficacies G = W + F [B, H, K] of W [H, K] and F [B, H, Kp], its plastic columns."""
    if memory.shape[-1] == weight.shape[-1]:
        return weight + memory
    fixed = weight.expand(len(memory), -1, -1)
    left, right = fixed[..., : columns.start], fixed[..., columns.stop :]
    return torch.cat([left, fixed[..., columns] + memory, right], dim=-1)


def norm_of(total: Tensor) -> Tensor:
    """Returns the Euclidean norm of each neuron's synapses plus 1e-16: [B, H, K] to [B, H, 1]."""
    norm: Tensor = torch.linalg.vector_norm(total, dim=-1, keepdim=True) + EPSILON
    return norm


def hebb(pre: Tensor, post: Tensor) -> Tensor:
    """Computes Hebb's Δ = h z: [B, K] and [B, H] to [B, H, K]."""
    return post.unsqueeze(-1) * pre.unsqueeze(-2)


def oja(pre: Tensor, post: Tensor, memory: Tensor) -> Tensor:
    """Computes Oja's Δ = h (z - F'h): [B, K], [B, H] and F [B, H, K] to [B, H, K]."""
    return hebb(pre - (memory * post.unsqueeze(-1)).sum(-2), post)


class STPNResponse(NamedTuple):
    """Response of neurons to an input."""

    h: Tensor
    """Activity [B, H]."""
    pre: Tensor
    """Presynaptic signals z [B, K]."""
    efficacy: Tensor
    """Efficacies G as used, normalized or not [B, H, K]."""
    norm: Tensor
    """Norm |W + F| + 1e-16 [B, H, 1], or 1 in mode ``none``."""


def respond(
    x: Tensor, state: STPNState, parameters: Parameters, dynamics: Dynamics
) -> STPNResponse:
    """Computes h = tanh(G z / n + b), with G = W + F, n = |G| + 1e-16 and z = [x; h(t-1)].

    Paper: equations of STPNr and STPNf, on inputs [B, I].
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
    return STPNResponse(h.clamp(-bound, bound), pre, total, norm)


def update(
    memory: Tensor, x: Tensor, response: STPNResponse, parameters: Parameters, dynamics: Dynamics
) -> Tensor:
    """Computes F = Λ F / n + Γ h z [B, H, Kp], in mode ``pre``: the paper's synaptic state."""
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
) -> tuple[STPNState, STPNResponse]:
    """Runs one time step: :func:`respond`, then :func:`update`.

    Args:
        x: inputs [B, I].
        state: state of the previous step.
        parameters: parameters of the unit.
        dynamics: variant of the equations.

    Returns:
        The new state and the response.

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
    """Applies the named activation function."""
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
    """Runs all steps of a sequence in torch operations, as on GPUs.

    Args:
        x: inputs [T, B, I].
        state: state before the first step.
        parameters: parameters of the unit.
        dynamics: variant of the equations.
        lengths: number of steps of each sample [B]; after them, output is 0 and the state stays.
            All T if None.

    Returns:
        Activities [T, B, H] and the last state.
    """
    outputs = []
    lengths = None if lengths is None else lengths.to(x.device)
    for t, input_ in enumerate(x):
        new, _ = step(input_, state, parameters, dynamics)
        if lengths is None:
            state = new
            outputs.append(new.h)
            continue
        alive = (t < lengths).unsqueeze(-1)
        state = STPNState(
            torch.where(alive, new.h, state.h), torch.where(alive.unsqueeze(-1), new.F, state.F)
        )
        outputs.append(torch.where(alive, new.h, torch.zeros_like(new.h)))
    return torch.stack(outputs), state
