"""Speed of the spiking networks against dense loops over time steps in plain torch."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.bench.peers import peer as peer_of
from plastorch.bench.timing import Row, interleaved, row
from plastorch.data import load_images
from plastorch.engine.device import generator
from plastorch.experiments.fstdp.bench_fatigue import fatigue_row
from plastorch.spiking.events import from_raster, to_raster
from plastorch.spiking.network import STDPLayer
from plastorch.spiking.neurons import LIF
from plastorch.spiking.stdp import PairSTDP

PEER = "plain PyTorch, a dense loop over steps in place"
DURATION, DT = 0.35, 1e-3
SPIKES_PER_STEP = 7.0
"""Spikes of all inputs of a network in a step, averaged over images."""
NEURON = LIF(tau=0.1, threshold=15.0, refractory=0.005, theta_increase=0.5, theta_tau=1e4)
RULE = PairSTDP(potentiation=0.005, depression=0.0025)
INHIBITION = 10.0


class Size(NamedTuple):
    """Sizes of a row."""

    name: str
    neurons: int
    networks: int
    patterns: int
    """Number of images that each network sees in a call."""
    rounds: int


SIZES = (Size("stdp-784x100-b1", 100, 1, 10, 10), Size("stdp-784x100-b32", 100, 32, 1, 7))


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
    with _without_denormals():
        yield fatigue_row()


def rates_of(images: Tensor) -> Tensor:
    """Returns rates of Poisson input, Hz [images, pixels], in proportion to brightness.

    Example:
        >>> rates_of(torch.ones(3, 1, 10, 10)).sum(dim=1)
        tensor([7000., 7000., 7000.])
    """
    brightness = images.flatten(1).float()
    return brightness * (SPIKES_PER_STEP / DT / brightness.sum(dim=1).mean())


def measure(rates: Tensor, sizes: tuple[Size, ...]) -> Iterator[Row]:
    """Measures the group row by row.

    Args:
        rates: rates of the images, Hz [images, N].
        sizes: sizes of the rows of the layer that learns by pair STDP.

    Yields:
        One row at a time.
    """
    for size in sizes:
        yield _stdp_row(rates, size)


def _stdp_row(rates: Tensor, size: Size) -> Row:
    """Measures encoding, simulating and learning on both sides, seconds per image shown."""
    networks, patterns = size.networks, size.patterns
    layer = new_layer(rates.shape[1], size.neurons, networks)
    peer, random = peer_of("fstdp").PeerLayer(layer), generator(1)
    images = torch.arange(patterns * networks) % len(rates)
    shown = rates[images].view(patterns, networks, -1)
    state = layer.initial_state()

    def ours() -> None:
        nonlocal state
        _, state = layer.present(shown, DURATION, state, random)

    with _without_denormals():
        equal = layers_agree(layer, shown[0])
        seconds = interleaved(ours, lambda: peer.present(shown, DURATION, random), size.rounds)
    words = f"{PEER}; {networks} networks, {patterns} images each, {round(DURATION / DT)} steps"
    ours_s, peer_s = (total / patterns for total in seconds)
    return row(size.name, ours_s, words, peer_s, equal=equal)


def new_layer(inputs: int, neurons: int, networks: int) -> STDPLayer:
    """Returns a new layer to measure."""
    return STDPLayer(
        inputs, neurons, NEURON, RULE, INHIBITION, networks, DT, generator=generator(0)
    )


def layers_agree(layer: STDPLayer, rates: Tensor) -> bool:
    """Whether ours and the peer give the same spikes and, to rounding, weights for some input.

    Args:
        layer: our layer in its initial state.
        rates: input rates, Hz [B, N].
    """
    steps = round(DURATION / DT)
    raster = torch.rand(steps, *rates.shape, generator=generator(2)) < rates * DT
    events, state = layer.respond(from_raster(raster, DT), DURATION)
    peer = peer_of("fstdp").PeerLayer(layer)
    spikes = peer.run(raster.float())
    same = torch.equal(to_raster(events, spikes.shape[2], DT, steps), spikes)
    return same and torch.allclose(state.synapses.weight, peer.weight, rtol=0, atol=1e-5)


@contextlib.contextmanager
def _without_denormals() -> Iterator[None]:
    """Keeps traces that have nearly decayed from slowing down either side."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
