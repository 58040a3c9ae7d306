"""Event-driven engine of :mod:`plastorch.spiking.fatigue.rule`, compiled for CPUs."""

from itertools import pairwise
from math import inf
from typing import Any

import numpy as np
import torch

from plastorch.engine.errors import InputError
from plastorch.spiking.events import Events, check_events
from plastorch.spiking.fatigue.rule import IDEAL, FatigueState, FatiguingSTDP, weight_change
from plastorch.spiking.neurons import Random
from plastorch.spiking.synapses import IdealState, Synapses

PARTS = ("resource", "trace", "membrane", "theta", "post_trace")
"""Tensors of a state, besides those of its synapses, that the kernels change."""


def run_events(
    events: Events,
    state: FatigueState,
    rule: FatiguingSTDP,
    stop: float,
    *,
    synapses: Synapses[Any] = IDEAL,
    generator: Random = None,
) -> tuple[Events, FatigueState]:
    """Runs networks on lists of spikes; returns output spikes, and the state at ``stop`` seconds.

    Simultaneous spikes of a network come in together, so spikes on a grid give the result of
    :func:`plastorch.spiking.fatigue.rule.run_raster`; but synapses are read again only after they
    have been programmed, at output spikes. The state is in double precision.

    Raises InputError unless all spikes are between the state's time and ``stop``, and synapses are
    ideal if the rule has the pair window.
    """
    networks, inputs = _check_state(state, synapses)
    check_events(events, inputs)
    _check_span(events, state.time, stop)
    if events.networks != networks:
        raise InputError(f"events are of {events.networks} networks; expected {networks}")
    if rule.window == "pair" and synapses != IDEAL:
        raise InputError("window is 'pair'; with these synapses expected 'one-sided' or run_raster")
    state = state._replace(**{name: _copy(getattr(state, name)) for name in PARTS})
    if synapses == IDEAL:
        found, state = _run_ideal(events, state, rule, stop)
    else:
        found, state = _run_programmed(
            events, state, rule, stop, synapses=synapses, generator=generator
        )
    return found, state._replace(time=stop)


def _run_ideal(
    events: Events, state: FatigueState, rule: FatiguingSTDP, stop: float
) -> tuple[Events, FatigueState]:
    """Runs networks of ideal synapses; changes the state's arrays but the weights in place."""
    from plastorch.spiking.fatigue import kernels

    times, source, offsets = _numpy(events)
    weight = _copy(state.synapses.weight)
    arrays = _arrays(weight, state)
    times, ends = kernels.run_all(
        times, source, offsets, state.time, stop, arrays, _constants(rule)
    )
    spikes = torch.from_numpy(times.copy())
    found = Events(spikes, torch.zeros_like(spikes, dtype=torch.int64), torch.from_numpy(ends))
    return found, state._replace(synapses=IdealState(weight))


def _run_programmed(
    events: Events,
    state: FatigueState,
    rule: FatiguingSTDP,
    stop: float,
    *,
    synapses: Synapses[Any],
    generator: Random,
) -> tuple[Events, FatigueState]:
    """Runs each network from one output spike to the next, where its synapses are programmed."""
    from plastorch.engine.numba_options import check_arrays
    from plastorch.spiking.fatigue import kernels

    all_times, all_source, offsets = _numpy(events)
    constants, found = _constants(rule), np.empty(1)
    spikes: list[float] = []
    ends, stored = [0], []
    for b, (first, last) in enumerate(pairwise(offsets)):
        times, source, clock = all_times[first:last], all_source[first:last], state.time
        held = type(state.synapses)(*(part[b : b + 1] for part in state.synapses))
        own = state._replace(**{name: getattr(state, name)[b : b + 1] for name in PARTS})
        while True:
            weight = synapses.read(held, clock, generator).detach().double()
            check_arrays(weight=(weight, own.trace.shape, torch.float64))
            arrays = _arrays(weight, own)
            count, came = kernels.run(
                0, times, source, clock, stop, arrays, constants, False, found
            )
            if count == 0:
                break
            clock, times, source = float(found[0]), times[came:], source[came:]
            spikes.append(clock)
            delta = weight_change(weight, own.trace, rule.learning_rate)
            held = synapses.program(held, delta, clock, generator)
        ends.append(len(spikes))
        stored.append(held)
    output = torch.tensor(spikes, dtype=torch.float64)
    whole = type(state.synapses)(*(torch.cat(parts) for parts in zip(*stored, strict=True)))
    sources = torch.zeros_like(output, dtype=torch.int64)
    return Events(output, sources, torch.tensor(ends)), state._replace(synapses=whole)


def _numpy(events: Events) -> tuple[Any, ...]:
    parts = events.times.detach(), events.source, events.offsets
    return tuple(part.contiguous().numpy() for part in parts)


def _arrays(weight: Any, state: FatigueState) -> Any:
    """Returns the kernels' arrays, which share their memory with the state's tensors."""
    from plastorch.spiking.fatigue.kernels import FatigueArrays

    own = (getattr(state, name) for name in PARTS)
    return FatigueArrays(*(part.numpy() for part in (weight.contiguous(), *own)))


def _constants(rule: FatiguingSTDP) -> Any:
    from plastorch.spiking.fatigue.kernels import FatigueConstants

    pair = rule.window == "pair"
    return FatigueConstants(
        fatigue=float(rule.fatigue),
        tau_fatigue=float(rule.tau_fatigue),
        tau_membrane=float(rule.tau_membrane),
        tau_trace=float(rule.tau_trace),
        tau_theta=float(rule.tau_theta),
        theta_step=float(rule.theta_step),
        rate=float(rule.potentiation if pair else rule.learning_rate),
        depression=float(rule.depression),
        pair=pair,
        trace_fatigue=rule.trace_fatigue,
    )


def within(events: Events, start: float, stop: float) -> Events:
    """Returns the spikes from ``start`` on and before ``stop``, in seconds."""
    edges = torch.tensor([start, stop], dtype=torch.float64, device=events.times.device)
    spans = []
    for first, last in pairwise(events.offsets.tolist()):
        begin, end = (first + torch.searchsorted(events.times[first:last], edges)).tolist()
        spans.append(slice(begin, end))
    counts = torch.tensor([0, *(span.stop - span.start for span in spans)])
    return Events(
        torch.cat([events.times[span] for span in spans]),
        torch.cat([events.source[span] for span in spans]),
        counts.cumsum(0).to(events.offsets.device),
    )


def _copy(part: Any) -> Any:
    return part.detach().clone(memory_format=torch.contiguous_format)


def _check_state(state: FatigueState, synapses: Synapses[Any]) -> tuple[int, int]:
    """Returns the numbers of networks and inputs of a state, or raises InputError if its parts
    don't fit each other or have values out of range."""
    from plastorch.engine.numba_options import check_arrays  # importing numba takes a second

    real = torch.float64
    check_arrays(resource=(state.resource, (None, None), real, 0, 1))
    networks, inputs = state.resource.shape
    check_arrays(
        trace=(state.trace, (networks, inputs), real, 0, inf),
        membrane=(state.membrane, (networks,), real),
        theta=(state.theta, (networks,), real, 0, inf),
        post_trace=(state.post_trace, (networks,), real, 0, inf),
    )
    if synapses == IDEAL:
        if not isinstance(state.synapses, IdealState):
            raise InputError(
                f"synapses of state are {type(state.synapses).__name__}; expected IdealState"
            )
        check_arrays(weight=(state.synapses.weight, (networks, inputs), real, 0, 1))
    return networks, inputs


def _check_span(events: Events, start: float, stop: float) -> None:
    """Raises InputError unless events are from ``start`` on and before ``stop``."""
    if not -inf < start <= stop < inf:
        raise InputError(f"stop is {stop}; expected the state's time, {start}, or more")
    if len(events.times):
        first, last = float(events.times.min()), float(events.times.max())
        if first < start or last >= stop:
            raise InputError(
                f"times go from {first} to {last}; expected from {start} on and before {stop}"
            )
