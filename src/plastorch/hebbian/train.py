"""Training of blocks: one pass over unlabeled images, no feedback between layers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from plastorch.engine.batchnorm import synchronize
from plastorch.engine.distributed import check_parts, mean_over_workers, part
from plastorch.engine.errors import InputError, check_one_of, check_positive
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.hebbian.convolution import SoftHebbConv2d
from plastorch.hebbian.folding import folded
from plastorch.hebbian.networks import SoftHebbBlock, SoftHebbNet, blocks_of
from plastorch.hebbian.rule import norm_dependent_rate
from plastorch.hebbian.streams import Stream
from plastorch.learning import learn
from plastorch.learning.phases import EpochOrder, Phase

Mode = Literal["successive", "consecutive"]
Augment = Callable[[Tensor, Tensor, torch.Generator], Tensor]
"""Function (images [B, C, H, W], their rows, generator) -> images in [0, 255]."""
R1_TOLERANCE = 1e-2
"""Largest distance from 1 of a converged convolutional neuron's norm ("R1 features")."""


class HebbianTraining(Phase):
    """Unsupervised training of a network's blocks, one mini-batch per :meth:`step`.

    ``successive``: block by block; blocks before the one that learns are frozen in eval mode.
    ``consecutive``: all blocks learn on the same mini-batches, each from that pass's activations.
    To resume, restore the network and the position; the image order follows from the seed.
    Several workers learn as one: each takes its part of a mini-batch.

    Args:
        net: network; its weights are changed in place.
        images: uint8 images [N, C, H, W], on any device.
        blocks: number of blocks that learn, from the first; all if None.
        batch_size: images per mini-batch, over all workers.
        epochs: number of passes over the images (per block, in ``successive`` mode).
        mode: ``successive`` or ``consecutive``, see above.
        seed: random seed of the image order.
        plastic: whether weights change; if False, only batch statistics are gathered (the random
            baseline needs them).
        augment: function (images [B, C, H, W], their rows, generator) -> images in [0, 255].
        log_every: mini-batches between two log entries.

    Raises:
        InputError: no images, size or number that is not positive, batch that can't be divided
            among the workers, or weights that can't compete.

    Example:
        >>> from plastorch.hebbian.presets import preset
        >>> from plastorch.learning.phases import run_phase
        >>> net = SoftHebbNet(preset("cifar10", depth=1), 3, 32, classes=10)
        >>> images = torch.randint(0, 256, (20, 3, 32, 32), dtype=torch.uint8)
        >>> training = HebbianTraining(net, images)
        >>> records = run_phase(training)
    """

    def __init__(
        self,
        net: SoftHebbNet,
        images: Tensor,
        *,
        blocks: int | None = None,
        batch_size: int = 10,
        epochs: int = 1,
        mode: Mode = "successive",
        seed: int = 0,
        plastic: bool = True,
        augment: Augment | None = None,
        log_every: int = 50,
    ) -> None:
        check_one_of(get_args(Mode), mode=mode)
        check_positive(images=len(images), batch_size=batch_size, epochs=epochs)
        check_positive(blocks=1 if blocks is None else blocks)
        check_parts(batch_size=batch_size)
        synchronize(net)
        self.net, self.images, self.seed = net, images, seed
        self.plastic, self.augment, self.log_every = plastic, augment, log_every
        self.blocks = blocks_of(net)[:blocks]
        check_weights(self.blocks)
        everything = tuple(range(len(self.blocks)))
        self.stages = (
            [(i,) for i in everything] if mode == "successive" and plastic else [everything]
        )
        self.rows = EpochOrder(len(images), batch_size, seed, Stream.IMAGE_ORDER)
        self.steps_per_stage = self.rows.per_epoch * epochs
        self.frozen = nn.Sequential()
        super().__init__("unsupervised", self.steps_per_stage * len(self.stages))
        self.optimizer = torch.optim.SGD(
            [
                {"params": list(b.conv.parameters()), "lr": b.spec.learning_rate}
                for b in self.blocks
            ],
            lr=0.0,
        )

    @torch.no_grad()
    def step(self) -> list[Record]:
        """Learns from one mini-batch; returns the log entries, one per learning block."""
        active = self.stages[self.position // self.steps_per_stage]
        self.net.eval()
        x = self._before(active[0])(self.net.pixels(self._batch()))
        for i in active:
            self.blocks[i].train()
        *others, last = self.blocks[active[0] : active[-1] + 1]
        path = nn.Sequential(*others, last.norm, last.conv)
        self.optimizer.zero_grad()
        with _outputs([self.blocks[i].conv for i in active]) as outputs:
            if self.plastic:
                learn(path, x)
            else:
                path[:-1](x)
        log = (self.position + 1) % self.log_every == 0 or self.position % self.steps_per_stage == 0
        self.optimizer.step()
        self.position += 1
        if not log or not self.plastic:
            return []
        return [self._record(i, output) for i, output in zip(active, outputs, strict=True)]

    def _before(self, first: int) -> nn.Sequential:
        """Returns the frozen blocks before the first one that learns."""
        if len(self.frozen) != first:
            self.frozen = nn.Sequential(*blocks_of(folded(self.net))[:first])
        return self.frozen

    def _batch(self) -> Tensor:
        """Returns this worker's images of the next mini-batch."""
        rows, device = self.rows(self.position), self.net.readout.weight.device
        if self.augment is None:
            return self.images[part(rows)].to(device)
        random = stream(self.seed, Stream.AUGMENTATION, self.position)
        batch = self.augment(self.images[rows].to(device), rows, random)
        return part(batch) / 255

    def _record(self, layer: int, output: Tensor) -> Record:
        block = self.blocks[layer]
        radius = block.conv.radius().double()
        rate = block.spec.learning_rate * norm_dependent_rate(radius, block.spec.rate_power)
        distance = (radius - 1).abs()
        winner = mean_over_workers(block.conv.post(output).abs().amax(dim=1).mean(), len(output))
        return {
            "phase": self.name,
            "layer": layer,
            "step": self.position,
            "examples": self.position * self.rows.batch_size,
            "radius_mean": float(radius.mean()),
            "radius_std": float(radius.std(correction=0)),
            "radius_distance": float(distance.mean()),
            "r1_neurons": int((distance < R1_TOLERANCE).sum()),
            "neurons": radius.numel(),
            "rate_mean": float(rate.mean()),
            "winner_probability": float(winner),
        }


@contextmanager
def _outputs(layers: list[SoftHebbConv2d]) -> Iterator[list[Tensor]]:
    """Gathers the outputs of layers called inside it, in order."""
    outputs: list[Tensor] = []
    hooks = [layer.register_forward_hook(lambda *call: outputs.append(call[2])) for layer in layers]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def check_weights(blocks: list[SoftHebbBlock]) -> None:
    """Raises InputError if a neuron's weights are all zero or not finite: it couldn't compete."""
    for number, block in enumerate(blocks, start=1):
        radius = block.conv.radius()
        bad = ~(torch.isfinite(radius) & (radius > 0))
        if bad.any():
            neuron = int(bad.nonzero()[0])
            raise InputError(
                f"weight of block {number}, neuron {neuron} has norm {float(radius[neuron])}; "
                "expected a finite norm above 0"
            )
