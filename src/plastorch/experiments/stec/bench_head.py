"""Cost of efference copies: a training step with the inverse model against one without."""

from collections.abc import Callable

import torch

from plastorch.bench.timing import Row, interleaved, row
from plastorch.efference import (
    CIFAR,
    Bins,
    Learner,
    Pretraining,
    SimCLR,
    Sources,
    Training,
    Weights,
    estimate_bins,
    small_resnet,
)
from plastorch.engine.streams import stream

BATCH = 256


def head_overhead(
    batch: int = BATCH, width: int = 32, rounds: int = 12, bfloat16: bool = True
) -> Row:
    """Measures a step of SimCLR on 32 x 32 images, from views to parameters, with and without it.

    Args:
        batch: number of images, each in two views.
        width: width of the small ResNet.
        rounds: number of timed steps per side.
        bfloat16: whether encoder and heads compute in bfloat16.

    Returns:
        A row whose own side is the step with the inverse model in both directions; ``overhead``
        is the share by which it takes longer.

    Example:
        >>> head_overhead(batch=8, width=2, rounds=1)["name"]
        'head'
    """
    bins = estimate_bins(CIFAR, "egocentric", stream(0))
    whole, bare = (
        _step(bins, weight, batch, width=width, bfloat16=bfloat16) for weight in (1.0, 0.0)
    )
    seconds = interleaved(whole, bare, rounds)
    words = f"the same step without the inverse model; {batch} images, two views each"
    overhead = round(seconds[0] / seconds[1] - 1, 4)
    return row("head", seconds[0], words, seconds[1], overhead=overhead, bfloat16=bfloat16)


def _step(
    bins: Bins, weight: float, batch: int, *, width: int, bfloat16: bool
) -> Callable[[], object]:
    """Returns an update of a method whose inverse model has this weight."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = small_resnet(width)
        method = SimCLR(encoder, encoder.features, bins.sizes, Weights(2.0, weight))
        learner = Learner(method, encoder.features, classes=10)
    images = torch.randint(0, 256, (batch, 3, 32, 32), dtype=torch.uint8, generator=stream(1))
    sources = Sources(images, torch.arange(batch) % 10)
    training = Training(10**6, batch, every=1, learning_rate=0.01, bfloat16=bfloat16)
    return Pretraining("head", learner, sources, CIFAR, training, copies=bins).step
