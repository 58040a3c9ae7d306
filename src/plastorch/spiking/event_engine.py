"""Conversion between tensors of :mod:`plastorch.spiking.network` and arrays of its kernels."""

from math import inf

import torch
from torch import Tensor

from plastorch.engine.numba_options import REAL, check_arrays, check_constants
from plastorch.spiking.events import Events
from plastorch.spiking.kernels import Arrays, Constants
from plastorch.spiking.kernels import present as present_arrays
from plastorch.spiking.kernels import respond as respond_to_arrays
from plastorch.spiking.neurons import LIFState
from plastorch.spiking.stdp import Traces
from plastorch.spiking.stdp_step import Circuit, STDPState
from plastorch.spiking.synapses import IdealState


def respond(
    events: Events, duration: float, state: STDPState, circuit: Circuit
) -> tuple[Events, STDPState]:
    """Runs :meth:`plastorch.spiking.network.STDPLayer.respond` on the CPU kernels."""
    tensors = _copied(state, circuit)
    spikes = (events.times.detach().double(), events.source, events.offsets)
    arguments = _arguments(tensors, circuit)
    found = respond_to_arrays(*(part.numpy() for part in spikes), float(duration), *arguments)
    return _events(found), _state(tensors, state.time + duration)


def present(
    chances: Tensor,
    steps: int,
    dt: float,
    state: STDPState,
    circuit: Circuit,
    generator: torch.Generator | None,
) -> tuple[Events, STDPState]:
    """Runs :meth:`plastorch.spiking.network.STDPLayer.present` on the CPU kernels."""
    tensors = _copied(state, circuit)
    patterns, networks, _ = chances.shape
    seeds = torch.randint(2**62, (patterns, networks), generator=generator).numpy()
    arguments = _arguments(tensors, circuit)
    found = present_arrays(chances.detach().contiguous().numpy(), steps, dt, seeds, *arguments)
    return _events(found), _state(tensors, state.time + patterns * steps * dt)


def _copied(state: STDPState, circuit: Circuit) -> list[Tensor]:
    """Returns the weights and copies of what kernels change; an input's synapses lie side by side.

    Raises:
        InputError: if a part of the state has another size or type, or values out of range.
    """
    weight, changing = state.synapses.weight, (*state.neurons, *state.traces)
    _check(weight, changing, circuit)
    weight = weight.detach().mT.contiguous()
    rest = [part.detach().clone(memory_format=torch.contiguous_format) for part in changing]
    return [weight, torch.empty_like(weight), *rest]


def _check(weight: Tensor, changing: tuple[Tensor, ...], circuit: Circuit) -> None:
    networks, neurons, inputs = weight.shape
    of_neurons, real, stdp = (networks, neurons), weight.dtype, circuit.stdp
    membrane, theta, refractory, pre, post = changing
    check_arrays(
        weight=(weight, weight.shape, REAL, stdp.low, stdp.high),
        membrane=(membrane, of_neurons, real),
        theta=(theta, of_neurons, real),
        refractory=(refractory, of_neurons, torch.float64, 0, inf),
        pre=(pre, (networks, inputs), real, 0, inf),
        post=(post, of_neurons, real, 0, inf),
    )


def _arguments(tensors: list[Tensor], circuit: Circuit) -> tuple[Arrays, Constants]:
    """Returns the kernels' arguments; raises InputError if one overflows the weights' type."""
    arrays = Arrays(*(tensor.numpy() for tensor in tensors))
    neuron, stdp, real = circuit.neuron, circuit.stdp, arrays.weight.dtype.type
    constants = {
        "threshold": neuron.threshold,
        "reset": neuron.reset,
        "rest": neuron.rest,
        "theta_increase": neuron.theta_increase,
        "inhibition": circuit.inhibition,
        "potentiation": stdp.potentiation,
        "depression": stdp.depression,
        "low": stdp.low,
        "high": stdp.high,
    }
    check_constants(tensors[0].dtype, **constants)
    return arrays, Constants(
        **{name: real(constant) for name, constant in constants.items()},
        tau=float(neuron.tau),
        theta_tau=float(neuron.theta_tau),
        refractory=float(neuron.refractory),
        tau_plus=float(stdp.tau_plus),
        tau_minus=float(stdp.tau_minus),
        soft=real(stdp.bounds == "multiplicative"),
        plastic=circuit.plastic,
    )


def _events(found: tuple[object, object, object]) -> Events:
    return Events(*(torch.from_numpy(array) for array in found))


def _state(tensors: list[Tensor], time: float) -> STDPState:
    _, weight, membrane, theta, refractory, pre, post = tensors
    neurons = LIFState(membrane, theta, refractory)
    return STDPState(IdealState(weight.mT), neurons, Traces(pre, post), time)
