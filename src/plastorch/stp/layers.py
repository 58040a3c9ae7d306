"""Layers of short-term plasticity neurons, used like ``nn.LSTM``."""

import warnings
from math import inf
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from plastorch.engine.errors import InputError, check_counts, check_finite
from plastorch.learning.lengths import checked_lengths
from plastorch.stp.cell import Plasticity, STPNCell
from plastorch.stp.checks import batched, checked_input, unbatched
from plastorch.stp.energy import unit_energy
from plastorch.stp.rule import Activation, Norm, Plastic, Presynaptic, STPNState


class STPN(nn.Module):
    """Layers of short-term plasticity neurons for sequences, used like ``nn.LSTM``.

    Garcia Rodriguez et al., ICML 2022, arXiv 2206.14048; for the equations see :class:`STPNCell`.
    On CPUs the time loop is compiled, and training needs about as much memory as an RNN. Unlike
    ``nn.LSTM`` it has no ``bidirectional`` and no ``proj_size``. Under autocast, inputs and states
    are converted to the type of the parameters; results have that type too.

    Args:
        input_size: number of inputs I.
        hidden_size: number of neurons H per layer.
        num_layers: number of stacked layers.
        bias: whether to learn a bias b.
        batch_first: whether sequences are [B, T, ...] instead of [T, B, ...]; states are
            unaffected.
        dropout: probability of dropping, in training, an activity between layers. With a single
            layer nothing is dropped, and a warning says so, as in ``nn.LSTM``.
        plasticity: "recurrent" or "feedforward"; for this and the rest see :class:`STPNCell`.
        norm: terms divided by the norm of the synapses.
        clamp: bound of the absolute value of F.
        scalar: whether all synapses share one Λ and one Γ.
        presynaptic: the neurons' activity in the update of F, "previous" or "current".
        plastic: synapses with a short-term state, "all", "input" or "hidden".
        activation: "tanh", "sigmoid", "relu" or "identity".
        generator: random generator of the initial parameters; torch's default if None.
        device: device of the parameters.
        dtype: type of the parameters.

    Raises:
        InputError: see :class:`STPNCell`; or ``num_layers`` is not a positive whole number,
            ``batch_first`` is not a bool, or ``dropout`` is not from 0 to 1.

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
        dropout: float = 0.0,
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
        check_counts(num_layers=num_layers)
        if not isinstance(batch_first, bool):
            raise InputError(f"batch_first is {batch_first!r}; expected True or False")
        _check_dropout(dropout, num_layers)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.batch_first, self.num_layers, self.dropout = batch_first, num_layers, dropout
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
            lengths: number of steps of each sample, a tensor [B] in any order, for padded
                sequences; output after a sample's last step is 0, and the returned state is that
                after its last step.

        Returns:
            Activities of the last layer in the form of ``x``, and the state (h, F) of shapes [B, H]
            and [B, H, Kp], with Kp plastic synapses per neuron, or a tuple of states if there are
            several layers.

        Raises:
            InputError: shapes, devices or types don't fit, or a sequence is empty; on CPUs also:
                inputs, state or parameters are not finite.
        """
        if isinstance(x, PackedSequence):
            return self._packed(x, state, lengths)
        x, single = self._steps_first(x)
        if lengths is not None:
            lengths = checked_lengths(lengths, x)
        states = self._states(state, single)
        after: list[STPNState] = []
        for cell, before in zip(self.cells, states, strict=True):
            assert isinstance(cell, STPNCell)
            if after and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            x, new = cell.run(x, before, lengths)
            after.append(unbatched(new) if single else new)
        return self._as_given(x, single), after[0] if self.num_layers == 1 else tuple(after)

    @torch.no_grad()
    def energy(self, x: Tensor, state: STPNState | tuple[STPNState, ...] | None = None) -> Tensor:
        """Returns the energy of each neuron's synapses at each step: sum over j of ``|G_ij| z_j²``.

        Garcia Rodriguez et al., ICML 2022, section on energy; see :mod:`plastorch.stp.energy`.
        Dropout is not applied.

        Args:
            x: sequences, as for :meth:`forward`, but not packed.
            state: state before the first step.

        Returns:
            Energies in the form of ``x``, with the neurons of all layers side by side: [T, B, H],
            or [B, T, H] with ``batch_first``.

        Raises:
            InputError: shapes, devices or types don't fit; on CPUs also: inputs, state or
                parameters are not finite.
        """
        x, single = self._steps_first(x)
        energies = []
        for cell, before in zip(self.cells, self._states(state, single), strict=True):
            assert isinstance(cell, STPNCell)
            before = cell.before(before, x.shape[1])
            if x.is_cpu:  # elsewhere a check would wait for the device
                state_of = {"state.h": before.h, "state.F": before.F}
                check_finite(x=x, **state_of, **dict(cell.named_parameters()))
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
        return checked_input(x, first.weight, self.input_size), single

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
            raise InputError("lengths are given with a packed sequence, which has its own")
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
            raise InputError(f"state is a {type(state).__name__}; expected a tuple, one per layer")
        if len(states) != self.num_layers:
            raise InputError(f"state has {len(states)} layers; expected {self.num_layers}")
        return [batched(each) if single else each for each in states]


def _check_dropout(dropout: float, num_layers: int) -> None:
    """Raises InputError unless dropout is a probability; warns if there is nothing to drop."""
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout <= 1:
        raise InputError(f"dropout is {dropout!r}; expected 0 to 1")
    if dropout and num_layers == 1:
        warnings.warn(
            f"dropout is {dropout}, but acts between layers only; expected num_layers above 1",
            stacklevel=3,
        )
