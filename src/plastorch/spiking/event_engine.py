"""Conversion between tensors of :mod:`plastorch.spiking.network` and arrays of its kernels."""

from functools import lru_cache
from math import inf
from typing import Any

import torch
from torch import Tensor

from plastorch.engine.device import REAL
from plastorch.engine.numba_options import check_arrays, check_constants
from plastorch.engine.threads import in_threads
from plastorch.spiking import kernels
from plastorch.spiking.change_kernels import add_changes, bring_within
from plastorch.spiking.events import Events
from plastorch.spiking.neurons import LIFState
from plastorch.spiking.stdp import Traces
from plastorch.spiking.stdp_step import Circuit, STDPState

WORK_PER_THREAD = 1_000_000
"""Number of synapses receiving spikes that justifies another thread."""


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
    change, constants = torch.zeros_like(first), constants_of(circuit, weight.dtype)
    smallest, largest = first.aminmax()
    if not (smallest >= circuit.rule.low and largest <= circuit.rule.high):  # or NaN
        check_arrays(weight=(weight, weight.shape, REAL))
        given, first = first.numpy(), torch.empty_like(first)
        bounds = constants.low, constants.high
        bring_within(given, bounds, constants.norm, first.numpy(), change.numpy())
    own = [part.detach().clone(memory_format=torch.contiguous_format) for part in changing]
    arrays = kernels.LayerArrays(*(tensor.numpy() for tensor in (first, *own)))
    parts = events.times.detach(), events.source, events.offsets
    spikes = tuple(part.contiguous().numpy() for part in parts)
    shares: dict[int, Any] = {}

    def run(begin: int, end: int) -> None:
        shares[begin] = kernels.respond(begin, end, spikes, float(duration), arrays, constants)

    in_threads(run, events.networks, len(events.times) * len(weight) // WORK_PER_THREAD)
    found = [shares[begin] for begin in sorted(shares)]
    for share in found:
        add_changes(*share[3:], change.numpy())
    neurons, traces = LIFState(*own[:3]), Traces(*own[3:])
    output = _joined([Events(*(torch.from_numpy(a) for a in share[:3])) for share in found])
    return output, change.mT, STDPState(None, neurons, traces, state.time + duration)


def _joined(shares: list[Events]) -> Events:
    """Joins the spikes of networks that ran one after the other in each share."""
    if len(shares) == 1:
        return shares[0]
    offsets, begin = [shares[0].offsets[:1]], 0
    for share in shares:
        offsets.append(share.offsets[1:] + begin)
        begin += len(share.times)
    times, source = (torch.cat(parts) for parts in zip(*(s[:2] for s in shares), strict=True))
    return Events(times, source, torch.cat(offsets))


def _check(weight: Tensor, changing: tuple[Tensor, ...]) -> None:
    neurons, inputs = weight.shape
    networks = len(changing[0])
    of_neurons, real = (networks, neurons), weight.dtype
    membrane, theta, refractory, pre, post = changing
    check_arrays(
        membrane=(membrane, of_neurons, real),
        theta=(theta, of_neurons, real),
        refractory=(refractory, of_neurons, torch.float64, 0, inf),
        pre=(pre, (networks, inputs), real, 0, inf),
        post=(post, of_neurons, real, 0, inf),
    )


@lru_cache
def constants_of(circuit: Circuit, dtype: torch.dtype) -> kernels.LayerConstants:
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
    check_constants(dtype, **constants)
    real = torch.empty(0, dtype=dtype).numpy().dtype.type
    return kernels.LayerConstants(
        **{name: real(constant) for name, constant in constants.items()},
        tau=float(neuron.tau),
        theta_tau=float(neuron.theta_tau),
        refractory=float(neuron.refractory),
        tau_plus=float(rule.tau_plus),
        tau_minus=float(rule.tau_minus),
        norm=real(rule.norm or 0.0),
        soft=real(rule.bounds == "multiplicative"),
        plastic=circuit.plastic,
    )
