"""The circuit of stdp-mnist: constants, input spikes, learning, and reading by names of neurons.

All is in proportion: weights of a neuron sum to 1, and images have the same norm, so that the best
neuron's membrane rises by about 7 in a presentation, whatever the image. It decides by its first
spike, which pushes all others far down. Thresholds settle where there is about one spike per image:
in balance, what they grow by, ``STEP`` per image, is what ``neurons`` of them lose.
"""

from collections.abc import Callable, Iterator
from enum import IntEnum

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.learning import set_gradients
from plastorch.learning.phases import EpochOrder, Phase, set_rate
from plastorch.spiking.encode import bernoulli
from plastorch.spiking.events import Events
from plastorch.spiking.naming import class_scores, class_votes, count_spikes, names_by
from plastorch.spiking.network import STDPLayer
from plastorch.spiking.neurons import LIF
from plastorch.spiking.stdp import PairSTDP

DURATION = 0.1
"""Seconds for which an image is shown."""
RATE = 1000.0
"""Norm of an image's firing rates, Hz; 0.1 s of them have about 1,100 spikes."""
STEP = 0.5
"""Growth of a threshold at a spike."""
THETA = 2.5
"""Mean height to which thresholds grow."""
WARM_UP = 0.2
"""Share of the learning in which the learning rate rises."""
LOOKS = 7
"""Number of times that accuracy is measured while a circuit learns."""
TOGETHER = 250
"""Number of images that are answered together."""


class Stream(IntEnum):
    """Uses of random numbers."""

    WEIGHTS = 0
    IMAGE_ORDER = 1
    SPIKES = 2
    NAMING = 3
    TEST = 4
    FEW_NAMING = 5
    FEW_TEST = 6


class Circuit(nn.Module):
    """A layer that learns from images, and the names that labels give its neurons.

    Args:
        pixels: number of pixels of an image.
        neurons: number of neurons K.
        classes: number of classes.
        seed: random seed of the weights.
    """

    names: Tensor

    def __init__(self, pixels: int, neurons: int, classes: int, seed: int) -> None:
        super().__init__()
        theta_tau = DURATION * neurons * THETA / STEP
        self.layer = STDPLayer(
            pixels,
            neurons,
            neuron=LIF(tau=1.0, threshold=0.5, theta_increase=STEP, theta_tau=theta_tau),
            rule=PairSTDP(potentiation=1e-3, depression=0.0, tau_plus=0.05, norm=1.0),
            inhibition=10.0,
            generator=stream(seed, Stream.WEIGHTS),
        )
        self.classes = classes
        self.register_buffer("names", torch.zeros(neurons, dtype=torch.int64))

    def answers(
        self, images: Tensor, path: tuple[int, ...], counts: list[tuple[int, int]] | None = None
    ) -> Iterator[Tensor]:
        """Yields how often neurons spiked [B, K] at images [N, ...]; ``path`` is the random seed
        and the place in it; ``counts`` gets the numbers of spikes that came in and went out."""
        for number, shown in enumerate(torch.split(images, TOGETHER)):
            spikes = encode(shown, stream(*path, number))
            found, _ = self.layer.respond(spikes, DURATION)
            if counts is not None:
                counts.append((len(spikes.times), len(found.times)))
            yield count_spikes(found, self.layer.out_features)

    def name(self, images: Tensor, labels: Tensor, path: tuple[int, ...]) -> None:
        """Names the neurons by labels of images."""
        parts = zip(self.answers(images, path), torch.split(labels, TOGETHER), strict=True)
        votes = sum(class_votes(answers, given, self.classes) for answers, given in parts)
        assert isinstance(votes, Tensor)
        self.names.copy_(names_by(votes))

    def predicted(
        self, images: Tensor, path: tuple[int, ...], counts: list[tuple[int, int]] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Returns the classes of images [N], and whether any neuron answered [N]."""
        found = list(self.answers(images, path, counts))
        scores = torch.cat([class_scores(each, self.names, self.classes) for each in found])
        return scores.argmax(1), scores.sum(1) > 0


def encode(images: Tensor, random: torch.Generator) -> Events:
    """Draws spikes of images, uint8 [B, ...]: rates are in proportion to brightness, and of the
    same norm for each image."""
    rates = RATE * F.normalize(images.flatten(1).float())
    return bernoulli(rates.clamp(max=RATE), DURATION, generator=random)


class StdpLearning(Phase):
    """Training phase: images [N, ...] are shown in mini-batches, and neurons that spike learn.

    Changes of a mini-batch's images add up, times a rate that rises to 1 in equal steps, as at
    first few neurons answer all images, and then falls to 0. ``look``
    is called after the last step, and when half of the images, a fourth, and so on were shown; it
    returns figures to log.
    """

    def __init__(
        self,
        circuit: Circuit,
        images: Tensor,
        *,
        epochs: int,
        batch_size: int,
        seed: int,
        look: Callable[[], Record],
    ) -> None:
        self.circuit, self.images, self.seed, self.look = circuit, images, seed, look
        self.order = EpochOrder(len(images), batch_size, seed, Stream.IMAGE_ORDER)
        super().__init__("learning", epochs * self.order.per_epoch)
        self.optimizer = torch.optim.SGD(circuit.layer.parameters(), lr=1.0)
        self.looks = {self.total // 2**i for i in range(LOOKS)}

    def step(self) -> list[Record]:
        """Shows a mini-batch; returns a record if it is time for a look."""
        rows = self.order(self.position)
        begun, left = (self.position + 1) / self.total, 1 - self.position / self.total
        rate = len(rows) * min(begun / WARM_UP, left / (1 - WARM_UP))
        set_rate(self.optimizer, rate, "constant", self.position, self.total)
        spikes = encode(self.images[rows], stream(self.seed, Stream.SPIKES, self.position))
        set_gradients(self.circuit.layer, self.circuit.layer.learn_events(spikes, DURATION))
        self.optimizer.step()
        self.position += 1
        if self.position not in self.looks:
            return []
        seen = len(self.images) * self.position // self.order.per_epoch
        return [{"phase": self.name, "images": seen, **self.look()}]
