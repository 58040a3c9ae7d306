"""One step of a layer of leaky integrate-and-fire neurons that learns by pair-based STDP.

Everything that happens at one time happens in this order, in each network:

1. Presynaptic spikes: the weights, as they are, add to the membranes of all neurons that are not
   refractory; then the synapses are depressed by the traces of earlier postsynaptic spikes.
2. Postsynaptic spikes: all neurons above their threshold fire. Their synapses, as they are after
   depression, are potentiated by the traces of presynaptic spikes, current ones included.
3. Inhibition: each postsynaptic spike lowers the membranes of all neurons that neither fire now nor
   are refractory. Then current spikes are added to the traces of postsynaptic spikes.

In between, everything decays exactly. Time steps begin with their spikes, and simultaneous events
of a network are processed together. So the clocked engine, which takes one step at a time on any
device, and the event-driven one, which goes from spike to spike on a CPU, compute the same.

Shapes: B independent networks of N inputs and K neurons; weights [B, K, N].
"""

from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, NamedTuple

import torch
from torch import Tensor

from plastorch.spiking.neurons import (
    LIF,
    LIFState,
    Random,
    check_not_negative,
    fire,
    receptive,
    relax,
)
from plastorch.spiking.stdp import PairSTDP, Traces, depress, fade, potentiate
from plastorch.spiking.synapses import Synapses


class STDPState(NamedTuple):
    """State of networks between two steps."""

    synapses: Any
    """State of the synapses. None in a layer's state if they are ideal: weights are the layer's."""
    neurons: LIFState
    """State of the neurons [B, K]."""
    traces: Traces
    """Traces of inputs [B, N] and neurons [B, K]."""
    time: float
    """Seconds since the beginning."""
    weight: Tensor | None = None
    """Weights [B, K, N] of a layer's synapses after the last learning; None for the layer's own."""


torch.serialization.add_safe_globals([STDPState])


@dataclass(frozen=True)
class Circuit:
    """Constants of a layer: neurons, plasticity, the drop of the other neurons' membranes at an
    output spike (inhibition), and whether weights and thresholds learn (plastic)."""

    neuron: LIF = field(default_factory=LIF)
    rule: PairSTDP = field(default_factory=PairSTDP)
    inhibition: float = 0.0
    plastic: bool = True

    def __post_init__(self) -> None:
        check_not_negative(inhibition=self.inhibition)

    def frozen(self) -> "Circuit":
        """Returns a copy whose weights and thresholds stay as they are."""
        neuron = replace(self.neuron, theta_increase=0.0, theta_tau=inf)
        return replace(self, neuron=neuron, plastic=False)


def stdp_step(
    x: Tensor,
    state: STDPState,
    circuit: Circuit,
    *,
    synapses: Synapses[Any],
    dt: float,
    generator: Random = None,
) -> tuple[Tensor, STDPState]:
    """Runs one step of ``dt`` seconds, in the order of :mod:`plastorch.spiking.stdp_step`; spikes
    [B, N], 0 or 1, and output spikes, bool [B, K], are at its beginning, and the returned state at
    its end."""
    stored, neurons, (pre_trace, post_trace), time, _ = state
    weight = synapses.read(stored, time, generator).to(x.dtype)
    drive = torch.bmm(x.unsqueeze(1), weight.mT).squeeze(1)
    pre_trace = pre_trace + x
    if circuit.plastic:
        delta = depress(x, weight, post_trace, circuit.rule)
        stored = synapses.program(stored, delta, time, generator)
    before = receptive(neurons)
    spikes, neurons = fire(drive, neurons, circuit.neuron)
    if circuit.plastic:
        weight = synapses.read(stored, time, generator).to(x.dtype)
        delta = potentiate(spikes, weight, pre_trace, circuit.rule)
        stored = synapses.program(stored, delta, time, generator)
    count = spikes.sum(dim=1, keepdim=True).to(weight.dtype)
    inhibited = torch.where(
        before & ~spikes, neurons.membrane - circuit.inhibition * count, neurons.membrane
    )
    neurons = neurons._replace(membrane=inhibited)
    traces = fade(Traces(pre_trace, post_trace + spikes), circuit.rule, dt)
    return spikes, STDPState(stored, relax(neurons, circuit.neuron, dt), traces, time + dt)


def run_raster(
    raster: Tensor,
    state: STDPState,
    circuit: Circuit,
    *,
    synapses: Synapses[Any],
    dt: float,
    generator: Random = None,
) -> tuple[Tensor, STDPState]:
    """Runs networks on spikes, bool or 0 and 1 [T, B, N], in steps of ``dt`` seconds, on any device
    and with any synapses; returns output spikes, bool [T, B, K], and the last state."""
    spikes = []
    for now in raster.to(state.traces.pre.dtype):
        output, state = stdp_step(
            now, state, circuit, synapses=synapses, dt=dt, generator=generator
        )
        spikes.append(output)
    return torch.stack(spikes), state
