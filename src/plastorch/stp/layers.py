"""Short-term plasticity neurons as modules, used like ``nn.LSTMCell`` and ``nn.LSTM``."""

from math import inf
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from plastorch.engine.errors import InputError, check_finite
from plastorch.stp.energy import unit_energy
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
        bias: learn a bias b.
        plasticity: "recurrent" neurons also see their own activity, "feedforward" ones only inputs.
        norm: what is divided by ``|G|``: "pre", response and memory; "post", the response, and the
            memory after its update; "efficacy", the response only; "none".
        clamp: bound of the absolute value of F.
        scalar: share one Λ and one Γ among all synapses.
        presynaptic: activity used in Δ, incoming ("previous") or outgoing ("current").
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
        _check_counts(input_size=input_size, hidden_size=hidden_size)
        if plasticity not in ("recurrent", "feedforward"):
            raise InputError(
                f"plasticity is {plasticity!r}; expected one of recurrent, feedforward"
            )
        recurrent = plasticity == "recurrent"
        self.input_size, self.hidden_size = input_size, hidden_size
        self.dynamics = Dynamics(recurrent, norm, clamp, presynaptic, plastic, activation)
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
            Activities [B, H], and the state (h, F) of shapes [B, H] and [B, H, Kp]; without B if
            ``x`` has none.

        Raises:
            InputError: shapes, devices or types don't fit; on CPUs also: inputs, state or
                parameters are not finite.
        """
        if x.dim() not in (1, 2):
            raise InputError(f"x has shape {tuple(x.shape)}; expected (B, {self.input_size})")
        single = x.dim() == 1
        if single:
            x, state = x.unsqueeze(0), _batched(state)
        check_input(x, self.weight, self.input_size)
        output, state = self.run(x.unsqueeze(0), state)
        return (output[0, 0], _unbatched(state)) if single else (output[0], state)

    def run(
        self, x: Tensor, state: STPNState | None, lengths: Tensor | None = None
    ) -> tuple[Tensor, STPNState]:
        """Runs a checked sequence [T, B, I]; see :class:`STPN`."""
        state = self.before(state, x.shape[1])
        return run_sequence(x, state, self.slow, self.dynamics, lengths)

    def before(self, state: STPNState | None, batch_size: int) -> STPNState:
        """Returns the state if it fits, or a silent and empty one if None.

        Raises:
            InputError: the state has another shape, device or type.
        """
        if state is None:
            return self.initial_state(batch_size)
        state = _pair(state)
        shapes = {
            "h": (batch_size, self.hidden_size),
            "F": (batch_size, *self.memory_size),
        }
        for (name, shape), tensor in zip(shapes.items(), state, strict=True):
            if tuple(tensor.shape) != shape:
                raise InputError(f"state.{name} has shape {tuple(tensor.shape)}; expected {shape}")
            check_same(f"state.{name}", tensor, self.weight)
        return state

    def extra_repr(self) -> str:
        d = self.dynamics
        kind = "recurrent" if d.recurrent else "feedforward"
        return f"{self.input_size}, {self.hidden_size}, plasticity={kind!r}, norm={d.norm!r}"


class STPN(nn.Module):
    """Layers of short-term plasticity neurons for sequences, used like ``nn.LSTM``.

    Garcia Rodriguez et al., ICML 2022, arXiv 2206.14048; for the equations see :class:`STPNCell`.
    On CPUs the time loop is compiled, and training needs about as much memory as an RNN.

    Args:
        input_size: number of inputs I.
        hidden_size: number of neurons H per layer.
        num_layers: number of stacked layers.
        bias: learn a bias b.
        batch_first: sequences are [B, T, ...] instead of [T, B, ...]; states are unaffected.
        plasticity: "recurrent" or "feedforward"; for this and the rest see :class:`STPNCell`.
        norm: what is divided by the norm of the synapses.
        clamp: bound of the absolute value of F.
        scalar: share one Λ and one Γ among all synapses.
        presynaptic: activity used in Δ, "previous" or "current".
        plastic: synapses with a short-term state, "all", "input" or "hidden".
        activation: "tanh", "sigmoid", "relu" or "identity".
        generator: random generator of the initial parameters; torch's default if None.
        device: device of the parameters.
        dtype: type of the parameters.

    Raises:
        InputError: see :class:`STPNCell`; or ``num_layers`` is not a positive whole number, or
            ``batch_first`` is not a bool.

    Example:
        >>> layer = STPN(10, 20, batch_first=True)
        >>> output, state = layer(torch.randn(3, 7, 10))
        >>> output.shape, state.h.shape, state.F.shape
        (torch.Size([3, 7, 20]), torch.Size([3, 20]), torch.Size([3, 20, 30]))
        >>> output, state = layer(torch.randn(3, 7, 10), state.detach())
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool = True,
        batch_first: bool = False,
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
        _check_counts(num_layers=num_layers)
        if not isinstance(batch_first, bool):
            raise InputError(f"batch_first is {batch_first!r}; expected True or False")
        self.input_size, self.hidden_size = input_size, hidden_size
        self.batch_first, self.num_layers = batch_first, num_layers
        self.cells = nn.ModuleList(
            STPNCell(
                hidden_size if above else input_size,
                hidden_size,
                bias=bias,
                plasticity=plasticity,
                norm=norm,
                clamp=clamp,
                scalar=scalar,
                presynaptic=presynaptic,
                plastic=plastic,
                activation=activation,
                generator=generator,
                device=device,
                dtype=dtype,
            )
            for above in range(num_layers)
        )

    def forward(
        self,
        x: Tensor | PackedSequence,
        state: STPNState | tuple[STPNState, ...] | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor | PackedSequence, STPNState | tuple[STPNState, ...]]:
        """Runs all steps of all layers.

        Args:
            x: sequences [T, B, I] ([B, T, I] with ``batch_first``), a single one [T, I], or packed
                sequences.
            state: state before the first step; silent and empty if None.
            lengths: number of steps of each sample [B], in any order, for padded sequences; later
                output is 0, and the returned state is that of each sample's last step.

        Returns:
            Activities of the last layer in the form of ``x``, and the state (h, F) of shapes [B, H]
            and [B, H, Kp], or a tuple of states if there are several layers.

        Raises:
            InputError: shapes, devices or types don't fit, or a sequence is empty; on CPUs also:
                inputs, state or parameters are not finite.
        """
        if isinstance(x, PackedSequence):
            return self._packed(x, state, lengths)
        x, single = self._steps_first(x)
        if lengths is not None:
            lengths = _checked_lengths(lengths, *x.shape[:2])
        states = self._states(state, single)
        after = []
        for cell, before in zip(self.cells, states, strict=True):
            assert isinstance(cell, STPNCell)
            x, new = cell.run(x, before, lengths)
            after.append(_unbatched(new) if single else new)
        return self._as_given(x, single), after[0] if self.num_layers == 1 else tuple(after)

    @torch.no_grad()
    def energy(self, x: Tensor, state: STPNState | tuple[STPNState, ...] | None = None) -> Tensor:
        """Returns the energy of each neuron's synapses at each step: sum over j of ``|G_ij| z_j²``.

        Garcia Rodriguez et al., ICML 2022, section on energy; see :mod:`plastorch.stp.energy`.

        Args:
            x: sequences, as for :meth:`forward`, but not packed.
            state: state before the first step.

        Returns:
            Energies in the form of ``x``, with the neurons of all layers side by side: [T, B, H],
            or [B, T, H] with ``batch_first``.

        Raises:
            InputError: shapes, devices or types don't fit, or inputs, state or parameters are not
                finite.
        """
        x, single = self._steps_first(x)
        energies = []
        for cell, before in zip(self.cells, self._states(state, single), strict=True):
            assert isinstance(cell, STPNCell)
            h, memory = before = cell.before(before, x.shape[1])
            check_finite(x=x, **{"state.h": h, "state.F": memory}, **dict(cell.named_parameters()))
            energy, x = unit_energy(x, before, cell.slow, cell.dynamics)
            energies.append(energy)
        return self._as_given(torch.cat(energies, dim=-1), single)

    def _steps_first(self, x: Tensor) -> tuple[Tensor, bool]:
        """Returns sequences [T, B, I], and whether ``x`` is a single one, without B."""
        if x.dim() not in (2, 3):
            order = "(B, T, " if self.batch_first else "(T, B, "
            raise InputError(f"x has shape {tuple(x.shape)}; expected {order}{self.input_size})")
        single = x.dim() == 2
        if single:
            x = x.unsqueeze(1)
        elif self.batch_first:
            x = x.transpose(0, 1)
        first = self.cells[0]
        assert isinstance(first, STPNCell)
        check_input(x, first.weight, self.input_size)
        return x, single

    def _as_given(self, x: Tensor, single: bool) -> Tensor:
        """Converts [T, B, H] back to the form of the input."""
        if single:
            return x.squeeze(1)
        return x.transpose(0, 1) if self.batch_first else x

    def _packed(
        self,
        x: PackedSequence,
        state: STPNState | tuple[STPNState, ...] | None,
        lengths: Tensor | None,
    ) -> tuple[PackedSequence, STPNState | tuple[STPNState, ...]]:
        if lengths is not None:
            raise InputError("lengths are given beside a packed sequence, which has its own")
        padded, lengths = pad_packed_sequence(x, batch_first=self.batch_first)
        output, state = self(padded, state, lengths)
        packed = pack_padded_sequence(
            output, lengths, batch_first=self.batch_first, enforce_sorted=False
        )
        return packed, state

    def _states(
        self, state: STPNState | tuple[STPNState, ...] | None, single: bool
    ) -> list[STPNState | None]:
        """Returns the state of each layer, with a batch dimension."""
        if state is None:
            return [None] * self.num_layers
        states: Any = (state,) if self.num_layers == 1 else state
        if not isinstance(states, (tuple, list)):
            raise InputError(f"state is a {type(state).__name__}; expected one of each layer")
        if len(states) != self.num_layers:
            raise InputError(f"state is of {len(states)} layers; expected {self.num_layers}")
        return [_batched(each) if single else each for each in states]


def _check_counts(**sizes: int) -> None:
    """Raises InputError naming the first argument that is not a positive whole number."""
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise InputError(f"{name} is {size!r}; expected a whole number, 1 or more")


def check_input(x: Tensor, weight: Tensor, input_size: int) -> None:
    """Raises InputError if inputs [..., I] are empty or don't fit the weights."""
    if x.shape[-1] != input_size:
        raise InputError(f"x has shape {tuple(x.shape)}; expected {input_size} features, at last")
    if x.numel() == 0:
        raise InputError(f"x has shape {tuple(x.shape)}; expected one step and sample or more")
    check_same("x", x, weight)


def check_same(name: str, tensor: Tensor, weight: Tensor) -> None:
    """Raises InputError if device or type of a tensor differ from those of the weights."""
    if tensor.device != weight.device:
        raise InputError(f"{name} is on {tensor.device}; expected {weight.device}, of the weights")
    if tensor.dtype != weight.dtype:
        raise InputError(f"{name} is {tensor.dtype}; expected {weight.dtype}, of the weights")


def _checked_lengths(lengths: Tensor, steps: int, batch_size: int) -> Tensor:
    if lengths.shape != (batch_size,) or lengths.is_floating_point():
        raise InputError(
            f"lengths have shape {tuple(lengths.shape)} and type {lengths.dtype}; expected "
            f"({batch_size},) whole numbers"
        )
    lengths = lengths.to("cpu", torch.int64).contiguous()
    if lengths.min() < 1 or lengths.max() > steps:
        raise InputError(
            f"lengths are from {int(lengths.min())} to {int(lengths.max())}; expected 1 to {steps}"
        )
    return lengths


def _pair(state: STPNState) -> STPNState:
    """Returns the state if it is well-formed."""
    if not isinstance(state, tuple) or len(state) != 2:
        raise InputError(f"state is a {type(state).__name__}; expected the pair (h, F)")
    for name, part in zip(STPNState._fields, state, strict=True):
        if not isinstance(part, Tensor):
            raise InputError(f"state.{name} is a {type(part).__name__}; expected a tensor")
    return STPNState(*state)


def _batched(state: STPNState | None) -> STPNState | None:
    return None if state is None else STPNState(*(part.unsqueeze(0) for part in _pair(state)))


def _unbatched(state: STPNState) -> STPNState:
    return STPNState(state.h.squeeze(0), state.F.squeeze(0))
