"""Speed of event-driven fatiguing STDP against a dense loop over time steps."""

import torch

from plastorch.bench.peers import peer as peer_of
from plastorch.bench.timing import Row, interleaved, row
from plastorch.engine.device import generator
from plastorch.spiking.encode import correlated
from plastorch.spiking.events import Events, to_raster
from plastorch.spiking.fatigue.events import run_events
from plastorch.spiking.fatigue.rule import FatiguingSTDP, initial_state

PEER = "plain PyTorch, a dense loop over steps in place"
INPUTS, MEMBERS, DT = 200, 40, 1e-3


def fatigue_row(duration: float = 100.0, rounds: int = 5) -> Row:
    """Measures row ``fstdp-200``: one neuron learns from 200 inputs, half of 10 Hz, half of 40 Hz.

    Each side gets the spikes in its own form, as events or as a raster.

    Args:
        duration: length of the spike trains, seconds.
        rounds: number of timed calls per side.
    """
    number = torch.arange(INPUTS)
    rates = torch.where(number < INPUTS // 2, 10.0, 40.0)
    events = correlated(rates, 0.5, number < MEMBERS, duration, dt=DT, generator=generator(0))
    rule = FatiguingSTDP()
    raster = to_raster(events, INPUTS, DT, round(duration / DT))[:, 0]
    state, spikes = initial_state(rule, 1, INPUTS), raster.float()
    seconds = interleaved(
        lambda: run_events(events, state, rule, duration),
        lambda: peer_of("fstdp").dense_loop(spikes, rule, DT),
        rounds,
    )
    words = f"{PEER}; {duration:g} s, {INPUTS} inputs, {len(events.times)} spikes"
    same = agree(events, raster, rule, duration)
    return row("fstdp-200", seconds[0], words, seconds[1], equal=same)


def agree(events: Events, raster: torch.Tensor, rule: FatiguingSTDP, duration: float) -> bool:
    """Whether both sides give the same output spikes and weights, in double precision."""
    weight, fired = peer_of("fstdp").dense_loop(raster.double(), rule, DT)
    spikes, state = run_events(events, initial_state(rule, 1, INPUTS), rule, duration)
    steps = torch.tensor(fired).double() * DT
    same = len(steps) == len(spikes.times) and torch.allclose(steps, spikes.times)
    return same and torch.allclose(weight, state.synapses.weight[0], rtol=0, atol=1e-9)
