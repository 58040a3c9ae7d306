"""Linear layer trained by SGD on the features of a frozen encoder.

Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022, arXiv
2210.09224: their evaluation on STL-10.
"""

import math
from collections.abc import Callable
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.efference.actions import on
from plastorch.efference.probes import (
    Apply,
    Exam,
    as_floats,
    check_labels,
    extract,
    share_right,
)
from plastorch.engine.errors import check_positive
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.learning.modes import evaluating
from plastorch.learning.phases import Phase

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""Function from images, uint8 [B, C, H, W], and a generator to the encoder's input."""


MOMENTUM = 0.9
"""Nesterov momentum."""


class LinearProbe(Phase):
    """Phase of a run that trains a linear layer on the features of augmented images.

    The encoder is frozen and in eval mode. A step is an epoch and logs ``loss``,
    ``train_accuracy`` on the augmented images, and ``test_accuracy`` on the original test images.

    Args:
        encoder: module from views to features [B, D].
        probe: layer to train, on the encoder's device; see :func:`probe_layer`.
        exam: training and test images, on any device.
        augment: function that makes views of training images; only crops and flips on STL-10.
        epochs: number of epochs over the training images.
        batch_size: number of images per update.
        learning_rate: initial learning rate; it decays to 0 along half a cosine.
        bfloat16: whether to run the encoder in bfloat16.
        apply: function that makes views of test images.
        path: random seed, then numbers that identify the training among others with that seed.
        name: name of the phase.

    Raises:
        InputError: images and labels don't fit, or a number is not positive.
    """

    def __init__(
        self,
        encoder: nn.Module,
        probe: nn.Linear,
        exam: Exam,
        augment: Augment,
        *,
        epochs: int = 100,
        batch_size: int = 1024,
        learning_rate: float = 0.04,
        bfloat16: bool = False,
        apply: Apply = as_floats,
        path: tuple[int, ...] = (0,),
        name: str = "probe",
    ) -> None:
        check_labels(exam.labels, len(exam.images), probe.out_features)
        check_labels(exam.test_labels, len(exam.test_images), probe.out_features)
        check_positive(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)
        super().__init__(name, epochs)
        self._device = probe.weight.device
        self.batch_size, self.learning_rate, self.bfloat16 = batch_size, learning_rate, bfloat16
        self.encoder, self.probe, self.augment, self.path = encoder, probe, augment, path
        self.exam, self.apply = exam, apply
        self._labels = exam.labels.to(self._device)
        descent = torch.optim.SGD(probe.parameters(), 0.0, momentum=MOMENTUM, nesterov=True)
        self.optimizers = (descent,)

    def step(self) -> list[Record]:
        """Trains for one epoch."""
        random = stream(*self.path, self.position)
        order = torch.randperm(len(self.exam.images), generator=random)
        batches = torch.split(order, self.batch_size)
        sums = torch.zeros(2, dtype=torch.float64, device=self._device)
        with evaluating(self.encoder):
            for place, rows in enumerate(batches):
                done = (self.position + place / len(batches)) / self.total
                sums += self._update(rows, random, (1 + math.cos(math.pi * done)) / 2)
        self.position += 1
        loss, right = (sums / len(order)).tolist()
        with torch.no_grad():
            scores = self.probe(self._test_features)
        return [
            {
                "phase": self.name,
                "epoch": self.position,
                "loss": loss,
                "train_accuracy": right,
                "test_accuracy": share_right(scores, self.exam.test_labels),
            }
        ]

    @cached_property
    def _test_features(self) -> Tensor:
        """Test features, computed in the first step: a finished phase needs none."""
        with self._autocast():
            return extract(self.encoder, self.exam.test_images, self.apply)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self.bfloat16)

    def _update(self, rows: Tensor, random: torch.Generator, share: float) -> Tensor:
        """Trains on one batch at a share of the learning rate; returns summed loss and correct."""
        labels = self._labels[on(rows, self._device)]
        with torch.no_grad():
            images = self.exam.images[on(rows, self.exam.images.device)]
            views = self.augment(on(images, self._device), random)
            with self._autocast():
                features = self.encoder(views).float()
        logits = self.probe(features)
        loss = F.cross_entropy(logits, labels)
        (descent,) = self.optimizers
        descent.param_groups[0]["lr"] = share * self.learning_rate
        descent.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        descent.step()
        right = (logits.argmax(dim=1) == labels).sum()
        return torch.stack([loss.detach() * len(rows), right]).double()


def probe_layer(features: int, classes: int, generator: torch.Generator) -> nn.Linear:
    """Makes a linear layer with weights of standard deviation 0.01 and zero bias.

    Example:
        >>> probe_layer(512, 10, torch.Generator()).bias.abs().sum().item()
        0.0
    """
    layer = nn.Linear(features, classes)
    nn.init.normal_(layer.weight, std=0.01, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer
