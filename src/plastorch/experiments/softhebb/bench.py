"""Speed of deep SoftHebb, three layers for CIFAR-10, against its equations in plain torch."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from copy import deepcopy
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.bench.peers import peer as peer_of
from plastorch.bench.timing import Row, interleaved, row
from plastorch.data import data_root, load_images
from plastorch.data.catalog import entry_of
from plastorch.data.locate import find_set
from plastorch.engine.device import fast_matmul
from plastorch.engine.streams import stream
from plastorch.hebbian.features import FeatureExtraction, cached
from plastorch.hebbian.folding import folded
from plastorch.hebbian.networks import SoftHebbNet, blocks_of
from plastorch.hebbian.presets import preset
from plastorch.hebbian.readout import ReadoutTraining
from plastorch.hebbian.rule import normalize
from plastorch.hebbian.spec import NetworkSpec, WideSpec
from plastorch.hebbian.streams import Stream
from plastorch.hebbian.train import HebbianTraining
from plastorch.hebbian.wide import WideLayer

PEER = "plain PyTorch, fp32, NCHW"
COST = "4 min, 4 GB"
"""Rough time and peak memory of all rows, on one core."""
CLASSES, BATCH, READOUT_BATCH = 10, 10, 64
EPOCHS, TRAIN_IMAGES, ALL_IMAGES = 50, 50_000, 60_000
ENOUGH_MEMORY = 6e9
"""Free memory, bytes, in which a cache of all features, 2.5 GB, leaves room to work."""
TIE = 1e-5
"""Relative lead of a winner below which rounding may choose another one."""


@dataclass(frozen=True)
class Amount:
    """Amount of work: mini-batches learned before timing, and what is timed.

    ``wide`` counts neurons of the wide layer, ``frozen`` forward passes of the frozen network,
    ``epochs`` those of our readout and the steps of the peer's, ``cache`` rows of our feature
    cache.
    """

    spec: NetworkSpec
    learn: int = 100
    steps: int = 40
    frozen: int = 7
    frozen_batch: int = 200
    epochs: int = 4
    wide: int = 2048
    cache: int = TRAIN_IMAGES


def rows() -> tuple[dict[str, object], Iterator[Row]]:
    """Returns a description of the images, and the rows of the group as they are measured."""
    peer_of("softhebb")
    images, data = benchmark_images()
    return data, measure(images, full_amount())


def benchmark_images() -> tuple[Tensor, dict[str, object]]:
    """Returns CIFAR-10's training images, uint8 [N, 3, 32, 32], or generated ones; and which."""
    if find_set(entry_of("cifar10"), data_root()):
        images = load_images("cifar10")
        return images.train_images, {"name": images.name, "source": images.source}
    return natural_like(2000, 32), {"name": "generated", "source": "noise with a 1/f spectrum"}


def natural_like(count: int, side: int) -> Tensor:
    """Returns uint8 images [count, 3, side, side] with the amplitude spectrum of photographs."""
    random, total, size = stream(0, Stream.GENERATED_IMAGES), torch.zeros(count, 3, side, side), 2
    while size <= side:
        octave = torch.randn(count, 3, size, size, generator=random)
        total += F.interpolate(octave, (side, side), mode="bilinear") / size
        size *= 2
    return (128 + 110 * total).clamp(0, 255).to(torch.uint8)


def measure(images: Tensor, amount: Amount) -> Iterator[Row]:
    """Measures the group row by row, with square uint8 images [N, C, H, W]."""
    net = SoftHebbNet(
        amount.spec, images.shape[1], images.shape[2], CLASSES, generator=stream(0, Stream.WEIGHTS)
    )
    training = HebbianTraining(net, images, batch_size=BATCH, mode="consecutive", epochs=1000)
    with fast_matmul():
        for _ in range(amount.learn):
            training.step()
    yield _train_row("train-step", net, images, amount.steps, equal=updates_agree(net, images))
    yield _train_row("train-step-bf16", net, images, amount.steps)
    batch = images[: amount.frozen_batch]
    yield _features_row("features", net, batch, amount.frozen, equal=features_agree(net, batch))
    yield _features_row("features-bf16", net, batch, amount.frozen)
    yield _wide_row(images, amount)
    yield _readout_row(net, images, amount)


def peer_net(net: SoftHebbNet) -> Any:
    """Returns the peer of a network, with copies of its weights."""
    return peer_of("softhebb").PeerNet(net)


def updates_agree(net: SoftHebbNet, images: Tensor, tries: int = 100) -> bool:
    """Whether the scaled updates of all layers equal the peer's, to rounding, from the same state.

    Rounding may flip a tie, and with it the update; so a mini-batch without near-ties is sought.
    """
    for batch in torch.split(images[: tries * BATCH], BATCH):
        peer, copy = peer_net(net).train(), deepcopy(net).train()
        theirs, ours, agree, lead = batch / 255, copy.pixels(batch), True, 1.0
        for peer_block, block in zip(peer.blocks, blocks_of(copy), strict=True):
            padded, u = peer_block.respond(theirs)
            first, second = u.topk(2, dim=1).values.unbind(dim=1)
            lead = min(lead, float(((first - second) / first.abs()).min()))
            with fast_matmul():
                step = block.conv.learn(block.norm(ours))
            delta = normalize(step.updates["weight"])
            agree &= torch.allclose(delta, peer_block.delta(padded, u), rtol=1e-4, atol=1e-5)
            theirs, ours = peer_block.activate(u), block.activate(step.output)
        if lead > TIE:
            return agree
    return False


@torch.no_grad()
def features_agree(net: SoftHebbNet, images: Tensor) -> bool:
    """Whether our features equal the peer's, to rounding."""
    theirs = peer_net(net).features(images / 255)
    with fast_matmul():
        ours = folded(net).features(images)
    return torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5 * float(theirs.max()))


def _train_row(name: str, net: SoftHebbNet, images: Tensor, rounds: int, **more: object) -> Row:
    """Measures one mini-batch of unsupervised learning in all layers, from the state of ``net``."""
    training = HebbianTraining(
        deepcopy(net), images, batch_size=BATCH, mode="consecutive", epochs=1000
    )
    peer, bf16 = peer_net(net), name.endswith("bf16")
    batches = cycle(torch.split(images[: 50 * BATCH] / 255, BATCH))
    seconds = interleaved(
        training.step, lambda: peer.train_step(next(batches)), rounds, lambda: _as_we_run(bf16)
    )
    return row(name, seconds[0], f"{PEER}; batch {BATCH}", seconds[1], **more)


def _features_row(name: str, net: SoftHebbNet, batch: Tensor, rounds: int, **more: object) -> Row:
    """Measures features of one batch with frozen weights."""
    ours, peer, pixels = folded(net), peer_net(net), batch / 255
    seconds = interleaved(
        torch.no_grad()(lambda: ours.features(batch)),
        lambda: peer.features(pixels),
        rounds,
        lambda: _as_we_run(name.endswith("bf16")),
    )
    return row(name, seconds[0], f"{PEER}, frozen; {len(batch)} images", seconds[1], **more)


@torch.no_grad()
def _wide_row(images: Tensor, amount: Amount) -> Row:
    """Measures responses of a wide layer to one batch, in bfloat16."""
    channels, random = images.shape[1], stream(0, Stream.WIDE)
    layer = WideLayer(channels, WideSpec(amount.wide), random)
    batch = images[: max(1, amount.frozen_batch // 4)] / 255  # whole maps take much memory
    layer.whiten.fit(batch, generator=random)
    whole_maps = peer_of("softhebb").wide_features
    equal = torch.allclose(layer(batch[:4]), whole_maps(layer, batch[:4]), rtol=1e-4, atol=1e-6)
    seconds = interleaved(
        torch.no_grad()(lambda: layer(batch)),
        torch.no_grad()(lambda: whole_maps(layer, batch)),
        amount.frozen,
        lambda: _as_we_run(True),
    )
    name = f"plain PyTorch, bf16, whole maps; {len(batch)} images"
    return row("wide-features", seconds[0], name, seconds[1], equal=equal)


def _readout_row(net: SoftHebbNet, images: Tensor, amount: Amount) -> Row:
    """Measures 50 epochs of readout with features, composed of measured parts on both sides."""
    peer, labels = peer_net(net), torch.arange(len(images)) % CLASSES
    pixels, few = images[:READOUT_BATCH] / 255, labels[:READOUT_BATCH]
    extraction = FeatureExtraction(deepcopy(net), images, amount.frozen_batch)
    extract_s, early_s = interleaved(
        extraction.step, lambda: peer.readout_step(pixels, few), amount.epochs, fast_matmul
    )
    known = extraction.features[: extraction.position * amount.frozen_batch]
    rows = torch.arange(amount.cache) % len(known)
    readout = ReadoutTraining(
        deepcopy(net.readout),
        cached(known[rows]),
        labels[rows],
        known[:1],
        labels[:1],
        epochs=EPOCHS,
    )
    del extraction
    epoch_s, late_s = interleaved(
        readout.step, lambda: peer.readout_step(pixels, few), amount.epochs, fast_matmul
    )
    steps = -(-TRAIN_IMAGES // READOUT_BATCH) * EPOCHS
    ours_s = (
        ALL_IMAGES / amount.frozen_batch * extract_s
        + EPOCHS * TRAIN_IMAGES / amount.cache * epoch_s
    )
    composed = (
        f"ours: {ALL_IMAGES:,} images' features once at {extract_s / amount.frozen_batch:.3g} s "
        f"each, and {EPOCHS} epochs on them at {epoch_s:.3g} s per {amount.cache:,} rows; peer: "
        f"{steps:,} steps of {READOUT_BATCH} images at {(early_s + late_s) / 2:.3g} s, features "
        "anew in each; test accuracies left out on both sides"
    )
    peer_s = steps * (early_s + late_s) / 2
    return row("readout", ours_s, f"{PEER}, frozen, Adam", peer_s, composed=composed)


def _as_we_run(bf16: bool) -> AbstractContextManager[object]:
    """Returns the context in which our experiments run."""
    stack = ExitStack()
    stack.enter_context(fast_matmul())
    stack.enter_context(torch.autocast("cpu", torch.bfloat16, enabled=bf16, cache_enabled=False))
    return stack


def full_amount() -> Amount:
    """Returns the amount for ``plastorch bench softhebb``; a smaller cache if memory is short."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Amount(preset("cifar10"), cache=TRAIN_IMAGES if memory > ENOUGH_MEMORY else 5000)
