"""Recognition of digits in streams, frame by frame, without reset or labels."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from plastorch.data.tasks.streams import Transforms, film, presentations
from plastorch.engine.errors import check_positive
from plastorch.engine.streams import stream
from plastorch.spiking.shortterm.streams import Film

Classify = Callable[[Tensor, Any], tuple[Tensor, Any]]
"""Function from frames [T, S, D] and a state, None at first, to scores [T, S, C] and a state."""


class Digits(NamedTuple):
    """Labeled images."""

    images: Tensor
    """Images in [0, 1], float [N, H, H]."""
    labels: Tensor
    """Labels, int64 [N]."""

    def first(self, count: int) -> "Digits":
        """Returns the first ones."""
        return Digits(self.images[:count], self.labels[:count])


def recognize(
    classify: Classify,
    digits: Digits,
    transforms: Transforms,
    *,
    streams: int,
    path: tuple[int, ...],
) -> Tensor:
    """Returns which frames a network gets right without reset or labels, bool [P, frames, S].

    The S streams show each image once. ``path`` is the random seed of order, textures and noise,
    and identifies the random stream.
    """
    return followed(classify, shown(digits, transforms, streams=streams, path=path))


@torch.no_grad()
def followed(classify: Classify, films: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Returns which frames a network gets right, as :func:`recognize` does, of given presentations:
    frames [T, S, D] and labels [S] of each."""
    right, state = [], None
    for x, labels in films:
        scores, state = classify(x, state)
        right.append(scores.argmax(2) == labels)
    return torch.stack(right)


def shown(
    digits: Digits, transforms: Transforms, *, streams: int, path: tuple[int, ...]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields frames [T, S, D] and labels [S] of each presentation; see :func:`recognize`."""
    order = presentations(len(digits.labels), streams, stream(*path, Film.ORDER))
    frames = film(digits.images, order, transforms, stream(*path, Film.FRAMES))
    for row, x in zip(order, frames, strict=True):
        yield x.flatten(2), digits.labels[row.to(digits.labels.device)]


def smoothed(classify: Classify, tau: float) -> Classify:
    """Returns a classifier: the moving average of class posteriors over ``tau`` frames."""
    check_positive(tau=tau)
    kept = math.exp(-1 / tau)

    def of_frames(x: Tensor, state: Any) -> tuple[Tensor, Any]:
        inner, mean = (None, None) if state is None else state
        scores, inner = classify(x, inner)
        means = []
        for posterior in scores.softmax(-1):
            mean = posterior if mean is None else torch.lerp(posterior, mean, kept)
            means.append(mean)
        return torch.stack(means), (inner, mean)

    return of_frames
