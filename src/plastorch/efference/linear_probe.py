"""Linear layer trained by SGD on the features of a frozen encoder.

Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022, arXiv
2210.09224: their evaluation on STL-10.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.efference.probes import Apply, as_floats, check_labels, evaluating, extract
from plastorch.engine.checkpoint import load_moments, moments
from plastorch.engine.device import generator
from plastorch.engine.errors import InputError, check_positive
from plastorch.engine.run import Record

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""Function from images, uint8 [B, C, H, W], and a generator to the encoder's input."""


@dataclass(frozen=True)
class ProbeTraining:
    """Settings of linear probe training; the defaults are for STL-10.

    Args:
        epochs: number of epochs over the training images.
        batch_size: number of images per update.
        learning_rate: initial learning rate; it decays to 0 along half a cosine.
        momentum: Nesterov momentum.
        bfloat16: run the encoder in bfloat16.

    Raises:
        InputError: a value is out of range.
    """

    epochs: int = 100
    batch_size: int = 1024
    learning_rate: float = 0.04
    momentum: float = 0.9
    bfloat16: bool = False

    def __post_init__(self) -> None:
        check_positive(
            epochs=self.epochs, batch_size=self.batch_size, learning_rate=self.learning_rate
        )
        if not 0 < self.momentum < 1:
            raise InputError(f"momentum is {self.momentum}; expected above 0 and below 1")


class LinearProbe:
    """Phase of a run that trains a linear layer on the features of augmented images.

    The encoder is frozen and in eval mode. A step is an epoch and logs ``loss``,
    ``train_accuracy`` on the augmented images, and ``test_accuracy`` on the original test images.

    Args:
        encoder: module from views to features [B, D].
        probe: layer to train, on the encoder's device; see :func:`probe_layer`.
        images: training images, uint8 [N, C, H, W].
        labels: training classes, int64 [N].
        test_images: test images, uint8 [M, C, H, W].
        test_labels: test classes, int64 [M].
        augment: function that makes views of training images; only crops and flips on STL-10.
        apply: function that makes views of test images.
        training: training settings.
        path: numbers that seed order and views.

    Raises:
        InputError: images and labels don't fit.
    """

    name = "probe"

    def __init__(
        self,
        encoder: nn.Module,
        probe: nn.Linear,
        images: Tensor,
        labels: Tensor,
        test_images: Tensor,
        test_labels: Tensor,
        augment: Augment,
        apply: Apply = as_floats,
        training: ProbeTraining | None = None,
        path: tuple[int, ...] = (0,),
    ) -> None:
        for given, of in ((labels, images), (test_labels, test_images)):
            check_labels(given, len(of), probe.out_features)
        device = probe.weight.device
        self.encoder, self.probe, self.augment, self.path = encoder, probe, augment, path
        self.images, self.labels = images, labels.to(device)
        self.test_images, self.test_labels, self.apply = test_images, test_labels.to(device), apply
        self.training = ProbeTraining() if training is None else training
        self.position, self.total = 0, self.training.epochs
        self.optimizer = torch.optim.SGD(
            probe.parameters(),
            self.training.learning_rate,
            momentum=self.training.momentum,
            nesterov=True,
        )

    def step(self) -> list[Record]:
        """Trains for one epoch."""
        random = generator(*self.path, self.position)
        order = torch.randperm(len(self.images), generator=random)
        batches = torch.split(order, self.training.batch_size)
        sums = torch.zeros(2, dtype=torch.float64)
        with evaluating(self.encoder):
            for place, rows in enumerate(batches):
                done = (self.position + place / len(batches)) / self.total
                sums += self._update(rows, random, (1 + math.cos(math.pi * done)) / 2)
        self.position += 1
        loss, right = (sums / len(order)).tolist()
        with torch.no_grad():
            correct = self.probe(self._test_features).argmax(dim=1) == self.test_labels
        return [
            {
                "phase": self.name,
                "epoch": self.position,
                "loss": loss,
                "train_accuracy": right,
                "test_accuracy": float(correct.double().mean()),
            }
        ]

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the optimizer's moments; the weights belong to the model."""
        return moments(self.optimizer)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restores a state from :meth:`state_dict`."""
        load_moments(self.optimizer, state)

    @cached_property
    def _test_features(self) -> Tensor:
        """Test features, computed in the first step: a finished phase needs none."""
        with self._autocast():
            return extract(self.encoder, self.test_images, self.apply)

    def _autocast(self) -> torch.autocast:
        device = self.probe.weight.device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.training.bfloat16)

    def _update(self, rows: Tensor, random: torch.Generator, share: float) -> Tensor:
        """Trains on one batch at a share of the learning rate; returns summed loss and correct."""
        device = self.probe.weight.device
        labels = self.labels[rows.to(device)]
        with torch.no_grad():
            images = self.images[rows.to(self.images.device)].to(device)
            views = self.augment(images, random)
            with self._autocast():
                features = self.encoder(views).float()
        logits = self.probe(features)
        loss = F.cross_entropy(logits, labels)
        self.optimizer.param_groups[0]["lr"] = share * self.training.learning_rate
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        right = (logits.argmax(dim=1) == labels).sum()
        return torch.stack([loss.detach() * len(rows), right]).double().cpu()


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
