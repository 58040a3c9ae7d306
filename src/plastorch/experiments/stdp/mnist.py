"""Digits by STDP, without labels and from spike to spike; labels name the neurons afterwards.

Paper: Diehl, Cook, *Unsupervised learning of digit recognition using spike-timing-dependent
plasticity*, 2015.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from plastorch.data import ImageSet, load_images
from plastorch.engine.device import check_memory
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Record
from plastorch.experiments.context import Context
from plastorch.experiments.preset_defaults import Count, Fraction, Settings, Size
from plastorch.experiments.stdp.claims import claims
from plastorch.experiments.stdp.network import Circuit, StdpLearning, Stream

NAMED_BY, LOOKED_AT = 10_000, 1000
"""Number of training images that name neurons, and of test images, while a circuit learns."""
QUICK = 2000, 500
"""Number of training and test images of a smoke run."""


@dataclass(frozen=True)
class StdpMnistConfig(Settings):
    """Settings of stdp-mnist.

    Args:
        neurons: number of neurons.
        epochs: number of passes over the images.
        batch_size: number of images whose weight changes are summed; None for one image per 25
            neurons.
        validation: share of the training set that is held out and used in place of the test set; 0
            for the test set.
        dataset: images to learn from.
    """

    neurons: Size = 400
    epochs: Count = 3
    batch_size: Size | None = None
    validation: Fraction = 0.0
    dataset: Literal["mnist", "fashion-mnist"] = "mnist"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_memory(4 * 4 * 784 * self.neurons, neurons=self.neurons)


def measure(config: StdpMnistConfig, context: Context) -> dict[str, Any]:
    """Learns, names and tests; writes the result and arrays into the run folder."""
    images = load_images(config.dataset, context.data)
    if config.validation:
        images = images.validation_split(config.validation, context.seed)
    if context.quick:
        config, images = _quick(config, images, context.seed)
    if images.notice:
        context.tell(images.notice)
    pixels, classes = images.train_images[0].numel(), len(images.classes)
    circuit = Circuit(pixels, config.neurons, classes, context.seed)
    loop = Loop(context.run, circuit)
    started = context.start(config, images.description())
    arrays = _run(config, images, circuit, loop, context.seed)
    context.run.write_arrays(arrays)
    presentations = config.epochs * len(images.train_labels)
    found = _metrics(context.run.records(), loop, presentations)
    defaults = replace(config, neurons=400, epochs=3) == StdpMnistConfig()
    evidence = defaults and not (context.quick or images.notice)
    judged = claims(found, config.neurons, loop.wall_s, evidence)
    return context.finish(started, loop, found, judged)


def _run(
    config: StdpMnistConfig, images: ImageSet, circuit: Circuit, loop: Loop, seed: int
) -> dict[str, Tensor]:
    """Runs all phases; returns arrays for figures."""
    few = images.few(NAMED_BY, LOOKED_AT, seed)
    look = partial(_figures, circuit, few, seed)
    loop.run(Jobs("untrained", [lambda: [{"images": 0, **look()}]], shared=False))
    learning = StdpLearning(
        circuit,
        images.train_images,
        epochs=config.epochs,
        batch_size=config.batch_size or max(1, config.neurons // 25),
        seed=seed,
        look=look,
    )
    loop.run(learning)

    def name() -> list[Record]:
        circuit.name(images.train_images, images.train_labels, (seed, Stream.NAMING))
        return []

    loop.run(Jobs("names", [name], shared=False))
    pairs = torch.zeros(circuit.classes, circuit.classes, dtype=torch.int64)
    loop.recompute(Jobs("test", [lambda: [_tested(circuit, images, seed, pairs)]], shared=False))
    return {
        "filters": circuit.layer.weight.detach().view(-1, *images.train_images.shape[1:]),
        "names": circuit.names,
        "thresholds": circuit.layer.theta.detach(),
        "confusion": pairs,
    }


def _figures(circuit: Circuit, few: ImageSet, seed: int) -> Record:
    """Names a circuit that still learns by a few images; returns its accuracy on others."""
    circuit.name(few.train_images, few.train_labels, (seed, Stream.FEW_NAMING))
    answers, _ = circuit.predicted(few.test_images, (seed, Stream.FEW_TEST))
    theta = circuit.layer.theta
    return {
        "accuracy": _share(answers == few.test_labels),
        "theta_mean": float(theta.mean()),
        "theta_deviation": float(theta.std(correction=0)),
    }


def _tested(circuit: Circuit, images: ImageSet, seed: int, confusion: Tensor) -> Record:
    """Returns figures of the test, and writes its answers into ``confusion``."""
    counts: list[tuple[int, int]] = []
    answers, heard = circuit.predicted(images.test_images, (seed, Stream.TEST), counts)
    places = images.test_labels * circuit.classes + answers
    confusion.copy_(places.bincount(minlength=confusion.numel()).view_as(confusion))
    received, sent = (sum(numbers) / len(answers) for numbers in zip(*counts, strict=True))
    return {
        "accuracy": _share(answers == images.test_labels),
        "silent": _share(~heard),
        "named": _share(circuit.names >= 0),
        "input_spikes": received,
        "output_spikes": sent,
    }


def _share(right: Tensor) -> float:
    return float(right.double().mean())


def _metrics(records: Sequence[Record], loop: Loop, presentations: int) -> dict[str, float]:
    """Returns the figures of a log, the test accuracy first."""
    (untrained,) = (row for row in records if row["phase"] == "untrained")
    (test,) = (row for row in records if row["phase"] == "test")
    rest = ("silent", "named", "input_spikes", "output_spikes")
    return {
        "test_accuracy": float(test["accuracy"]),
        "untrained_accuracy": float(untrained["accuracy"]),
        **{name: float(test[name]) for name in rest},
        "images_per_second": presentations / loop.seconds["learning"],
    }


def _quick(
    config: StdpMnistConfig, images: ImageSet, seed: int
) -> tuple[StdpMnistConfig, ImageSet]:
    """Reduces settings to one pass of few neurons over few digits: less than a minute."""
    small = replace(config, neurons=min(100, config.neurons), epochs=1)
    return small, images.few(*QUICK, seed)
