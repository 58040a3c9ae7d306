"""Efference copies as classes, the targets of an inverse model."""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from plastorch.efference.actions import AudioActions, Views, on
from plastorch.efference.copies import FACTORS, Actions, Kind, command
from plastorch.engine.errors import InputError, check_finite, check_one_of, check_positive

_COLORS = ("brightness", "contrast", "saturation", "hue")
_FIVE = (*_COLORS, "blur")
_BINARY = ("flip", "gray", "solarized")


@dataclass(frozen=True)
class Bins:
    """Class boundaries of each factor.

    Args:
        edges: for each factor, the smallest values of its second, third ... class, ascending. A
            factor without edges never changes: it has one class and no targets.
        kind: kind of efference copy; None if :meth:`targets` isn't needed.

    Raises:
        InputError: there is no factor, or edges don't ascend.

    Example:
        >>> bins = Bins(((0.5,), (-1.0, 1.0)))
        >>> bins.encode(torch.tensor([[0.0, -2.0], [1.0, 1.0]]))
        tensor([[0, 0],
                [1, 2]])
    """

    edges: tuple[tuple[float, ...], ...]
    kind: Kind | None = None

    def __post_init__(self) -> None:
        if not self.edges:
            raise InputError("edges is (); expected those of one factor or more")
        for edges in self.edges:
            if any(not low < high for low, high in pairwise((-math.inf, *edges, math.inf))):
                raise InputError(
                    f"edges is {edges} for a factor; expected ascending, finite numbers"
                )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of classes of each factor."""
        return tuple(len(edges) + 1 for edges in self.edges)

    @property
    def factors(self) -> tuple[str, ...]:
        """Names of the factors, or their numbers if the kind is None."""
        return FACTORS[self.kind] if self.kind else tuple(map(str, range(len(self.edges))))

    def targets(self, a: Actions, b: Actions) -> Tensor:
        """Returns the targets of an inverse model for pairs of views: the classes of each factor.

        Args:
            a: actions of the first view of B pairs.
            b: actions of the second view.

        Returns:
            Classes, int64 [B, K], -1 where unknown: all factors if a view is solarized (unless
            that is itself a factor, in "full"); brightness, contrast, saturation and hue if a view
            is gray.

        Raises:
            InputError: the kind is None, the actions are of another kind of view, or a crop has no
                area.
        """
        check_one_of(FACTORS, kind=self.kind)
        assert self.kind is not None
        codes = self.encode(command(a, b, self.kind))
        if isinstance(a, AudioActions) or isinstance(b, AudioActions):
            return codes
        if self.kind != "full":
            codes = codes.masked_fill((a.solarized | b.solarized)[:, None], -1)
        of_color = on(self._of_color, codes.device)
        return codes.masked_fill((a.gray | b.gray)[:, None] & of_color, -1)

    def encode(self, command: Tensor) -> Tensor:
        """Returns the classes of efference copies.

        Args:
            command: efference copies [B, K], or another shape with K values, such as [B, 2, 3].

        Returns:
            Classes, int64 [B, K]; -1 for factors of a single class.

        Raises:
            InputError: K is not the number of factors, or a value on the CPU is not finite.
        """
        command = command.flatten(1)
        if command.shape[1] != len(self.edges):
            raise InputError(
                f"command has {command.shape[1]} numbers; expected {len(self.edges)}, one for each "
                "factor of the bins"
            )
        if command.device.type == "cpu":
            check_finite(command=command)
        edges = on(self._table.to(command.dtype), command.device)
        return (command[:, :, None] >= edges).sum(dim=-1) - on(self._single, command.device)

    @cached_property
    def _table(self) -> Tensor:
        """Returns the edges [K, E], padded with infinity."""
        most = max(self.sizes) - 1
        rows = [(*edges, *[math.inf] * (most - len(edges))) for edges in self.edges]
        return torch.tensor(rows, dtype=torch.float64)

    @cached_property
    def _of_color(self) -> Tensor:
        """Returns whether a factor is a color, which gray views don't show [K]."""
        return torch.tensor([name in _COLORS for name in self.factors])

    @cached_property
    def _single(self) -> Tensor:
        """Returns 1 for factors of a single class, else 0 [K]."""
        return torch.tensor([int(size == 1) for size in self.sizes])


def estimate_bins(
    views: Views, kind: Kind, generator: torch.Generator | None = None, pairs: int = 100_000
) -> Bins:
    """Estimates bins of equal mass from random pairs; fixed bins for "compatible".

    There are 8 bins for scales and shifts, 5 for colors and blur, 6 for sounds.

    Args:
        views: distribution of actions.
        kind: kind of efference copy.
        generator: random generator on the CPU; torch's global one if None.
        pairs: number of pairs to draw.

    Raises:
        InputError: the kind is unknown or of other views, or ``pairs`` is not positive.

    Example:
        >>> from plastorch.efference import CIFAR
        >>> estimate_bins(CIFAR, "egocentric", torch.Generator().manual_seed(0), 1000).sizes
        (8, 8, 2, 8, 8)
    """
    if kind == "compatible":
        return COMPATIBLE_BINS
    check_positive(pairs=pairs)
    a, b = (views.sample(pairs, generator) for _ in range(2))
    samples, edges = command(a, b, kind), []
    for name, values in zip(FACTORS[kind], samples.T, strict=True):
        count = 6 if kind == "audio" else 5 if name in _FIVE else 8
        edges.append(quantile_edges(values, 2 if name in _BINARY else count))
    return Bins(tuple(edges), kind)


def equal_edges(low: float, high: float, count: int = 6) -> tuple[float, ...]:
    """Returns the edges of bins of equal width; values outside belong to the nearest bin.

    Classes are clamp(round((v - low) / (high - low) n - 1/2), 0, n - 1). Halves are rounded to
    even, so every other edge between two bins belongs to the lower one.
    """
    inner = (low + k * (high - low) / count for k in range(1, count))
    return tuple(_just_above(v) if k % 2 else v for k, v in enumerate(inner, start=1))


def quantile_edges(values: Tensor, count: int) -> tuple[float, ...]:
    """Returns edges of bins of equal mass of values [S]; of two bins, if values are 0 or 1.

    A value so frequent that it would fill a bin gets a bin of its own, such as the 0 of two views
    without blur. Edges that leave a side empty are left out.
    """
    values = values.sort().values
    edges = {0.5} if count == 2 else set()
    for k in range(1, 1 if count == 2 else count):
        value = float(values[k * len(values) // count])
        edges.add(_just_above(value) if value in edges else value)
    low, high = float(values[0]), float(values[-1])
    return tuple(sorted(edge for edge in edges if low < edge <= high))


def _just_above(value: float) -> float:
    """Returns the next larger edge that float32 can tell apart, leaving out denormals."""
    return value + max(abs(value) * 2.0**-22, 2.0**-100)


COMPATIBLE_BINS = Bins(
    (equal_edges(-2.0, 2.0), equal_edges(-2.0, 2.0), equal_edges(-0.5, 0.5)) * 2, "compatible"
)
"""Bins of the authors' published program: 6 for each entry of its 2 × 3 matrix."""
