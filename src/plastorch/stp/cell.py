"""One step of short-term plasticity neurons as a module, used like ``nn.LSTMCell``."""

from math import inf
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from plastorch.engine.errors import InputError, check_counts, check_one_of
from plastorch.stp.checks import (
    batched,
    checked_input,
    like_weights,
    state_pair,
    unbatched,
)
from plastorch.stp.rule import (
    Activation,
    Dynamics,
    Norm,
    Parameters,
    Plastic,
    Presynaptic,
    STPNState,
)
from plastorch.stp.sequence import run_sequence

Plasticity = Literal["recurrent", "feedforward"]


class STPNCell(nn.Module):
    """One step of short-term plasticity neurons, used like ``nn.LSTMCell``.

    ``G = W + F; h = tanh(G z / |G| + b); F = Λ F / |G| + Γ h z``, with ``z = [x; h(t-1)]``.
    Garcia Rodriguez et al., ICML 2022, arXiv 2206.14048, equations of STPNr (and, with
    ``plasticity="feedforward"``, of STPNf, where z = x).

    Args:
        input_size: number of inputs I.
        hidden_size: number of neurons H.
        bias: whether to learn a bias b.
        plasticity: "recurrent" neurons also see their own activity, "feedforward" ones only inputs.
        norm: terms divided by ``|G|``: "pre", response and memory; "post", the response, and the
            memory after its update; "efficacy", the response only; "none".
        clamp: bound of the absolute value of F.
        scalar: whether all synapses share one Λ and one Γ.
        presynaptic: the neurons' activity in z of the update Γ h z: incoming, h(t-1) ("previous"),
            or outgoing, h(t) ("current").
        plastic: synapses with a short-term state: "all", from the "input", or from "hidden".
        activation: activation function: "tanh", "sigmoid", "relu" or "identity".
        generator: random generator of the initial parameters; torch's default if None.
        device: device of the parameters.
        dtype: type of the parameters.

    Raises:
        InputError: a size is not a positive whole number, the clamp is not positive, or a name is
            unknown.

    Example:
        >>> cell = STPNCell(10, 20)
        >>> h, state = cell(torch.randn(3, 10))
        >>> h.shape, state.F.shape
        (torch.Size([3, 20]), torch.Size([3, 20, 30]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        plasticity: Plasticity = "recurrent",
        norm: Norm = "pre",
        clamp: float = inf,
        scalar: bool = False,
        presynaptic: Presynaptic = "previous",
        plastic: Plastic = "all",
        activation: Activation = "tanh",
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_counts(input_size=input_size, hidden_size=hidden_size)
        check_one_of(get_args(Plasticity), plasticity=plasticity)
        recurrent = plasticity == "recurrent"
        self.input_size, self.hidden_size = input_size, hidden_size
        self.dynamics = Dynamics(
            recurrent=recurrent,
            norm=norm,
            clamp=clamp,
            presynaptic=presynaptic,
            plastic=plastic,
            activation=activation,
        )
        width = input_size + hidden_size if recurrent else input_size
        columns = range(width)[self.dynamics.columns(input_size, width)]
        self.memory_size = (hidden_size, len(columns))
        """Shape of F of one sample."""

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape, device=device, dtype=dtype))

        self.weight = empty(hidden_size, width)
        self.bias = empty(hidden_size) if bias else None
        self.weight_lambda = empty(*((1,) if scalar else self.memory_size))
        self.weight_gamma = empty(*((1,) if scalar else self.memory_size))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draws W, b ~ U(-s, s), Λ ~ U(0, 1), Γ ~ U(-s/1000, s/1000), where s = 1/sqrt(H), or
        1/sqrt(I) for a feed-forward unit."""
        fan = self.hidden_size if self.dynamics.recurrent else self.input_size
        bound = fan**-0.5
        nn.init.uniform_(self.weight, -bound, bound, generator)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound, generator)
        nn.init.uniform_(self.weight_lambda, 0, 1, generator)
        nn.init.uniform_(self.weight_gamma, -bound / 1000, bound / 1000, generator)

    @property
    def slow(self) -> Parameters:
        """Returns the parameters in the form of :mod:`plastorch.stp.rule`."""
        return Parameters(self.weight, self.bias, self.weight_lambda, self.weight_gamma)

    def initial_state(self, batch_size: int) -> STPNState:
        """Returns a state of silent neurons and empty memories."""
        zeros = self.weight.new_zeros
        return STPNState(zeros(batch_size, self.hidden_size), zeros(batch_size, *self.memory_size))

    def forward(self, x: Tensor, state: STPNState | None = None) -> tuple[Tensor, STPNState]:
        """Runs one step.

        Args:
            x: inputs [B, I], or [I] for a single sample.
            state: state of the previous step; silent and empty if None.

        Returns:
            Activities [B, H], and the state (h, F) of shapes [B, H] and [B, H, Kp], with Kp plastic
            synapses per neuron (I + H by default); without B if ``x`` has none.

        Raises:
            InputError: shapes, devices or types don't fit; on CPUs also: inputs, state or
                parameters are not finite.
        """
        if x.dim() not in (1, 2):
            raise InputError(f"x has shape {tuple(x.shape)}; expected (B, {self.input_size})")
        single = x.dim() == 1
        if single:
            x, state = x.unsqueeze(0), batched(state)
        x = checked_input(x, self.weight, self.input_size)
        output, state = self.run(x.unsqueeze(0), state)
        return (output[0, 0], unbatched(state)) if single else (output[0], state)

    def run(
        self, x: Tensor, state: STPNState | None, lengths: Tensor | None = None
    ) -> tuple[Tensor, STPNState]:
        """Runs a checked sequence [T, B, I]; see :class:`STPN`."""
        state = self.before(state, x.shape[1])
        return run_sequence(x, state, self.slow, self.dynamics, lengths)

    def before(self, state: STPNState | None, batch_size: int) -> STPNState:
        """Returns the state, as :func:`like_weights`, or a silent and empty one if None.

        Raises:
            InputError: the state has another shape, device or type.
        """
        if state is None:  # one memory for all samples, instead of zeros for each
            memory = self.weight.new_zeros(1, *self.memory_size).expand(batch_size, -1, -1)
            return STPNState(self.weight.new_zeros(batch_size, self.hidden_size), memory)
        state = state_pair(state)
        shapes = {
            "h": (batch_size, self.hidden_size),
            "F": (batch_size, *self.memory_size),
        }
        parts = []
        for (name, shape), tensor in zip(shapes.items(), state, strict=True):
            if tuple(tensor.shape) != shape:
                raise InputError(f"state.{name} has shape {tuple(tensor.shape)}; expected {shape}")
            parts.append(like_weights(f"state.{name}", tensor, self.weight))
        return STPNState(*parts)

    def extra_repr(self) -> str:
        d = self.dynamics
        kind = "recurrent" if d.recurrent else "feedforward"
        return f"{self.input_size}, {self.hidden_size}, plasticity={kind!r}, norm={d.norm!r}"
