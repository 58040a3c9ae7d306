"""Between the tensors of :mod:`plastorch.spiking.network` and the arrays of its kernels."""

import torch
from torch import Tensor

from plastorch.spiking.circuit import Circuit, STDPState
from plastorch.spiking.events import Events
from plastorch.spiking.kernels import Arrays, Constants
from plastorch.spiking.kernels import present as present_arrays
from plastorch.spiking.kernels import respond as respond_to_arrays
from plastorch.spiking.neurons import LIFState
from plastorch.spiking.stdp import Traces
from plastorch.spiking.synapses import IdealState


def respond(
    events: Events, duration: float, state: STDPState, circuit: Circuit
) -> tuple[Events, STDPState]:
    """See :meth:`plastorch.spiking.network.STDPLayer.respond`."""
    tensors = _copied(state)
    times, source, offsets = (part.numpy() for part in (events.times.double(), *events[1:]))
    arguments = _arguments(tensors, circuit)
    found = respond_to_arrays(times, source, offsets, float(duration), *arguments)
    return _events(found), _state(tensors, state.time + duration)


def present(
    chances: Tensor,
    steps: int,
    dt: float,
    state: STDPState,
    circuit: Circuit,
    generator: torch.Generator | None,
) -> tuple[Events, STDPState]:
    """See :meth:`plastorch.spiking.network.STDPLayer.present`."""
    tensors = _copied(state)
    patterns, networks, _ = chances.shape
    seeds = torch.randint(2**62, (patterns, networks), generator=generator).numpy()
    arguments = _arguments(tensors, circuit)
    found = present_arrays(chances.contiguous().numpy(), steps, dt, seeds, *arguments)
    return _events(found), _state(tensors, state.time + patterns * steps * dt)


def _copied(state: STDPState) -> list[Tensor]:
    """The weights as they are, and what kernels may change; synapses of an input side by side."""
    weight = state.synapses.weight.mT.contiguous()
    changing = (*state.neurons, *state.traces)
    rest = [tensor.clone(memory_format=torch.contiguous_format) for tensor in changing]
    return [weight, torch.empty_like(weight), *rest]


def _arguments(tensors: list[Tensor], circuit: Circuit) -> tuple[Arrays, Constants]:
    arrays = Arrays(*(tensor.numpy() for tensor in tensors))
    neuron, stdp, real = circuit.neuron, circuit.stdp, arrays.weight.dtype.type
    return arrays, Constants(
        tau=float(neuron.tau),
        threshold=real(neuron.threshold),
        reset=real(neuron.reset),
        rest=real(neuron.rest),
        refractory=float(neuron.refractory),
        theta_increase=real(neuron.theta_increase),
        theta_tau=float(neuron.theta_tau),
        inhibition=real(circuit.inhibition),
        potentiation=real(stdp.potentiation),
        depression=real(stdp.depression),
        tau_plus=float(stdp.tau_plus),
        tau_minus=float(stdp.tau_minus),
        low=real(stdp.low),
        high=real(stdp.high),
        soft=real(stdp.bounds == "multiplicative"),
        plastic=circuit.plastic,
    )


def _events(found: tuple[object, object, object]) -> Events:
    return Events(*(torch.from_numpy(array) for array in found))


def _state(tensors: list[Tensor], time: float) -> STDPState:
    _, weight, membrane, theta, refractory, pre, post = tensors
    neurons = LIFState(membrane, theta, refractory)
    return STDPState(IdealState(weight.mT), neurons, Traces(pre, post), time)
