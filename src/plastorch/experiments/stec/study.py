"""Training and test data of a comparison of methods, for images and sounds alike."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.efference import Bins, Sources, Views
from plastorch.efference.encoders import Encoder
from plastorch.efference.linear_probe import Augment
from plastorch.efference.probes import Exam
from plastorch.efference.streams import Stream
from plastorch.efference.train import Copies
from plastorch.efference.values import Rotations, estimate_values
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.experiments.stec.config import StecConfig

Test = Callable[[Encoder], Record]
"""Test of an encoder, which leaves it unchanged."""


class Study(NamedTuple):
    """Training and test data of an experiment."""

    sources: Sources
    """Data for pre-training, on the device."""
    exams: Mapping[str, Exam]
    """Exams on the device, by name; their classes are those of the sources."""
    classes: int
    views: Views
    prepare: Callable[[Tensor], Tensor]
    """Conversion of raw images to the encoder's input."""
    bins: Bins
    """Classes of the efference copies."""
    others: Mapping[str, Copies]
    """Efference copies of heads that learn other targets, by the role of their arms."""
    bfloat16: bool
    new_encoder: Callable[[], Encoder]
    transfer: Callable[[int], Test] | None = None
    """Further tests of final encoders, by seed."""
    augment: Augment | None = None
    """Views for the training of a new linear layer for each exam after pre-training; if given,
    accuracy is that layer's instead of that of the one that learned during pre-training."""
    probe_epochs: int = 1
    """Number of epochs of that training."""

    def copies(self, role: str) -> tuple[Copies, tuple[int, ...]]:
        """Returns the efference copies of arms of a role, and the sizes of their factors."""
        found = self.others.get(role, self.bins)
        return found, found.sizes

    @property
    def tested(self) -> Tensor:
        """Test images of all exams."""
        return torch.cat([exam.test_images for exam in self.exams.values()])

    def autocast(self) -> torch.autocast:
        """Returns a context in which networks compute in bfloat16, if configured."""
        device = self.sources.images.device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.bfloat16)


def other_copies(config: StecConfig, views: Views, seed: int) -> dict[str, Copies]:
    """Returns the efference copies of the other heads' arms, by role."""
    found: dict[str, Copies] = {
        role: estimate_values(views, kind, stream(seed, Stream.BINS))
        for role, kind in config.numbers.items()
        if role in config.roles
    }
    return found | {"essl": Rotations()}
