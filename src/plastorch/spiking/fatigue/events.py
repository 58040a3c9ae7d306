"""Event-driven engine of :mod:`plastorch.spiking.fatigue.rule`, compiled for CPUs."""

from itertools import pairwise
from math import inf
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.spiking.events import Events, check_events, gather
from plastorch.spiking.fatigue.rule import (
    IDEAL,
    FatigueState,
    FatiguingSTDP,
    check_networks,
    weight_change,
)
from plastorch.spiking.synapses import IdealState, Synapses


def run_events(
    events: Events,
    state: FatigueState,
    rule: FatiguingSTDP,
    stop: float,
    synapses: Synapses[Any] = IDEAL,
    generator: torch.Generator | None = None,
) -> tuple[Events, FatigueState]:
    """Runs networks on lists of spikes.

    Simultaneous spikes of a network come in together, so spikes on a grid give the result of
    :func:`plastorch.spiking.fatigue.rule.run_raster`; but synapses are read again only after they
    have been programmed, at output spikes.

    Args:
        events: input spikes of B networks, or of one network if all share their input.
        state: state before the first spike, in double precision.
        rule: constants of the rule.
        stop: end time, after the last spike, seconds.
        synapses: storage of the weights; the pair window needs ideal ones here.
        generator: random generator for the synapses' noise.

    Returns:
        Output spikes of B networks, and the state at ``stop``.

    Raises:
        InputError: if events are invalid, or not between the state's time and ``stop``, or
            the state is of another type or size or has values out of range, or these synapses
            don't support the window.

    Example:
        >>> from plastorch.spiking.events import from_raster
        >>> from plastorch.spiking.fatigue.rule import initial_state
        >>> rule, raster = FatiguingSTDP(), torch.ones(5, 1, 20)
        >>> state = initial_state(rule, 1, 20)
        >>> spikes, state = run_events(from_raster(raster, 0.001), state, rule, stop=0.005)
        >>> spikes.times
        tensor([0.0000, 0.0020], dtype=torch.float64)
    """
    networks, inputs = _check_state(state, synapses)
    check_events(events, inputs)
    check_networks(rule, networks)
    _check_span(events, state.time, stop)
    if events.networks not in (1, networks):
        raise InputError(f"events are of {events.networks} networks; expected {networks}, or 1")
    if rule.window == "pair" and synapses != IDEAL:
        raise InputError("window is 'pair'; with these synapses expected 'one-sided' or run_raster")
    own = ("resource", "trace", "membrane", "theta", "post_trace")
    state = state._replace(**{name: _copy(getattr(state, name)) for name in own})
    spikes, stored = [], []
    for b in range(networks):
        first = b if events.networks > 1 else 0
        train = slice(int(events.offsets[first]), int(events.offsets[first + 1]))
        network = _Network(events.times[train], events.source[train], state, rule, b)
        held = type(state.synapses)(*(part[b : b + 1] for part in state.synapses))
        if synapses == IDEAL:
            found, held = network.run(held, state.time, stop)
        else:
            found, held = network.run_programmed(held, synapses, state.time, stop, generator)
        spikes.append(found)
        stored.append(held)
    network_of = torch.arange(networks).repeat_interleave(torch.tensor([len(s) for s in spikes]))
    output = gather(torch.cat(spikes), torch.zeros_like(network_of), network_of, networks)
    whole = type(state.synapses)(*(torch.cat(parts) for parts in zip(*stored, strict=True)))
    return output, state._replace(synapses=whole, time=stop)


class _Network:
    """One network: its input, and its part of a state, changed in place."""

    def __init__(
        self, times: Tensor, source: Tensor, state: FatigueState, rule: FatiguingSTDP, b: int
    ) -> None:
        self.times, self.source = times.detach().double().numpy(), source.numpy()
        self.rule = rule
        inputs = [part[b].numpy() for part in (state.resource, state.trace)]
        neuron = [part[b : b + 1].numpy() for part in (state.membrane, state.theta)]
        self.arrays = [*inputs, *neuron, state.post_trace[b : b + 1].numpy()]
        self.constants = (
            _of_network(rule.fatigue, b),
            _of_network(rule.tau_fatigue, b),
            rule.tau_membrane,
            rule.tau_trace,
            rule.tau_theta,
            rule.theta_step,
            rule.learning_rate,
            rule.potentiation,
            rule.depression,
            rule.window == "pair",
            rule.trace_fatigue,
        )

    def run(self, held: Any, start: float, stop: float) -> tuple[Tensor, Any]:
        """Returns the output spikes and the final weights."""
        from plastorch.spiking.fatigue import kernels

        weight, found = _copy(held.weight), np.empty(len(self.times))
        count, _ = kernels.run(
            self.times,
            self.source,
            start,
            stop,
            weight[0].numpy(),
            *self.arrays,
            *self.constants,
            True,
            found,
        )
        return torch.from_numpy(found[:count].copy()), type(held)(weight)

    def run_programmed(
        self,
        held: Any,
        synapses: Synapses[Any],
        start: float,
        stop: float,
        generator: torch.Generator | None,
    ) -> tuple[Tensor, Any]:
        """Runs from one output spike to the next, where synapses are programmed."""
        from plastorch.engine.numba_options import check_arrays
        from plastorch.spiking.fatigue import kernels

        times, source, clock, found = self.times, self.source, start, np.empty(1)
        spikes: list[float] = []
        while True:
            weight = synapses.read(held, clock, generator).detach().double().contiguous()
            check_arrays(weight=(weight, (1, len(self.arrays[0])), torch.float64))
            count, came = kernels.run(
                times,
                source,
                clock,
                stop,
                weight[0].numpy(),
                *self.arrays,
                *self.constants,
                False,
                found,
            )
            if count == 0:
                return torch.tensor(spikes, dtype=torch.float64), held
            clock, times, source = float(found[0]), times[came:], source[came:]
            spikes.append(clock)
            trace = torch.from_numpy(self.arrays[1])[None]
            delta = weight_change(weight, trace, self.rule.learning_rate)
            held = synapses.program(held, delta, clock, generator)


def within(events: Events, start: float, stop: float) -> Events:
    """Returns the spikes from ``start`` on and before ``stop``.

    Example:
        >>> from plastorch.spiking.events import from_raster
        >>> within(from_raster(torch.ones(4, 1, 1), 0.1), 0.1, 0.25).times
        tensor([0.1000, 0.2000], dtype=torch.float64)
    """
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


def _of_network(constant: float | Tensor, b: int) -> float:
    shared = not isinstance(constant, Tensor) or constant.dim() == 0
    return float(constant if shared else constant[b])  # type: ignore[index]


def _check_state(state: FatigueState, synapses: Synapses[Any]) -> tuple[int, int]:
    """Returns the numbers of networks and inputs of a state.

    Raises:
        InputError: if its parts don't fit each other, or have values out of range.
    """
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
