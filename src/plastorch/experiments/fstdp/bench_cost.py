"""Cost of a simulated second of the event-driven STDP layer, by synapses and by input spikes."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from plastorch.bench.timing import one_quiet_thread
from plastorch.engine.streams import stream
from plastorch.experiments.fstdp.bench import new_layer
from plastorch.experiments.fstdp.streams import Stream
from plastorch.spiking.encode import bernoulli

INPUTS = 784
DT = 1e-4
"""Time step, seconds; so short that few input spikes share a step."""
NEURONS = (100, 200, 400, 800, 1600, 3200)
SPIKES = (2000.0, 4000.0, 8000.0, 16000.0)
"""Spikes of all inputs together, per second."""
FIXED_NEURONS, FIXED_SPIKES = 400, 7000.0
"""Size and rate of one of the two while the other grows."""
DURATION = 20.0
ROUNDS = 3


def cost(
    neurons: Sequence[int] = NEURONS,
    spikes: Sequence[float] = SPIKES,
    duration: float = DURATION,
) -> dict[str, list[float]]:
    """Measures CPU seconds per simulated second of encoding, simulating and learning, one thread.

    Sizes take turns, and the best of three rounds counts, so that other load of the machine matters
    little. The fixed cost of a spike, for drawing it and decaying traces, is a large part at few
    synapses: there, cost grows less than in proportion, as a fixed and a proportional part.

    Layers of several sizes ``neurons`` get the same input, and layers of one size several rates
    ``spikes`` of all inputs together, per second. In the result, ``cost_slopes`` are slopes on log
    scales (1 is proportional growth); ``cost_misfits`` are from :func:`misfit`.
    """
    sizes = [(count, FIXED_SPIKES) for count in neurons]
    sizes += [(FIXED_NEURONS, rate) for rate in spikes]
    seconds = _best([_job(*size, duration) for size in sizes])
    per_second = [best / duration for best in seconds]
    synapses = [float(INPUTS * count) for count in neurons]
    by_synapses, by_spikes = per_second[: len(neurons)], per_second[len(neurons) :]
    return {
        "cost_synapses": synapses,
        "cost_synapse_seconds": by_synapses,
        "cost_spikes": list(spikes),
        "cost_spike_seconds": by_spikes,
        "cost_slopes": [slope(synapses, by_synapses), slope(spikes, by_spikes)],
        "cost_misfits": [misfit(synapses, by_synapses), misfit(spikes, by_spikes)],
    }


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Returns the least-squares slope of a straight line through the logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def misfit(x: Sequence[float], y: Sequence[float]) -> float:
    """Returns the largest relative difference of y from a fixed part and one in proportion to x,
    fitted by least squares of relative differences."""
    scaled = np.stack([np.ones(len(x)), np.array(x)], axis=1) / np.array(y)[:, None]
    parts = np.linalg.lstsq(scaled, np.ones(len(y)), rcond=None)[0]
    return float(np.abs(scaled @ parts - 1).max())


def _job(neurons: int, spikes: float, duration: float) -> Callable[[], object]:
    """Returns a function that gives the same input to the same new layer at every call."""
    layer, rates = new_layer(INPUTS, neurons, DT), torch.full((1, INPUTS), spikes / INPUTS)

    def run() -> None:
        events = bernoulli(rates, duration, dt=DT, generator=stream(1, Stream.BENCH))
        layer.learn_events(events, duration)

    return run


def _best(jobs: Sequence[Callable[[], object]]) -> list[float]:
    """Returns the CPU seconds of each job, the minimum over rounds."""
    rounds: list[list[float]] = []
    with one_quiet_thread():
        jobs[0]()  # compiles before timing
        for _ in range(ROUNDS):
            rounds.append([])
            for job in jobs:
                start = time.process_time()
                job()
                rounds[-1].append(time.process_time() - start)
    return [min(times) for times in zip(*rounds, strict=True)]
