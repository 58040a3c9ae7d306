"""Conversion between tensors of :mod:`plastorch.spiking.network` and arrays of its kernels."""

from math import inf

import torch
from torch import Tensor

from plastorch.engine.numba_options import REAL, check_arrays, check_constants
from plastorch.spiking import kernels
from plastorch.spiking.events import Events
from plastorch.spiking.neurons import LIFState
from plastorch.spiking.stdp import Traces
from plastorch.spiking.stdp_step import Circuit, STDPState


def respond(
    events: Events, duration: float, weight: Tensor, state: STDPState, circuit: Circuit
) -> tuple[Events, Tensor, STDPState]:
    """Runs networks that all start from the same weights [K, N] on lists of spikes, on a CPU.

    Time 0 is the time of the state, whose synapses are not used; spikes come before ``duration``,
    in seconds. Weights beyond the bounds count as the bound. Returns the output spikes, the change
    of the weights summed over networks [K, N], and the state at the end, without synapses.
    """
    changing = (*state.neurons, *state.traces)
    _check(weight, changing)
    first = weight.detach().mT.contiguous()
    change = torch.zeros_like(first)
    own = [part.detach().clone(memory_format=torch.contiguous_format) for part in changing]
    tensors = [first, torch.empty_like(first), change, *own]
    arrays = kernels.LayerArrays(*(tensor.numpy() for tensor in tensors))
    spikes = (events.times.detach().double(), events.source, events.offsets)
    found = kernels.respond(
        *(part.numpy() for part in spikes), float(duration), arrays, constants_of(circuit, weight)
    )
    output = Events(*(torch.from_numpy(array) for array in found))
    neurons, traces = LIFState(*own[:3]), Traces(*own[3:])
    return output, change.mT, STDPState(None, neurons, traces, state.time + duration)


def _check(weight: Tensor, changing: tuple[Tensor, ...]) -> None:
    neurons, inputs = weight.shape
    networks = len(changing[0])
    of_neurons, real = (networks, neurons), weight.dtype
    membrane, theta, refractory, pre, post = changing
    check_arrays(
        weight=(weight, weight.shape, REAL),
        membrane=(membrane, of_neurons, real),
        theta=(theta, of_neurons, real),
        refractory=(refractory, of_neurons, torch.float64, 0, inf),
        pre=(pre, (networks, inputs), real, 0, inf),
        post=(post, of_neurons, real, 0, inf),
    )


def constants_of(circuit: Circuit, weight: Tensor) -> kernels.LayerConstants:
    """Returns the kernels' constants; raises InputError if one overflows the weights' type."""
    neuron, rule = circuit.neuron, circuit.rule
    constants = {
        "threshold": neuron.threshold,
        "reset": neuron.reset,
        "rest": neuron.rest,
        "theta_increase": neuron.theta_increase,
        "inhibition": circuit.inhibition,
        "potentiation": rule.potentiation,
        "depression": rule.depression,
        "low": rule.low,
        "high": rule.high,
    }
    check_constants(weight.dtype, **constants)
    real = weight.new_empty(0).numpy().dtype.type
    return kernels.LayerConstants(
        **{name: real(constant) for name, constant in constants.items()},
        tau=float(neuron.tau),
        theta_tau=float(neuron.theta_tau),
        refractory=float(neuron.refractory),
        tau_plus=float(rule.tau_plus),
        tau_minus=float(rule.tau_minus),
        soft=real(rule.bounds == "multiplicative"),
        plastic=circuit.plastic,
    )
