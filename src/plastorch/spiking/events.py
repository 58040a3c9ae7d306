"""Spikes as lists of times, network by network, and as rasters over time steps."""

from itertools import pairwise
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_counts, check_positive


class Events(NamedTuple):
    """Input spikes of B independent networks; each network's spikes are in order of time."""

    times: Tensor
    """Spike times, seconds, float64 [E]."""
    source: Tensor
    """Inputs that spiked, int64 [E]."""
    offsets: Tensor
    """Network b has the spikes from ``offsets[b]`` to ``offsets[b + 1]``, int64 [B + 1]."""

    @property
    def networks(self) -> int:
        """Number of networks B."""
        return len(self.offsets) - 1


torch.serialization.add_safe_globals([Events])


def gather(times: Tensor, source: Tensor, network: Tensor, networks: int) -> Events:
    """Sorts spikes into Events; simultaneous ones are in order of their inputs.

    Args:
        times: spike times, seconds, float64 [E].
        source: inputs that spiked, whole numbers [E].
        network: network of each spike, whole numbers [E].
        networks: number of networks B.

    Raises:
        InputError: if the three differ in length or have other types, or a network is not from 0
            to B - 1.

    Example:
        >>> times = torch.tensor([900, 100]).double() / 1e6  # from microseconds
        >>> gather(times, torch.tensor([2, 0]), network=torch.tensor([0, 0]), networks=1).source
        tensor([0, 2])
    """
    check_counts(0, networks=networks)
    if times.dtype != torch.float64:
        raise InputError(f"times are {times.dtype}; expected torch.float64, in seconds")
    for name, part in (("source", source), ("network", network)):
        if part.is_floating_point() or part.shape != times.shape or part.dim() != 1:
            raise InputError(
                f"{name} is {part.dtype} {list(part.shape)}; expected whole numbers, as many as "
                f"times {list(times.shape)}"
            )
    source, network = source.long(), network.long()
    if len(network):
        low, high = (int(end) for end in network.aminmax())
        if low < 0 or high >= networks:
            raise InputError(f"network goes from {low} to {high}; expected 0 to {networks - 1}")
    order = source.argsort(stable=True)
    order = order[times[order].argsort(stable=True)]
    order = order[network[order].argsort(stable=True)]
    counts = torch.bincount(network, minlength=networks)
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return Events(times[order], source[order], offsets)


def from_raster(raster: Tensor, dt: float) -> Events:
    """Converts a raster to events at the beginnings of time steps.

    Args:
        raster: spikes [T, B, N], bool, or 0 and 1.
        dt: duration of a step, seconds.

    Raises:
        InputError: if the raster has another shape or other values, or ``dt`` is not positive.

    Example:
        >>> from_raster(torch.eye(2).view(2, 1, 2), 0.001)
        Events(times=tensor([0.0000, 0.0010], dtype=torch.float64), source=tensor([0, 1]), \
offsets=tensor([0, 2]))
    """
    check_positive(dt=dt)
    if raster.dim() != 3:
        raise InputError(f"raster has shape {tuple(raster.shape)}; expected (T, B, N)")
    check_spikes(raster=raster)
    network, step, source = raster.transpose(0, 1).nonzero(as_tuple=True)
    offsets = torch.bincount(network, minlength=raster.shape[1]).cumsum(0)
    return Events(step.double() * dt, source, torch.cat([offsets.new_zeros(1), offsets]))


def to_raster(events: Events, inputs: int, dt: float, steps: int) -> Tensor:
    """Returns which inputs spiked in which time step; several spikes of an input count as one.

    Args:
        events: spikes of B networks.
        inputs: number of inputs N.
        dt: duration of a step, seconds.
        steps: number of steps T; later spikes are dropped.

    Returns:
        Raster, bool [T, B, N].

    Raises:
        InputError: if events are invalid or have other inputs, or ``dt`` is not positive.

    Example:
        >>> to_raster(from_raster(torch.eye(2).view(2, 1, 2), 0.001), 2, 0.001, 2).int().tolist()
        [[[1, 0]], [[0, 1]]]
    """
    check_positive(dt=dt, steps=steps)
    check_events(events, inputs)
    raster = torch.zeros(
        steps, events.networks, inputs, dtype=torch.bool, device=events.times.device
    )
    step = step_of(events.times, dt)
    network = network_of(events)
    inside = step < steps
    raster[step[inside], network[inside], events.source[inside]] = True
    return raster


def step_of(times: Tensor, dt: float) -> Tensor:
    """Returns the time step of times from 0 on, int64 [E]; times and ``dt`` are in seconds.

    Division may round a time at the beginning of a step down into the step before, so steps begin a
    millionth of a step early.
    """
    return (times / dt + 1e-6).long()


def network_of(events: Events) -> Tensor:
    """Returns the network of each event, int64 [E]."""
    networks = torch.arange(events.networks, device=events.offsets.device)
    return networks.repeat_interleave(events.offsets.diff())


def check_spikes(**rasters: Tensor) -> None:
    """Raises InputError naming the first raster on a CPU with a value other than 0 and 1."""
    for name, raster in rasters.items():
        checked = raster.is_cpu and raster.dtype != torch.bool
        if checked and not bool(((raster == 0) | (raster == 1)).all()):
            raise InputError(f"{name} holds other numbers; expected spikes, 0 or 1")


def check_events(events: Events, inputs: int) -> None:
    """Raises InputError unless events are in order, times 0 or more and inputs below ``inputs``."""
    if not isinstance(events, Events):
        raise InputError(f"events are a {type(events).__name__}; expected Events")
    times, source, offsets = events
    for name, part in events._asdict().items():
        kind = torch.float64 if name == "times" else torch.int64
        if part.dim() != 1 or part.dtype != kind:
            raise InputError(
                f"{name} are {part.dtype} {list(part.shape)}; expected a row of {kind}"
            )
    if _are_in_order(events, inputs):
        return
    starts = offsets.tolist() or [-1]
    if len(source) != len(times) or (starts[0], starts[-1]) != (0, len(times)):
        raise InputError(
            f"events have {len(times)} times, {len(source)} inputs and offsets from {starts[0]} "
            f"to {starts[-1]}; expected as many of each, and offsets that rise from 0"
        )
    if starts != sorted(starts):
        fall = next(b for b, (one, two) in enumerate(pairwise(starts)) if two < one)
        raise InputError(
            f"offsets fall from {starts[fall]} to {starts[fall + 1]}; expected them to rise"
        )
    if len(times) == 0:
        return
    first, last = (end.item() for end in times.aminmax())
    if not 0 <= first <= last < inf:
        raise InputError(f"times go from {first} to {last}; expected 0 or more, and finite ones")
    low, high = (end.item() for end in source.aminmax())
    if low < 0 or high >= inputs:
        raise InputError(f"source goes from {low} to {high}; expected 0 to {inputs - 1}")
    falls = times.diff() < 0
    falls &= network_of(events).diff() == 0
    if bool(falls.any()):
        place = int(falls.nonzero()[0]) + 1
        raise InputError(
            f"times fall from {float(times[place - 1])} to {float(times[place])} at event {place}; "
            "expected each network's events in order of time"
        )


def _are_in_order(events: Events, inputs: int) -> bool:
    """Returns whether one pass finds events in order; only for events on a CPU."""
    if not (all(part.is_cpu for part in events) and len(events.offsets)):
        return False
    from plastorch.spiking.events_kernels import are_in_order  # importing numba takes a second

    return bool(are_in_order(*(part.detach().contiguous().numpy() for part in events), inputs))
