"""A layer of leaky integrate-and-fire neurons that learns by pair-based STDP, as a module."""

from typing import Any

import torch
from torch import Tensor

from plastorch.engine.device import check_memory
from plastorch.engine.errors import InputError, check_positive
from plastorch.spiking.events import Events
from plastorch.spiking.layer import Mode, Ran, SpikingLayer
from plastorch.spiking.neurons import LIF, Random, check_step
from plastorch.spiking.stdp import PairSTDP, Traces, within
from plastorch.spiking.stdp_step import Circuit, STDPState, run_raster
from plastorch.spiking.synapses import IdealState, IdealSynapses, Synapses, check_same_bounds


class STDPLayer(SpikingLayer):
    """Leaky integrate-and-fire neurons with lateral inhibition that learn by pair-based STDP.

    Diehl, Cook, *Unsupervised learning of digit recognition using spike-timing-dependent
    plasticity*, 2015, in its main parts. For the order of simultaneous events see
    :mod:`plastorch.spiking.stdp_step`; for ``learn`` and ``forward``,
    :class:`plastorch.spiking.layer.SpikingLayer`. The parameter ``theta`` is how far thresholds are
    above their lowest value.

    Args:
        in_features: number of inputs N.
        out_features: number of neurons K.
        neuron: constants of the neurons; the defaults if None.
        rule: constants of the plasticity; the defaults if None. Weights beyond its bounds, which a
            high learning rate can cause, count as the bound.
        inhibition: drop of the other neurons' membrane potentials at an output spike.
        dt: duration of a step, seconds. If it exceeds a time constant, a warning is given.
        synapses: storage of the weights; ideal within the bounds of ``rule`` if None. Others run
            on rasters only; the state holds these synapses, a copy for each sample, and the weights
            follow what is read from them.
        generator: random generator of the initial weights; torch's global one if None.
        device: device of the parameters.
        dtype: type of the parameters.

    Raises:
        InputError: if a size or ``dt`` is not positive, the weights don't fit into memory or can't
            reach the rule's ``norm``, the inhibition is negative, the neuron is not a LIF, or
            synapses have other bounds than ``rule``.

    Example:
        >>> from plastorch import learn
        >>> from plastorch.spiking.encode import poisson
        >>> layer = STDPLayer(9, 4, neuron=LIF(threshold=0.5))
        >>> optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
        >>> spikes, state = learn(layer, torch.ones(5, 2, 9))  # 5 steps, 2 samples
        >>> optimizer.step()
        >>> spikes.shape, layer.weight.shape
        (torch.Size([5, 2, 4]), torch.Size([4, 9]))
        >>> step = layer.learn_events(poisson(torch.full((2, 9), 20.0), 0.1), duration=0.1)
        >>> step.output.networks, step.state.time
        (2, 0.1)
    """

    state_kind = STDPState

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        neuron: LIF | None = None,
        rule: PairSTDP | None = None,
        inhibition: float = 0.0,
        dt: float = 1e-3,
        synapses: Synapses[Any] | None = None,
        generator: Random = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_positive(in_features=in_features, out_features=out_features)
        neuron, rule = neuron or LIF(), rule or PairSTDP()
        if not isinstance(neuron, LIF):
            raise InputError(f"neuron is a {type(neuron).__name__}; expected a LIF")
        check_step(dt, tau=neuron.tau, tau_plus=rule.tau_plus, tau_minus=rule.tau_minus)
        synapses = synapses or IdealSynapses(rule.low, rule.high)
        check_same_bounds(synapses, rule.low, rule.high)
        if rule.norm is not None and rule.norm > in_features * rule.high:
            raise InputError(
                f"norm is {rule.norm}; expected at most {in_features * rule.high:g}, the sum of "
                f"{in_features} weights of {rule.high:g}"
            )
        check_memory(4 * in_features * out_features, in_features=in_features, neurons=out_features)
        # An input's synapses lie side by side in memory, as the kernels visit them.
        weight = torch.empty(in_features, out_features, device=device, dtype=dtype).mT
        super().__init__(weight, dt, synapses)
        self.circuit = Circuit(neuron, rule, inhibition)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Random = None) -> None:
        """Draws weights, uniform in the lowest 30 % of their range, then scales them to the rule's
        ``norm``, if any; sets thresholds to their lowest value.

        Args:
            generator: random generator; torch's global one if None.
        """
        rule = self.circuit.rule
        with torch.no_grad():
            self.weight.uniform_(generator=generator).mul_(0.3 * (rule.high - rule.low))
            self.weight.add_(rule.low)
            if rule.norm is not None:
                self.weight.mul_(rule.norm / self.weight.sum(dim=1, keepdim=True))
            self.theta.zero_()

    def initial_state(self, batch_size: int = 1) -> STDPState:
        """Returns a state of neurons at rest and traces of 0, for a mini-batch of B samples."""
        theta = self.theta.detach().expand(batch_size, -1).clone()
        neurons = self.circuit.neuron.initial(theta)._replace(theta=theta)
        traces = Traces(theta.new_zeros(batch_size, self.in_features), torch.zeros_like(theta))
        stored = None
        if not self._ideal():
            stored = self.synapses.initial(self._weights().expand(batch_size, -1, -1))
        return STDPState(stored, neurons, traces, 0.0)

    def _clocked(self, x: Tensor, state: STDPState, mode: Mode) -> Ran:
        samples = x.shape[1]
        needed = 3 * samples * self.weight.numel() * self.weight.element_size()
        check_memory(needed, samples=samples, neurons=self.out_features)
        if self._ideal():
            weight = self._weights().expand(x.shape[1], -1, -1)
            state = state._replace(synapses=IdealState(weight))
        before = state.weight
        output, state = run_raster(
            x,
            state,
            self.circuit if mode.plastic else self.circuit.frozen(),
            synapses=self.synapses,
            dt=self.dt,
            generator=mode.generator,
        )
        after = self.synapses.read(state.synapses, state.time, mode.generator)
        after = after.to(self.weight.dtype)
        if before is None:
            inside = self._weights()
            change = (after - inside).sum(dim=0) + (inside - self.weight)
        else:
            change = (after - before).sum(dim=0)
        if self._ideal():
            return output, change, state._replace(synapses=None)
        return output, change, state._replace(weight=after if mode.plastic else before)

    def _driven(self, events: Events, duration: float, state: STDPState, mode: Mode) -> Ran:
        from plastorch.spiking.event_engine import respond  # importing numba takes a second

        if not self._ideal():
            raise InputError(
                f"synapses are {type(self.synapses).__name__}; expected ideal ones for events, or "
                "a raster"
            )
        circuit = self.circuit if mode.plastic else self.circuit.frozen()
        return respond(events, duration, self.weight, state, circuit)

    def _weights(self) -> Tensor:
        """Returns the weights within their bounds [K, N]."""
        return within(self.weight.detach(), self.circuit.rule)

    def _parts(self, state: STDPState) -> dict[str, tuple[Any, ...]]:
        parts = state.neurons._asdict() | state.traces._asdict()
        sizes = {"pre": self.in_features}
        return {name: (part, sizes.get(name, self.out_features)) for name, part in parts.items()}
