"""Fatiguing STDP as a module: clocked, or driven by events."""

from typing import Any

import torch
from torch import Tensor, nn

from plastorch.engine.errors import check_positive
from plastorch.spiking.events import Events
from plastorch.spiking.fatigue.events import run_events
from plastorch.spiking.fatigue.rule import (
    IDEAL,
    FatigueState,
    FatiguingSTDP,
    initial_state,
    run_raster,
)
from plastorch.spiking.synapses import Synapses


class FatiguingNeuron(nn.Module):
    """Neuron that learns by fatiguing STDP which of its inputs spike together.

    Moraitis et al., *Fatiguing STDP*, IJCNN 2017, arXiv 1706.05563; equations in
    :mod:`plastorch.spiking.fatigue.rule`. All that is learned is in the state.

    Args:
        inputs: number of inputs N.
        rule: constants of the rule; the defaults if None.
        networks: number B of independent neurons, each with its own inputs.
        dt: duration of a step of the clocked engine, seconds.
        synapses: storage of the weights.

    Raises:
        InputError: if a size or ``dt`` is not positive.

    Example:
        >>> neuron = FatiguingNeuron(20)
        >>> spikes, state = neuron(torch.ones(5, 1, 20))
        >>> spikes.shape, state.synapses.weight.shape
        (torch.Size([5, 1]), torch.Size([1, 20]))
    """

    def __init__(
        self,
        inputs: int,
        rule: FatiguingSTDP | None = None,
        networks: int = 1,
        dt: float = 1e-3,
        synapses: Synapses[Any] = IDEAL,
    ) -> None:
        super().__init__()
        check_positive(inputs=inputs, networks=networks, dt=dt)
        self.inputs, self.networks, self.dt = inputs, networks, dt
        self.rule, self.synapses = rule or FatiguingSTDP(), synapses

    def initial_state(self, device: torch.device | str | None = None) -> FatigueState:
        """Returns recovered inputs, a silent neuron, and equal weights."""
        return initial_state(self.rule, self.networks, self.inputs, self.synapses, device)

    def forward(
        self,
        x: Tensor,
        state: FatigueState | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, FatigueState]:
        """Runs the clocked engine on a raster, step by step, on any device.

        Args:
            x: spikes, bool, or 0 and 1 [T, B, N].
            state: state before the first step, as returned; an initial one if None.
            generator: random generator for the synapses' noise.

        Returns:
            Output spikes, bool [T, B], and the state at the end of the last step.

        Raises:
            InputError: if the raster has another shape or other values.
        """
        state = self.initial_state(x.device) if state is None else state
        course, state = run_raster(x, state, self.rule, self.dt, self.synapses, generator)
        return course.spikes, state

    def respond(
        self,
        events: Events,
        duration: float,
        state: FatigueState | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Events, FatigueState]:
        """Runs the event-driven engine from spike to spike, on a CPU.

        Args:
            events: input spikes of B networks, or of one that all share; time 0 is the state's.
            duration: simulated time, longer than the time of any spike, seconds.
            state: state as in :meth:`forward`.
            generator: random generator for the synapses' noise.

        Returns:
            Output spikes, and the state at the end.

        Raises:
            InputError: if events are invalid, or do not fit the neuron or the duration.

        Example:
            >>> from plastorch.spiking.encode import poisson
            >>> events = poisson(torch.full((1, 50), 20.0), duration=0.1)
            >>> spikes, state = FatiguingNeuron(50).respond(events, duration=0.1)
            >>> spikes.networks, state.time
            (1, 0.1)
        """
        state = self.initial_state() if state is None else state
        start, stop = state.time, state.time + duration
        moved = events._replace(times=events.times + start)
        spikes, state = run_events(moved, state, self.rule, stop, self.synapses, generator)
        return spikes._replace(times=spikes.times - start), state

    def extra_repr(self) -> str:
        return f"{self.inputs}, networks={self.networks}, dt={self.dt}"
