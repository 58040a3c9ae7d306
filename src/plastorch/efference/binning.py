"""Efference copies as classes, the targets of an inverse model."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol, get_args

import torch
from torch import Tensor

from plastorch.efference.actions import (
    FACTORS,
    FULL_FACTORS,
    AudioActions,
    ImageActions,
    Kind,
    compatible,
    egocentric,
    egocentric_audio,
    full_command,
)
from plastorch.engine.errors import InputError, check_finite, check_positive

Actions = ImageActions | AudioActions

_COLOR = ("brightness", "contrast", "saturation", "hue")
_FIVE = (*_COLOR, "blur")
_BINARY = ("flip", "gray", "solarized")


@dataclass(frozen=True)
class Bins:
    """Class boundaries of each factor.

    Args:
        edges: for each factor, the smallest values of its second, third ... class, ascending. A
            factor without edges never changes: it has one class and no targets.

    Raises:
        InputError: there is no factor, or edges don't ascend.

    Example:
        >>> bins = Bins(((0.5,), (-1.0, 1.0)))
        >>> bins.encode(torch.tensor([[0.0, -2.0], [1.0, 1.0]]))
        tensor([[0, 0],
                [1, 2]])
    """

    edges: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if not self.edges:
            raise InputError("edges is (); expected those of one factor or more")
        for edges in self.edges:
            if any(not low < high for low, high in pairwise((-math.inf, *edges, math.inf))):
                raise InputError(
                    f"edges is {edges} for a factor; expected ascending, finite numbers"
                )

    @classmethod
    def quantiles(
        cls, samples: Tensor, count: int | Sequence[int] = 8, binary: tuple[int, ...] = ()
    ) -> "Bins":
        """Makes bins of equal mass.

        A value so frequent that it would fill a bin gets a bin of its own. An example is the 0 of
        two views without blur.

        Args:
            samples: efference copies [S, K].
            count: number of bins, for all factors or for each.
            binary: indices of the factors that are 0 or 1.

        Raises:
            InputError: the samples are not a matrix, not finite, or fewer than bins; a count is
                below 2; there is not one count per factor; or a binary factor does not exist.
        """
        if samples.ndim != 2 or not samples.is_floating_point():
            raise InputError(
                f"samples have shape {tuple(samples.shape)} and type {samples.dtype}; expected "
                "[S, K] numbers"
            )
        size, factors = samples.shape
        counts = (count,) * factors if isinstance(count, int) else tuple(count)
        if len(counts) != factors or not all(2 <= c <= size for c in counts):
            raise InputError(
                f"count is {count}; expected 2 to {size}, as many as samples, for {factors} factors"
            )
        if not set(binary) <= set(range(factors)):
            raise InputError(f"binary is {binary}; expected numbers of factors below {factors}")
        check_finite(samples=samples)
        columns = samples.detach().cpu().sort(dim=0).values.T
        return cls(
            tuple(
                _quantile_edges(column, c, k in binary)
                for k, (column, c) in enumerate(zip(columns, counts, strict=True))
            )
        )

    @classmethod
    def equal(cls, ranges: Sequence[tuple[float, float]], count: int = 6) -> "Bins":
        """Makes bins of equal width; values outside a range belong to the bin at its end.

        Classes are clamp(round((v - low) / (high - low) n - 1/2), 0, n - 1). Halves are rounded
        to even, so every other edge between two bins belongs to the lower one.

        Args:
            ranges: low and high of each factor.
            count: number of bins n.

        Raises:
            InputError: the count is not positive, or a range is empty.
        """
        check_positive(count=count)
        for low, high in ranges:
            if not low < high:
                raise InputError(f"range is ({low}, {high}); expected low < high")
        edges = []
        for low, high in ranges:
            inner = [low + k * (high - low) / count for k in range(1, count)]
            edges.append(
                tuple(_just_above(v) if k % 2 else v for k, v in enumerate(inner, start=1))
            )
        return cls(tuple(edges))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of classes of each factor."""
        return tuple(len(edges) + 1 for edges in self.edges)

    def encode(self, command: Tensor) -> Tensor:
        """Returns the classes of efference copies.

        Args:
            command: efference copies [B, K], or another shape with K values, such as [B, 2, 3].

        Returns:
            Classes, int64 [B, K]; -1 for factors of a single class.

        Raises:
            InputError: K is not the number of factors, or a value is not finite.
        """
        command = command.flatten(1)
        if command.shape[1] != len(self.edges):
            raise InputError(
                f"command has {command.shape[1]} numbers; expected {len(self.edges)}, one for each "
                "factor of the bins"
            )
        check_finite(command=command)
        codes = (command[:, :, None] >= self._table.to(command)).sum(dim=-1)
        single = torch.tensor([size == 1 for size in self.sizes], device=command.device)
        return codes.masked_fill(single, -1)

    @cached_property
    def _table(self) -> Tensor:
        """Returns the edges [K, E], padded with infinity."""
        most = max(self.sizes) - 1
        rows = [(*edges, *[math.inf] * (most - len(edges))) for edges in self.edges]
        return torch.tensor(rows, dtype=torch.float64)


def _just_above(value: float) -> float:
    """Returns the next larger edge that float32 can tell apart, leaving out denormals."""
    return value + max(abs(value) * 2.0**-22, 2.0**-100)


COMPATIBLE_BINS = Bins.equal([(-2.0, 2.0), (-2.0, 2.0), (-0.5, 0.5)] * 2)
"""Bins of the authors' published program: 6 for each entry of its 2 × 3 matrix."""


def command(a: Actions, b: Actions, kind: Kind) -> Tensor:
    """Returns the efference copy of a kind, from view a to b [B, K]; FACTORS[kind] names factors.

    Raises:
        InputError: the kind is unknown, or the actions are of another kind of view.
    """
    forms: dict[Kind, Callable[..., Tensor]] = {
        "egocentric": egocentric,
        "full": full_command,
        "compatible": compatible,
        "audio": egocentric_audio,
    }
    if kind not in forms:
        raise InputError(f"kind is {kind!r}; expected one of {', '.join(get_args(Kind))}")
    return forms[kind](a, b).flatten(1)


def targets(a: Actions, b: Actions, bins: Bins, kind: Kind) -> Tensor:
    """Returns the targets of an inverse model for pairs of views: the classes of each factor.

    Args:
        a: actions of the first view of B pairs.
        b: actions of the second view.
        bins: bins of this kind.
        kind: kind of efference copy.

    Returns:
        Classes, int64 [B, K]. Unknown ones are -1: all factors if a view is solarized (unless
        that is itself a factor, in "full"); brightness, contrast, saturation and hue if a view is
        gray.

    Raises:
        InputError: the kind is unknown, the actions are of another kind of view, a crop has no
            area, or the bins are of other factors.
    """
    codes = bins.encode(command(a, b, kind))
    if isinstance(a, AudioActions) or isinstance(b, AudioActions):
        return codes
    if kind == "full":
        color = torch.tensor([name in _COLOR for name in FULL_FACTORS], device=codes.device)
        return codes.masked_fill((a.gray | b.gray)[:, None] & color, -1)
    return codes.masked_fill((a.solarized | b.solarized)[:, None], -1)


class Sampler(Protocol):
    """Distribution of actions: ``ImageViews`` or ``AudioViews``."""

    def sample(self, count: int, generator: torch.Generator) -> Actions:
        """Draws the actions of ``count`` views."""


def estimate_bins(
    views: Sampler, kind: Kind, generator: torch.Generator, pairs: int = 100_000
) -> Bins:
    """Estimates bins of equal mass from random pairs; fixed bins for "compatible".

    There are 8 bins for scales and shifts, 5 for colors and blur, 6 for sounds.

    Args:
        views: distribution of actions.
        kind: kind of efference copy.
        generator: random generator on the CPU.
        pairs: number of pairs to draw.

    Raises:
        InputError: see ``targets`` and ``Bins.quantiles``.

    Example:
        >>> from plastorch.efference import CIFAR
        >>> estimate_bins(CIFAR, "egocentric", torch.Generator().manual_seed(0), 1000).sizes
        (8, 8, 2, 8, 8)
    """
    if kind == "compatible":
        return COMPATIBLE_BINS
    check_positive(pairs=pairs)
    a, b = (views.sample(pairs, generator) for _ in range(2))
    samples = command(a, b, kind)
    names = FACTORS[kind]
    counts = [6 if kind == "audio" else 5 if name in _FIVE else 8 for name in names]
    binary = tuple(k for k, name in enumerate(names) if name in _BINARY)
    return Bins.quantiles(samples, counts, binary)


def _quantile_edges(column: Tensor, count: int, binary: bool) -> tuple[float, ...]:
    """Returns bin edges of an ascending column, without edges that leave a side empty."""
    edges = {0.5} if binary else set()
    for k in range(1, 1 if binary else count):
        value = float(column[k * len(column) // count])
        edges.add(_just_above(value) if value in edges else value)
    low, high = float(column[0]), float(column[-1])
    return tuple(sorted(edge for edge in edges if low < edge <= high))
