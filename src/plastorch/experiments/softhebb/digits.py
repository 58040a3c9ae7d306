"""Digits by one SoftHebb layer, without labels, beside the same layer untrained or of samples.

Paper: Moraitis et al., *SoftHebb: Bayesian inference in unsupervised Hebbian soft winner-take-all
networks*, Neuromorph. Comput. Eng. 2 (2022) 044017. Labels only name the neurons: each answers the
class that it wins most often.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from plastorch.data import ImageSet, load_images
from plastorch.engine.device import check_memory, fast_matmul
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Claim, Record
from plastorch.engine.streams import stream
from plastorch.experiments.claims import above, asserted, at_least
from plastorch.experiments.context import Context
from plastorch.experiments.preset_defaults import Count, Rate, Settings, Size
from plastorch.hebbian.readout import accuracy, assign_labels, confusions
from plastorch.hebbian.shallow import OnlineTraining, ShallowSoftHebb, activations, sample_weights
from plastorch.hebbian.streams import Stream
from plastorch.hebbian.train import R1_TOLERANCE

NAMED_BY, LOOKED_AT = 10_000, 2000
"""Number of training images that name neurons, and of test images, while neurons learn."""


@dataclass(frozen=True)
class DigitsConfig(Settings):
    """Settings of softhebb-digits.

    Args:
        dataset: images to learn.
        neurons: number of neurons.
        epochs: number of passes over the images.
        batch_size: images per update.
        hebbian_rate: largest change of a weight per mini-batch at the start; it falls to 0.
    """

    dataset: Literal["mnist", "fashion-mnist"] = "mnist"
    neurons: Size = 400
    epochs: Count = 10
    batch_size: Size = 32
    hebbian_rate: Rate = 0.06

    def __post_init__(self) -> None:
        super().__post_init__()
        check_memory(4 * 3 * 784 * self.neurons, neurons=self.neurons)


def measure(config: DigitsConfig, context: Context) -> dict[str, Any]:
    """Learns and tests; returns the result, and writes it and arrays into the run folder."""
    images = load_images(config.dataset, context.data)
    if context.quick:
        config, images = replace(config, epochs=1), images.few(2000, 500, context.seed)
    if images.notice:
        context.tell(images.notice)
    net, untrained, sampled = (_network(config, images, context) for _ in range(3))
    sample_weights(sampled, images.train_images, context.seed)
    loop = Loop(context.run, net)
    started = context.start(config, images.description())
    few = images.few(NAMED_BY, LOOKED_AT, context.seed)
    answers = torch.empty_like(images.test_labels)
    with fast_matmul():
        loop.run(_tests("untrained", untrained, images))
        loop.run(_tests("sampled", sampled, images))
        learning = OnlineTraining(
            net,
            images.train_images.to(context.device),
            images.train_labels.to(context.device),
            images.test_images,
            images.test_labels,
            batch_size=config.batch_size,
            epochs=config.epochs,
            hebbian_rate=config.hebbian_rate,
            learn_readout=False,
            seed=context.seed,
            name="learning",
            look=lambda: {"test_accuracy": _share(_answers(net, few), few)},
        )
        loop.run(learning)
        loop.recompute(_tests("test", net, images, answers))
    table = confusions(answers, images.test_labels, len(images.classes))
    shape = -1, *images.train_images.shape[1:]
    weights = {"filters": net, "untrained": untrained, "sampled": sampled}
    context.run.write_arrays(
        {name: of.hidden.weight.detach().cpu().view(shape) for name, of in weights.items()}
        | {"confusion": table}
    )
    found = _metrics(context.run.records(), net)
    # All claims compare within the run, so that part of the digits will do.
    ordinary = config == DigitsConfig(config.dataset) and not context.quick
    return context.finish(started, loop, found, asserted(_claims(found), ordinary))


def _network(config: DigitsConfig, images: ImageSet, context: Context) -> ShallowSoftHebb:
    """Returns an untrained network; its readout is not used."""
    pixels, random = images.train_images[0].numel(), stream(context.seed, Stream.WEIGHTS)
    net = ShallowSoftHebb(pixels, config.neurons, len(images.classes), generator=random)
    return net.to(context.device)


def _tests(
    name: str, net: ShallowSoftHebb, images: ImageSet, answers: Tensor | None = None
) -> Jobs:
    """Returns the test of a network, which also writes its answers to the test images."""

    def test() -> list[Record]:
        found = _answers(net, images)
        if answers is not None:
            answers.copy_(found)
        return [{"test_accuracy": _share(found, images)}]

    return Jobs(name, [test], shared=False)


def _answers(net: ShallowSoftHebb, images: ImageSet) -> Tensor:
    """Returns classes [N] of the test images, from neurons named by the training images."""
    device = net.hidden.weight.device
    train, test = (
        activations(net, of.to(device)).cpu() for of in (images.train_images, images.test_images)
    )
    names = assign_labels(train.float(), images.train_labels, len(images.classes))
    return names[test.argmax(dim=1)]


def _share(answers: Tensor, images: ImageSet) -> float:
    return accuracy(answers, images.test_labels)


def _metrics(records: Sequence[Record], net: ShallowSoftHebb) -> dict[str, float]:
    """Returns accuracies, the learned network's first, and the share of neurons that settled."""
    right = {row["phase"]: float(row["test_accuracy"]) for row in records}
    away = (net.hidden.radius() - 1).abs()
    return {
        "test_accuracy": right["test"],
        "untrained_accuracy": right["untrained"],
        "sampled_accuracy": right["sampled"],
        "settled": float((away < R1_TOLERANCE).double().mean()),
    }


def _claims(found: dict[str, float]) -> list[Claim]:
    learned = found["test_accuracy"]
    return [
        above(
            "untrained",
            "accuracy: above that of the same neurons untrained",
            learned,
            found["untrained_accuracy"],
        ),
        above(
            "sampled",
            "accuracy: above that of single images as weights",
            learned,
            found["sampled_accuracy"],
        ),
        at_least(
            "settled",
            "neurons that settled, at a length within 0.01 of 1",
            found["settled"],
            0.9,
        ),
    ]
