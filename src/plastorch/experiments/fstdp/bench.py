"""Speed of the spiking networks against dense loops over time steps in plain torch."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.bench.peers import peer as peer_of
from plastorch.bench.timing import Row, interleaved, row
from plastorch.data import load_images
from plastorch.engine.streams import stream
from plastorch.experiments.fstdp.streams import Stream
from plastorch.learning import set_gradients
from plastorch.spiking.encode import bernoulli, correlated
from plastorch.spiking.events import Events, to_raster
from plastorch.spiking.fatigue.events import run_events
from plastorch.spiking.fatigue.rule import FatiguingSTDP, initial_state
from plastorch.spiking.network import STDPLayer
from plastorch.spiking.neurons import LIF
from plastorch.spiking.stdp import PairSTDP

PEER = "plain PyTorch, a dense loop over steps in place"
COST = "2 min, 1 GB"
"""Rough time and peak memory of all rows, on one core."""
DURATION, DT = 0.35, 1e-3
SPIKES_PER_STEP = 7.0
"""Spikes of all inputs of a network in a step, averaged over images."""
NEURON = LIF(tau=0.1, threshold=15.0, refractory=0.005, theta_increase=0.5, theta_tau=1e4)
RULE = PairSTDP(potentiation=0.005, depression=0.0025)
INHIBITION = 10.0
INPUTS, MEMBERS = 200, 40
"""Inputs of the fatiguing neuron, and how many of them are correlated."""


class SpikingSize(NamedTuple):
    """Sizes of a row."""

    name: str
    neurons: int
    samples: int
    """Size of the mini-batch."""
    patterns: int
    """Number of images, one after the other, in each sample."""
    rounds: int


SIZES = (
    SpikingSize("stdp-784x100-b1", 100, 1, 10, 7),
    SpikingSize("stdp-784x100-b32", 100, 32, 1, 7),
)


def rows() -> tuple[dict[str, object], Iterator[Row]]:
    """Returns a description of the images, and the rows of the group as they are measured."""
    peer_of("fstdp")
    images = load_images("mnist")
    rates = rates_of(images.train_images[:320])
    data: dict[str, object] = {
        "name": images.name,
        "source": images.source,
        "spikes_per_step": SPIKES_PER_STEP,
    }
    return data, _all_rows(rates)


def _all_rows(rates: Tensor) -> Iterator[Row]:
    yield from measure(rates, SIZES)
    yield fatigue_row()


def rates_of(images: Tensor) -> Tensor:
    """Returns rates of Poisson input, Hz [images, pixels], in proportion to brightness."""
    brightness = images.flatten(1).float()
    return brightness * (SPIKES_PER_STEP / DT / brightness.sum(dim=1).mean())


def measure(rates: Tensor, sizes: tuple[SpikingSize, ...]) -> Iterator[Row]:
    """Measures the rows of the layer that learns by pair STDP from rates, Hz [images, N]."""
    for size in sizes:
        yield _stdp_row(rates, size)


def _stdp_row(rates: Tensor, size: SpikingSize) -> Row:
    """Measures encoding, simulating and learning on both sides, seconds per image of a sample."""
    samples, patterns = size.samples, size.patterns
    layer, random = new_layer(rates.shape[1], size.neurons), stream(1, Stream.BENCH)
    peer, state = peer_of("fstdp").PeerLayer(layer, samples), layer.initial_state(samples)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    images = torch.arange(patterns * samples) % len(rates)
    shown = rates[images].view(patterns, samples, -1)

    def ours() -> None:
        nonlocal state
        events = bernoulli(shown, DURATION, dt=DT, generator=random)
        step = layer.learn_events(events, patterns * DURATION, state)
        set_gradients(layer, step)
        optimizer.step()
        state = step.state

    equal = layers_agree(layer, shown[0])
    seconds = interleaved(ours, lambda: peer.present(shown, DURATION, random), size.rounds)
    words = f"{PEER}; {samples} samples of {patterns} images, {round(DURATION / DT)} steps each"
    ours_s, peer_s = (total / patterns for total in seconds)
    return row(size.name, ours_s, words, peer_s, equal=equal)


def new_layer(inputs: int, neurons: int, dt: float = DT) -> STDPLayer:
    """Returns a new layer to measure."""
    return STDPLayer(
        inputs,
        neurons,
        neuron=NEURON,
        rule=RULE,
        inhibition=INHIBITION,
        dt=dt,
        generator=stream(0, Stream.BENCH),
    )


def layers_agree(layer: STDPLayer, rates: Tensor) -> bool:
    """Returns whether our layer and the peer give the same spikes and, to rounding, weights for
    input rates, Hz [B, N]."""
    random, steps = stream(2, Stream.BENCH), round(DURATION / DT)
    raster = torch.rand(steps, *rates.shape, generator=random) < rates * DT
    step, peer = layer.learn(raster), peer_of("fstdp").PeerLayer(layer, len(rates))
    same = torch.equal(step.output, peer.run(raster.float()))
    learned = layer.weight + step.updates["weight"]
    return same and torch.allclose(learned, peer.weight.mean(dim=0), rtol=0, atol=1e-5)


def fatigue_row(duration: float = 100.0, rounds: int = 5) -> Row:
    """Measures row ``fstdp-200``: one neuron learns from 200 inputs, half of 10 Hz, half of 40 Hz,
    for ``duration`` seconds. Each side gets the spikes in its own form: events, a raster."""
    number, random = torch.arange(INPUTS), stream(0, Stream.BENCH)
    rates = torch.where(number < INPUTS // 2, 10.0, 40.0)
    events = correlated(rates, 0.5, number < MEMBERS, duration, dt=DT, generator=random)
    rule = FatiguingSTDP()
    raster = to_raster(events, INPUTS, DT, round(duration / DT))[:, 0]
    state, spikes = initial_state(rule, 1, INPUTS), raster.float()
    seconds = interleaved(
        lambda: run_events(events, state, rule, duration),
        lambda: peer_of("fstdp").dense_loop(spikes, rule, DT),
        rounds,
    )
    words = f"{PEER}; {duration:g} s, {INPUTS} inputs, {len(events.times)} spikes"
    same = neurons_agree(events, raster, rule, duration)
    return row("fstdp-200", seconds[0], words, seconds[1], equal=same)


def neurons_agree(events: Events, raster: Tensor, rule: FatiguingSTDP, duration: float) -> bool:
    """Whether both sides give the same output spikes and weights, in double precision."""
    weight, fired = peer_of("fstdp").dense_loop(raster.double(), rule, DT)
    spikes, state = run_events(events, initial_state(rule, 1, INPUTS), rule, duration)
    steps = torch.tensor(fired).double() * DT
    same = len(steps) == len(spikes.times) and torch.allclose(steps, spikes.times)
    return same and torch.allclose(weight, state.synapses.weight[0], rtol=0, atol=1e-9)
