"""What a comparison of methods learns from and is tested on, whatever it sees."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from plastorch.efference import FACTORS, Bins, Kind, Sources, targets
from plastorch.efference.encoders import Encoder
from plastorch.efference.linear_probe import LinearProbe
from plastorch.efference.train import Views
from plastorch.engine.run import Record

Test = Callable[[Encoder], Record]
"""Of an encoder, which it leaves as it is."""
Prober = Callable[[Encoder, nn.Linear, "Exam", tuple[int, ...]], LinearProbe]
"""Trains a linear layer on a frozen encoder; the numbers seed it."""


class Exam(NamedTuple):
    """What an encoder's features are probed with, on the device."""

    images: Tensor
    """Or spectra, to fit probes to."""
    labels: Tensor
    """int64, of the classes of the whole study."""
    test_images: Tensor
    test_labels: Tensor


class Study(NamedTuple):
    """What an experiment learns from, and is tested on."""

    sources: Sources
    """To pre-train on, on the device."""
    exams: Mapping[str, Exam]
    """By name; their classes are those of the sources."""
    classes: int
    views: Views
    prepare: Callable[[Tensor], Tensor]
    """From images as they are to what an encoder takes."""
    kind: Kind
    """Of the efference copies."""
    bins: Bins
    bfloat16: bool
    new_encoder: Callable[[], Encoder]
    transfer: Callable[[int], Test] | None = None
    """By seed, what else final encoders are tried on."""
    prober: Prober | None = None
    """If given, it trains a new linear layer for each exam after pre-training, and accuracy is that
    layer's, instead of that of the one that learnt during pre-training."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Classes of each factor; one that never changes, and has no targets, counts as two."""
        return tuple(max(2, size) for size in self.bins.sizes)

    @property
    def tested(self) -> Tensor:
        """Test images of all exams."""
        return torch.cat([exam.test_images for exam in self.exams.values()])

    @property
    def factors(self) -> tuple[str, ...]:
        """Names of what an inverse model has to tell."""
        return FACTORS[self.kind]

    def targets(self, a: Any, b: Any) -> Tensor:
        """Classes of the factors of the actions from views a to views b, int64 [B, K]."""
        return targets(a, b, self.bins, self.kind)

    def autocast(self) -> torch.autocast:
        """Lets networks compute in bfloat16, if they are to."""
        device = self.sources.images.device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.bfloat16)
