"""Training and test data of a comparison of methods, for images and sounds alike."""

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
"""Test of an encoder, which leaves it unchanged."""
Prober = Callable[[Encoder, nn.Linear, "Exam", tuple[int, ...]], LinearProbe]
"""Function that trains a linear layer on a frozen encoder; the numbers seed it."""


class Exam(NamedTuple):
    """Data on the device with which an encoder's features are probed."""

    images: Tensor
    """Images, or spectra, to fit probes to."""
    labels: Tensor
    """Classes among those of the whole study, int64."""
    test_images: Tensor
    test_labels: Tensor


class Study(NamedTuple):
    """Training and test data of an experiment."""

    sources: Sources
    """Data for pre-training, on the device."""
    exams: Mapping[str, Exam]
    """Exams by name; their classes are those of the sources."""
    classes: int
    views: Views
    prepare: Callable[[Tensor], Tensor]
    """Conversion of raw images to the encoder's input."""
    kind: Kind
    """Kind of the efference copies."""
    bins: Bins
    bfloat16: bool
    new_encoder: Callable[[], Encoder]
    transfer: Callable[[int], Test] | None = None
    """Further tests of final encoders, by seed."""
    prober: Prober | None = None
    """Training of a new linear layer for each exam after pre-training; if given, accuracy is that
    layer's instead of that of the one that learned during pre-training."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of classes of each factor; a constant factor without targets counts as two."""
        return tuple(max(2, size) for size in self.bins.sizes)

    @property
    def tested(self) -> Tensor:
        """Test images of all exams."""
        return torch.cat([exam.test_images for exam in self.exams.values()])

    @property
    def factors(self) -> tuple[str, ...]:
        """Names of the factors that an inverse model predicts."""
        return FACTORS[self.kind]

    def targets(self, a: Any, b: Any) -> Tensor:
        """Returns factor classes of the actions from views a to views b, int64 [B, K]."""
        return targets(a, b, self.bins, self.kind)

    def autocast(self) -> torch.autocast:
        """Returns a context in which networks compute in bfloat16, if configured."""
        device = self.sources.images.device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.bfloat16)
