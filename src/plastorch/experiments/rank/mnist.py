"""Rank coding of MNIST in time: each pixel fires once, the brighter the earlier.

Paper: Jeffares, Guo, Stenetorp, Moraitis, *Spike-inspired Rank Coding for Fast and Accurate
Recurrent Neural Networks*, ICLR 2022.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, NamedTuple

import torch
from torch import Tensor, nn

from plastorch.data.images.augment import shifted
from plastorch.data.images.imageset import ImageSet
from plastorch.data.images.load import load_images
from plastorch.data.tasks.temporal import STEPS, spike_steps, turned
from plastorch.engine.device import fast_matmul
from plastorch.engine.distributed import check_parts
from plastorch.engine.errors import check_names
from plastorch.engine.loop import Loop
from plastorch.engine.streams import stream
from plastorch.experiments.context import Context
from plastorch.experiments.models import field, networks
from plastorch.experiments.preset_defaults import Count, CountOrZero, Range, Rate, Settings, Size
from plastorch.experiments.rank.mnist_claims import claims
from plastorch.experiments.rank.reading import (
    accuracy_by,
    measured,
    thresholds_with,
    validated,
    validation,
)
from plastorch.experiments.rank.streams import MnistStream, PictureStream
from plastorch.experiments.rank.work import work
from plastorch.learning.phases import EpochOrder
from plastorch.rank import Batch, RankCoder, RankSettings, RankTraining, evaluate
from plastorch.rank.objectives import Objective
from plastorch.rank.pictures import PictureLSTM, convolutions

VALIDATION = 12
"""One in this many training images is held out for validation: 5,000 of 60,000."""
CHANNELS, DROPOUT = (16, 32, 64), 0.25
DEGREES, SCALE = 10.0, 0.1
"""Maximum rotation and scaling of images for the convolutional networks."""
AT_ONCE = 1e-6
"""Threshold that all outputs cross at the first step."""
TIMED = ("lstm-rank", "convolutional")
"""Networks whose work per answer is measured."""
QUICK = (600, 300)
"""Numbers of training and test images of a smoke run."""


class PictureNetwork(NamedTuple):
    """A network of the comparison."""

    objective: Objective
    """Trained outputs."""
    hidden_size: int = 125
    """Size of the LSTM, as in the paper."""
    convolutional: bool = False
    """Whether it sees, through convolutions, all that has fired so far, and learns from images that
    are rotated, scaled and shifted at random."""
    entropy_weight: float = 0.0
    """Weight β of the entropy."""
    coarse: bool = False
    """Whether pixels fire in fewer steps."""
    varied: bool = False
    """Whether an LSTM, too, learns from such images, at a rate that falls to 0, with weights that
    decay."""


PAPER = {
    "lstm-rank": PictureNetwork("first"),
    "lstm-beta5": PictureNetwork("first", entropy_weight=0.05),
    "lstm-beta10": PictureNetwork("first", entropy_weight=0.1),
    "lstm-last": PictureNetwork("last"),
    "lstm-all": PictureNetwork("all"),
    "convolutional": PictureNetwork("first", 128, True),
    "convolutional-coarse": PictureNetwork("first", 128, True, coarse=True),
}
"""Models of the paper's comparison by name; the numbers are β in hundredths."""
OURS = {
    "lstm-hybrid": PictureNetwork("hybrid"),
    "lstm-cost": PictureNetwork("cost"),
    "lstm-varied-rank": PictureNetwork("first", varied=True),
    "lstm-varied-last": PictureNetwork("last", varied=True),
    "lstm-varied-all": PictureNetwork("all", varied=True),
    "lstm-varied-hybrid": PictureNetwork("hybrid", varied=True),
    "lstm-varied-cost": PictureNetwork("cost", varied=True),
}
"""Further models: other objectives, and LSTMs that learn from varied images."""
MODELS = PAPER | OURS
EARLY = 0.7
"""Mean step, from 0, of the answers at which LSTMs are compared: that of the paper's objective."""
WEIGHT_DECAY = 0.01
"""Decay of weights of LSTMs that learn from varied images."""


@dataclass(frozen=True)
class RankMnistConfig(Settings):
    """Settings of rank-mnist; those of the LSTMs are the paper's, as far as it has them.

    Args:
        models: models that learn, one after the other; by default those of the paper's comparison.
        steps: number of steps at which pixels fire.
        coarse_steps: number of steps for one of the convolutional networks. It is not known how
            many steps the paper's best network, which answers after the first, had. With 20, the
            first step shows only the brightest pixels, fewer than ten in one image of 150.
        epochs: number of passes of each LSTM over the training images; answers only begin to come
            early after about fifteen.
        convolutional_epochs: number of passes of the convolutional network.
        first_epochs: number of passes before those, in which the convolutional network learns from
            the first step alone: an untrained network would need all steps, at 20 times the cost.
        batch_size: images per update of the LSTMs.
        convolutional_batch_size: images per update of the convolutional network.
        learning_rate: learning rate of Adam for the LSTMs.
        convolutional_learning_rate: initial learning rate of the convolutional network in the
            passes over the first step; it falls to 0 along half a cosine.
        later_learning_rate: initial learning rate of its passes over all steps; it is smaller so
            that what was learned on the first step is not lost.
        threshold: threshold θ.
        shift: largest shift of images for the convolutional network, pixels.
    """

    models: tuple[str, ...] = tuple(PAPER)
    steps: Annotated[int, Range(2, 255)] = STEPS
    coarse_steps: Annotated[int, Range(2, 255)] = 5
    epochs: Count = 50
    convolutional_epochs: Count = 20
    first_epochs: CountOrZero = 16
    batch_size: Size = 256
    convolutional_batch_size: Size = 128
    learning_rate: Rate = 1e-3
    convolutional_learning_rate: Rate = 2e-3
    later_learning_rate: Rate = 5e-4
    threshold: Annotated[float, Range(0.1, 1, below=True)] = 0.95
    shift: Annotated[int, Range(0, 28)] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("models", self.models, MODELS)

    def network(self, name: str, side: int = 28, classes: int = 10) -> RankCoder:
        """Returns a model by name, for square images of ``side`` pixels."""
        model, pixels = MODELS[name], side**2
        front, features = None, pixels
        if model.convolutional:
            front, features = convolutions(side, CHANNELS, DROPOUT)
        lstm = PictureLSTM(
            pixels,
            model.hidden_size,
            front=front,
            features=features,
            lasting=model.convolutional,
        )
        readout, chunk = nn.Linear(model.hidden_size, classes), 1 if model.convolutional else 4
        return RankCoder(
            lstm,
            readout,
            threshold=self.threshold,
            entropy_weight=model.entropy_weight,
            chunk=chunk,
        )


class Pictures(NamedTuple):
    """Labeled images in time."""

    when: Tensor
    """Step at which each pixel fires, uint8 [N, 1, side, side]."""
    labels: Tensor
    """Classes, int64 [N]."""
    steps: int
    """Number of steps T."""

    def some(self, rows: Tensor | slice) -> "Pictures":
        """Returns some of the images."""
        return Pictures(self.when[rows], self.labels[rows], self.steps)

    def varied(self, shift: int, random: torch.Generator) -> "Pictures":
        """Returns the same images, rotated, scaled and shifted at random."""
        when = turned(self.when, self.steps, DEGREES, SCALE, random)
        return self._replace(when=shifted(when, shift, self.steps - 1, random))

    def batch(self) -> Batch:
        """Returns all of them, in the form that :class:`PictureLSTM` takes."""
        flat = self.when.flatten(1)
        return Batch(flat.expand(self.steps, *flat.shape), self.labels)

    def batches(self, size: int = 200) -> list[Batch]:
        """Returns all of them in parts."""
        return [self.some(slice(i, i + size)).batch() for i in range(0, len(self.labels), size)]


def measure(config: RankMnistConfig, context: Context) -> dict[str, Any]:
    """Trains the models and reads each at every step and threshold; returns ``result.json``."""
    images = load_images("mnist", context.data)
    if context.quick:
        config, images = _quick(config, images, context.seed)
    check_parts(
        batch_size=config.batch_size, convolutional_batch_size=config.convolutional_batch_size
    )
    if images.notice:
        context.tell(images.notice)
    source = f"{images.source}; 1 in {VALIDATION} of the training images held out"
    started = context.start(config, images.description() | {"source": source})
    side = images.train_images.shape[-1]
    nets = networks(config.models, MODELS, (context.seed,), lambda name: config.network(name, side))
    nets.to(context.device)
    loop = Loop(context.run, nets)
    metrics: dict[str, float] = {}
    arrays: dict[str, Tensor] = {}
    with fast_matmul():
        for name, net in nets.items():
            assert isinstance(net, RankCoder)
            steps = config.coarse_steps if MODELS[name].coarse else config.steps
            train, held_out, test = _pictures(images, steps, context)
            _Learning(name, net, config, context.seed, (train, held_out)).run(loop)
            seen, readings = (
                evaluate(net, part.batches(), thresholds_with(config.threshold))
                for part in (held_out, test)
            )
            found = measured(name, readings, config.threshold)
            metrics |= found.metrics | validated(name, seen, config.threshold)
            if not MODELS[name].convolutional:
                metrics[field(name, "early_accuracy")] = accuracy_by(readings, EARLY)
                metrics[field(name, "validation_early_accuracy")] = accuracy_by(seen, EARLY)
            arrays |= found.arrays
            if name in TIMED:
                metrics |= work(name, net, test.batches())
    context.run.write_arrays(arrays)
    best = "convolutional" if "convolutional" in nets else config.models[0]
    head = {"test_accuracy": metrics[field(best, "accuracy")]}
    whole = config == RankMnistConfig(models=config.models) and not images.notice
    ordinary = whole and not context.quick
    known = claims(metrics, arrays, context.run.records(), len(images.test_labels), ordinary)
    return context.finish(started, loop, head | metrics, known)


def _pictures(images: ImageSet, steps: int, context: Context) -> list[Pictures]:
    """Returns images for training, validation and test, which fire in this many steps."""
    held, device = images.validation_split(1 / VALIDATION, context.seed), context.device
    return [
        Pictures(spike_steps(part, steps).to(device), labels.to(device), steps)
        for part, labels in (
            (held.train_images, held.train_labels),
            (held.test_images, held.test_labels),
            (images.test_images, images.test_labels),
        )
    ]


class _Learning:
    """Training of a model; the convolutional one starts with the first step alone."""

    def __init__(
        self,
        name: str,
        net: RankCoder,
        config: RankMnistConfig,
        seed: int,
        data: Sequence[Pictures],
    ) -> None:
        self.name, self.net, self.config, self.seed = name, net, config, seed
        self.model, (self.train, held_out) = MODELS[name], data
        self.validate = validation(held_out.batches(), self.model.objective)

    def run(self, loop: Loop) -> None:
        """Runs all phases."""
        config = self.config
        if not self.model.convolutional:
            loop.run(self._phase(MnistStream.ALL_STEPS, config.epochs, config.learning_rate))
            return
        if config.first_epochs:
            rate = config.convolutional_learning_rate
            self.net.threshold = AT_ONCE
            loop.run(self._phase(MnistStream.FIRST_STEP, config.first_epochs, rate))
            self.net.threshold = config.threshold
        rate = config.later_learning_rate
        loop.run(self._phase(MnistStream.ALL_STEPS, config.convolutional_epochs, rate))

    def _phase(self, kind: MnistStream, epochs: int, rate: float) -> RankTraining:
        config, model, train = self.config, self.model, self.train
        size = config.convolutional_batch_size if model.convolutional else config.batch_size
        path = self.seed, kind, list(MODELS).index(self.name)
        count = len(train.labels)
        order = EpochOrder(count, min(size, count), *path, drop_last=True)

        def batch(number: int) -> Batch:
            some = train.some(order(number).to(train.labels.device))
            if model.convolutional or model.varied:
                random = stream(*path, PictureStream.VARIATIONS, number)
                some = some.varied(config.shift, random)
            return some.batch()

        every = order.per_epoch
        return RankTraining(
            f"{self.name}-first" if kind == MnistStream.FIRST_STEP else self.name,
            self.net,
            batch,
            RankSettings(
                epochs * every,
                model.objective,
                every,
                rate,
                cosine=model.convolutional or model.varied,
                weight_decay=WEIGHT_DECAY * model.varied,
            ),
            path=(*path, PictureStream.DROPOUT),
            validate=self.validate,
            score=lambda record: float(record["validation_accuracy"]),
        )


def _quick(
    config: RankMnistConfig, images: ImageSet, seed: int
) -> tuple[RankMnistConfig, ImageSet]:
    """Reduces settings and data to few images and epochs."""
    config = replace(config, epochs=2, convolutional_epochs=1, first_epochs=1)
    return replace(config, batch_size=50, convolutional_batch_size=50), images.few(*QUICK, seed)
