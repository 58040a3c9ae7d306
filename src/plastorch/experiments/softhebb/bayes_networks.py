"""Settings and networks of softhebb-bayes."""

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Annotated, Literal, get_args

from torch import Tensor, nn

from plastorch.data import ImageSet
from plastorch.engine.device import check_memory
from plastorch.engine.errors import check_names
from plastorch.engine.streams import seeded, stream
from plastorch.experiments.preset_defaults import (
    Count,
    CountOrZero,
    Fraction,
    Positive,
    Range,
    Rate,
    Settings,
    Size,
)
from plastorch.hebbian.rule import Competition
from plastorch.hebbian.shallow import BackpropMlp, ShallowSoftHebb, sample_weights
from plastorch.hebbian.streams import Stream

Kind = Literal["soft", "hard", "backprop", "backprop-unit", "sampled"]
"""SoftHebb, hard winner-take-all, backprop, backprop with inputs of unit length like theirs, and
training images of unit length as hidden weights, which don't learn."""
KINDS: tuple[Kind, ...] = get_args(Kind)
USUAL: tuple[Kind, ...] = ("soft", "hard", "backprop", "backprop-unit")
"""Networks that run unless others are asked for."""
CONTROLS: tuple[Kind, ...] = ("backprop-unit", "sampled")
"""Networks that show the effect of unit length alone, and of weights that aren't learned."""
TEMPERATURES = {"mnist": (100.0, 50.0), "fashion-mnist": (400.0, 100.0)}
"""Inverse temperatures of the competition and of the readout's input."""
FEATURES = 20
"""Number of inputs of a world with known causes."""


@dataclass(frozen=True)
class BayesConfig(Settings):
    """Settings of softhebb-bayes.

    Args:
        dataset: images to learn.
        networks: networks to train: soft, hard, backprop, backprop-unit, whose inputs have unit
            length like those of the first two, and sampled, whose hidden weights are training
            images of unit length and don't learn.
        neurons: number of hidden neurons in all networks.
        epochs: number of passes of the long-trained networks; the others see each image once, and
            replace them if there is only 1 pass.
        batch_size: images per update.
        inverse_temperature: inverse temperature of the soft competition; None takes the default of
            the dataset.
        readout_inverse_temperature: inverse temperature of the activations that the readout of a
            SoftHebb network sees; None takes the default of the dataset.
        hebbian_rate: largest change of a hidden SoftHebb weight per mini-batch at the start; it
            falls to 0.
        readout_rate: Adam's learning rate for the readout of a SoftHebb network.
        backprop_rate: Adam's learning rate for a network trained end to end.
        backprop_unit_rate: Adam's learning rate for the same network with inputs of unit length.
        validation: share of the training set that is held out and used in place of the test set,
            for choosing settings; hidden layers are then not retrained.
        mixtures: number of synthetic worlds with known hidden causes; 0 leaves them out.
        samples: number of inputs from each world.
        attacked_images: number of test images that are attacked; 0 leaves out attacks and noise.
        attack_steps: gradient steps per attack.
        restarts: number of attempts per attacked image and strength.
    """

    dataset: Literal["mnist", "fashion-mnist"] = "mnist"
    networks: tuple[Kind, ...] = USUAL
    neurons: Size = 2000
    epochs: Count = 10
    batch_size: Size = 32
    inverse_temperature: Positive | None = None
    readout_inverse_temperature: Positive | None = None
    hebbian_rate: Rate = 0.06
    readout_rate: Rate = 0.03
    backprop_rate: Rate = 1e-3
    backprop_unit_rate: Rate = 3e-3
    validation: Fraction = 0.0
    mixtures: Annotated[int, Range(0, 10_000)] = 20
    samples: Count = 300_000
    attacked_images: CountOrZero = 1000
    attack_steps: Count = 40
    restarts: Count = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("networks", self.networks, KINDS)
        check_memory(8 * FEATURES * self.samples, samples=self.samples)
        self.check_neurons(0)

    def check_neurons(self, images: int) -> None:
        """Raises InputError if weights and activities for this many images don't fit in memory."""
        pixels, networks = 28**2, 3 * len(KINDS)
        check_memory(4 * self.neurons * (networks * pixels + images), neurons=self.neurons)

    @property
    def temperatures(self) -> tuple[float, float]:
        """Inverse temperatures of the competition and of the readout's input."""
        t, s = TEMPERATURES[self.dataset]
        return self.inverse_temperature or t, self.readout_inverse_temperature or s

    def adam_rate(self, kind: Kind) -> float:
        """Returns Adam's learning rate for a network: of its readout if the rest has a rule."""
        rates = {"backprop": self.backprop_rate, "backprop-unit": self.backprop_unit_rate}
        return rates.get(kind, self.readout_rate)

    @property
    def ordinary(self) -> bool:
        """Whether everything that runs does so with the default settings for the images."""
        if not self.attacked_images:
            return self.ordinary_learning
        complete = set(USUAL) <= set(self.networks)  # they choose the images that are turned
        return complete and self._is_default_but("networks")

    @property
    def ordinary_learning(self) -> bool:
        """Whether networks learn with the defaults: all that learning and noise depend on."""
        attacks = ("attacked_images", "attack_steps", "restarts")
        epochs = () if self.attacked_images else ("epochs",)
        return self._is_default_but("networks", *attacks, *epochs)

    def _is_default_but(self, *free: str) -> bool:
        default = BayesConfig(dataset=self.dataset)
        names = (*free, *(() if self.mixtures else ("mixtures",)))
        return replace(self, **{name: getattr(default, name) for name in names}) == default


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

    Networks of a kind start from equal weights.
    """

    def __init__(self, config: BayesConfig, images: ImageSet, seed: int) -> None:
        super().__init__()
        channels, height, width = images.train_images.shape[1:]
        size = channels * height * width, config.neurons, len(images.classes)
        t, s = config.temperatures

        def shallow(competition: Competition) -> ShallowSoftHebb:
            return ShallowSoftHebb(
                *size,
                competition=competition,
                inverse_temperature=t,
                readout_inverse_temperature=s,
                generator=stream(seed, Stream.WEIGHTS),
            )

        sampled = shallow("soft")
        sample_weights(sampled, images.train_images, seed)

        def all_kinds() -> nn.ModuleDict:
            return nn.ModuleDict(
                {
                    "soft": shallow("soft"),
                    "hard": shallow("hard"),
                    "backprop": BackpropMlp(*size, generator=stream(seed, Stream.MLP_WEIGHTS)),
                    "backprop-unit": BackpropMlp(
                        *size, unit_inputs=True, generator=stream(seed, Stream.MLP_WEIGHTS)
                    ),
                    "sampled": deepcopy(sampled),
                }
            )

        self.once, self.again, self.long = all_kinds(), all_kinds(), all_kinds()
        with seeded(stream(seed, Stream.JUDGE_WEIGHTS).initial_seed()):
            self.judge = Judge(channels, height, width, len(images.classes))
