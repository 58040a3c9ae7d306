"""Settings and networks of softhebb-bayes."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from plastorch.data import ImageSet
from plastorch.engine.device import check_memory
from plastorch.engine.streams import stream
from plastorch.experiments.preset_defaults import Count, Rate, Repeats, Settings, Size
from plastorch.hebbian.shallow import BackpropMlp, ShallowSoftHebb
from plastorch.hebbian.streams import Stream

KINDS = ("soft", "hard", "backprop")
TEMPERATURES = {"mnist": (100.0, 50.0), "fashion-mnist": (400.0, 100.0)}
"""Inverse temperatures of the competition and of the readout's input: best on held-out images."""
FEATURES = 20
"""Number of inputs of a world with known causes."""


@dataclass(frozen=True)
class BayesConfig(Settings):
    """Settings of softhebb-bayes.

    Args:
        dataset: images to learn.
        neurons: number of hidden neurons in all networks.
        epochs: number of passes of the long-trained networks; the others see each image once.
        batch_size: images per update.
        hebbian_rate: largest change of a hidden SoftHebb weight per mini-batch, at the start.
        readout_rate: Adam's learning rate for the readout of a SoftHebb network.
        backprop_rate: Adam's learning rate for a network trained end to end.
        mixtures: number of synthetic worlds with known hidden causes.
        samples: number of inputs from each of them.
        attacked_images: number of test images that are attacked.
        attack_steps: gradient steps per attack.
        restarts: number of attempts per attacked image and strength.
    """

    dataset: Literal["mnist", "fashion-mnist"] = "mnist"
    neurons: Size = 2000
    epochs: Count = 10
    batch_size: Size = 32
    hebbian_rate: Rate = 0.06
    readout_rate: Rate = 0.03
    backprop_rate: Rate = 1e-3
    mixtures: Repeats = 20
    samples: Count = 300_000
    attacked_images: Count = 1000
    attack_steps: Count = 40
    restarts: Count = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_memory(8 * FEATURES * self.samples, samples=self.samples)
        self.check_neurons(0)

    def check_neurons(self, images: int) -> None:
        """Raises InputError if weights and activities for this many images don't fit in memory."""
        pixels, networks = 28**2, 9
        check_memory(4 * self.neurons * (networks * pixels + images), neurons=self.neurons)


class Judge(nn.Module):
    """Convolutional network trained end to end: surrogate for attacks, judge of their images."""

    def __init__(self, channels: int, height: int, width: int, classes: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, 16, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.readout = nn.Linear(32 * (height // 4) * (width // 4), classes)

    def forward(self, images: Tensor) -> Tensor:
        """Returns class scores (logits) [B, classes]."""
        logits: Tensor = self.readout(self.convolutions(images))
        return logits


class BayesNetworks(nn.Module):
    """All networks of a run: after one pass, retrained under a frozen readout, and after many.

    BayesNetworks of a kind start from equal weights.
    """

    def __init__(self, config: BayesConfig, images: ImageSet, seed: int) -> None:
        super().__init__()
        channels, height, width = images.train_images.shape[1:]
        size = channels * height * width, config.neurons, len(images.classes)
        t, s = TEMPERATURES[config.dataset]

        def all_kinds() -> nn.ModuleDict:
            return nn.ModuleDict(
                {
                    "soft": ShallowSoftHebb(
                        *size, "soft", t, s, generator=stream(seed, Stream.WEIGHTS)
                    ),
                    "hard": ShallowSoftHebb(
                        *size, "hard", t, s, generator=stream(seed, Stream.WEIGHTS)
                    ),
                    "backprop": BackpropMlp(*size, generator=stream(seed, Stream.MLP_WEIGHTS)),
                }
            )

        self.once, self.again, self.long = all_kinds(), all_kinds(), all_kinds()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream(seed, Stream.JUDGE_WEIGHTS).initial_seed())
            self.judge = Judge(channels, height, width, len(images.classes))
