"""A layer of spiking neurons that learns, as a module: clocked, or driven by events."""

from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from plastorch.engine.errors import InputError, check_positive
from plastorch.spiking.events import Events, check_events, check_spikes, from_raster
from plastorch.spiking.neurons import LIF, check_step
from plastorch.spiking.stdp import PairSTDP, Traces
from plastorch.spiking.stdp_step import Circuit, STDPState, stdp_step
from plastorch.spiking.synapses import IdealState, IdealSynapses, Synapses, check_weight

MOST_STEPS = 2**31
"""Limit of the number of steps per pattern, as spikes are counted in each step."""


class STDPLayer(nn.Module):
    """Leaky integrate-and-fire neurons with lateral inhibition that learn by pair-based STDP.

    Diehl, Cook, *Unsupervised learning of digit recognition using spike-timing-dependent
    plasticity*, 2015, in its main parts; the order of what happens at one time is given in
    :mod:`plastorch.spiking.stdp_step`. In eval mode, weights and thresholds don't change.
    What is learned is in the state; :meth:`keep` copies it into the layer's buffers, from which
    later states start.

    Args:
        inputs: number of inputs N.
        neurons: number of neurons K.
        neuron: constants of the neurons.
        stdp: constants of the plasticity.
        inhibition: drop of the other neurons' membranes at an output spike.
        networks: number of networks B.
        dt: duration of a step, seconds. If it exceeds a time constant, a warning is given.
        synapses: storage of the weights; ideal within the bounds of ``stdp`` if None. Others run
            in the clocked engine only.
        generator: random generator for the first weights, uniform in the lower 0.3 of their range.
        device: device of the weights.
        dtype: data type of the weights.

    Raises:
        InputError: if a size or ``dt`` is not positive, the inhibition is negative, or ideal
            synapses have other bounds than ``stdp``.

    Example:
        >>> layer = STDPLayer(9, 4, LIF(threshold=0.5))
        >>> spikes, state = layer(torch.ones(5, 1, 9))
        >>> spikes.shape, state.synapses.weight.shape
        (torch.Size([5, 1, 4]), torch.Size([1, 4, 9]))
    """

    weight: Tensor
    """Weights [B, K, N]."""
    theta: Tensor
    """Thresholds above their lowest value [B, K]."""

    def __init__(
        self,
        inputs: int,
        neurons: int,
        neuron: LIF | None = None,
        stdp: PairSTDP | None = None,
        inhibition: float = 0.0,
        networks: int = 1,
        dt: float = 1e-3,
        synapses: Synapses[Any] | None = None,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(inputs=inputs, neurons=neurons, networks=networks)
        self.circuit = Circuit(neuron or LIF(), stdp or PairSTDP(), inhibition)
        neuron, stdp = self.circuit.neuron, self.circuit.stdp
        check_step(dt, tau=neuron.tau, tau_plus=stdp.tau_plus, tau_minus=stdp.tau_minus)
        ideal = IdealSynapses(stdp.low, stdp.high)
        self.dt, self.synapses = dt, synapses or ideal
        if isinstance(synapses, IdealSynapses) and synapses != ideal:
            raise InputError(f"synapses are {synapses}; expected the bounds of stdp, {ideal}")
        uniform = torch.rand(networks, neurons, inputs, generator=generator, dtype=dtype)
        weight = stdp.low + 0.3 * (stdp.high - stdp.low) * uniform
        self.register_buffer("weight", weight.to(device))
        self.register_buffer("theta", torch.zeros_like(self.weight[:, :, 0]))

    def initial_state(self) -> STDPState:
        """Returns neurons at rest and no traces, with the weights and thresholds that were kept.

        Raises:
            InputError: if a weight is out of bounds.
        """
        pre, post = torch.zeros_like(self.weight[:, 0]), torch.zeros_like(self.theta)
        neurons = self.circuit.neuron.initial(post)._replace(theta=self.theta.clone())
        stored = self.synapses.initial(self.weight.clone())
        return STDPState(stored, neurons, Traces(pre, post), 0.0)

    def keep(self, state: STDPState) -> None:
        """Copies thresholds and weights, read once, into the buffers, where later states start."""
        self.weight.copy_(self.synapses.read(state.synapses, state.time))
        self.theta.copy_(state.neurons.theta)

    def forward(
        self,
        x: Tensor,
        state: STDPState | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, STDPState]:
        """Runs the clocked engine on a raster, step by step, on any device.

        Args:
            x: spikes, bool, or 0 and 1 [T, B, N].
            state: state before the first step, as returned; :meth:`initial_state` if None.
            generator: random generator for the synapses' noise.

        Returns:
            Output spikes, bool [T, B, K], and the state at the end of the last step.

        Raises:
            InputError: if the raster has another shape, or the state doesn't fit.
        """
        networks, _, inputs = self.weight.shape
        if x.dim() != 3 or len(x) == 0 or x.shape[1:] != (networks, inputs):
            raise InputError(f"x has shape {tuple(x.shape)}; expected (T, {networks}, {inputs})")
        check_spikes(x=x)
        state, circuit = self._checked(state), self._circuit()
        if isinstance(state.synapses, IdealState):
            check_weight(state.synapses.weight, circuit.stdp.low, circuit.stdp.high)
        spikes = []
        for now in x:
            now = now.to(self.weight.dtype)
            output, state = stdp_step(now, state, circuit, self.synapses, self.dt, generator)
            spikes.append(output)
        return torch.stack(spikes), state

    def respond(
        self, events: Events, duration: float, state: STDPState | None = None
    ) -> tuple[Events, STDPState]:
        """Runs the event-driven engine from spike to spike, on a CPU, for ideal synapses.

        Args:
            events: input spikes of B networks; time 0 is the time of the state.
            duration: simulated time, longer than the time of any spike, seconds.
            state: state as in :meth:`forward`.

        Returns:
            Output spikes, and the state at the end.

        Raises:
            InputError: if events are invalid, or do not fit the layer or the duration, or the
                state doesn't fit, or synapses are not ideal or not on a CPU.

        Example:
            >>> from plastorch.spiking.encode import poisson
            >>> layer, random = STDPLayer(50, 4), torch.Generator().manual_seed(0)
            >>> events = poisson(torch.full((1, 50), 20.0), duration=0.1, generator=random)
            >>> spikes, state = layer.respond(events, duration=0.1)
            >>> spikes.networks, state.time
            (1, 0.1)
        """
        from plastorch.spiking.event_engine import respond

        check_positive(duration=duration)
        check_events(events, self.weight.shape[2])
        if events.networks != len(self.weight):
            raise InputError(
                f"events are of {events.networks} networks; expected {len(self.weight)}"
            )
        if len(events.times) and float(events.times.max()) >= duration:
            raise InputError(
                f"events go on until {float(events.times.max())} s; expected less than the "
                f"duration of {duration} s"
            )
        if not self._compiles():
            raise InputError(
                f"synapses are {type(self.synapses).__name__} on {self.weight.device}; expected "
                "ideal ones on a cpu, or a raster"
            )
        return respond(events, duration, self._checked(state), self._circuit())

    def present(
        self,
        rates: Tensor,
        duration: float,
        state: STDPState | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Events, STDPState]:
        """Encodes patterns of rates as spikes, one after the other, and runs the layer on them.

        An input spikes in a step with probability rate dt. Where the event-driven engine can run,
        no raster is made, and the cost grows only with the number of spikes.

        Args:
            rates: firing rates, Hz [S, B, N]; 0 for a pause.
            duration: duration of each pattern, seconds.
            state: state as in :meth:`forward`.
            generator: random generator for the spikes, on the CPU.

        Returns:
            Output spikes of all patterns; the first begins at time 0, the next at ``duration``, and
            so on; and the state at the end.

        Raises:
            InputError: if rates have another shape or are not in [0, 1 / dt], or the state doesn't
                fit.

        Example:
            >>> layer = STDPLayer(50, 4)
            >>> spikes, state = layer.present(torch.full((3, 1, 50), 20.0), duration=0.35)
            >>> bool((spikes.times < 3 * 0.35).all())
            True
        """
        from plastorch.spiking.event_engine import present

        check_positive(duration=duration)
        networks, _, inputs = self.weight.shape
        if rates.dim() != 3 or len(rates) == 0 or rates.shape[1:] != (networks, inputs):
            raise InputError(
                f"rates have shape {tuple(rates.shape)}; expected (S, {networks}, {inputs})"
            )
        chances = rates.double() * self.dt
        bad = ~((chances >= 0) & (chances <= 1))
        if bool(bad.any()):
            raise InputError(
                f"rates hold {float(rates[bad][0])} Hz; expected 0 to one spike per dt of "
                f"{self.dt} s"
            )
        if not duration / self.dt < MOST_STEPS:
            raise InputError(
                f"duration is {duration} s; expected less than {MOST_STEPS} steps of {self.dt} s"
            )
        steps = max(round(duration / self.dt), 1)
        if self._compiles():
            circuit = self._circuit()
            return present(chances, steps, self.dt, self._checked(state), circuit, generator)
        spikes = []
        for chance in chances.float().cpu():
            raster = torch.rand(steps, networks, inputs, generator=generator) < chance
            output, state = self(raster.to(self.weight.device), state)
            spikes.append(output)
        assert state is not None
        return from_raster(torch.cat(spikes), self.dt), state

    def extra_repr(self) -> str:
        networks, neurons, inputs = self.weight.shape
        return f"{inputs}, {neurons}, networks={networks}, dt={self.dt}"

    def _circuit(self) -> Circuit:
        return self.circuit if self.training else self.circuit.frozen()

    def _compiles(self) -> bool:
        """Returns whether the event-driven engine can run."""
        return isinstance(self.synapses, IdealSynapses) and self.weight.device.type == "cpu"

    def _checked(self, state: STDPState | None) -> STDPState:
        """Returns the state, or an initial one if None.

        Raises:
            InputError: if the state is of a layer of another size, or its time is not finite.
        """
        if state is None:
            return self.initial_state()
        networks, _, inputs = self.weight.shape
        expected = {"weight": self.weight.shape, "pre": (networks, inputs)}
        parts = state.neurons._asdict() | state.traces._asdict()
        if isinstance(state.synapses, IdealState):
            parts |= state.synapses._asdict()
        for name, part in parts.items():
            shape = expected.get(name, self.theta.shape)
            if part.shape != shape:
                raise InputError(f"{name} of state is {list(part.shape)}; expected {list(shape)}")
        if not isfinite(state.time):
            raise InputError(f"time of state is {state.time}; expected a finite one")
        return state
