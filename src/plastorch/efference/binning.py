"""Efference copies as classes: what an inverse model has to tell."""

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

_COLOUR = ("brightness", "contrast", "saturation", "hue")
_FIVE = (*_COLOUR, "blur")
_BINARY = ("flip", "gray", "solarised")


@dataclass(frozen=True)
class Bins:
    """Where each factor's classes begin.

    Args:
        edges: for each factor, the smallest values of its second, third ... class, ascending. A
            factor without any is one that never changes: it has one class and no targets.

    Raises:
        InputError: if there is no factor, or edges don't ascend.

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
        """Bins of equal mass.

        A value so frequent that it would fill a bin, such as the 0 of two views that are both not
        blurred, becomes a bin of its own.

        Args:
            samples: efference copies [S, K].
            count: of bins, for all factors or for each.
            binary: numbers of the factors that are 0 or 1.

        Raises:
            InputError: if the samples are no matrix, not finite, or fewer than bins; if a
                count is below 2 or there isn't one per factor; if there is no such binary factor.
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
        """Bins of equal width; values outside a range are of the bin at its end.

        They are those of clamp(round((v - low) / (high - low) n - 1/2), 0, n - 1), where halves go
        to the even number: of the edges between two bins, every other one is of the lower bin.

        Args:
            ranges: low and high of each factor.
            count: n.

        Raises:
            InputError: if the count is not positive or a range is empty.
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
        """Classes of each factor."""
        return tuple(len(edges) + 1 for edges in self.edges)

    def encode(self, command: Tensor) -> Tensor:
        """Classes of efference copies.

        Args:
            command: [B, K], or of another shape with K numbers, such as [B, 2, 3].

        Returns:
            int64 [B, K]; -1 for factors of a single class.

        Raises:
            InputError: if K is not the number of factors, or something is infinite or not a number.
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
        """Edges [K, E], filled up with infinity."""
        most = max(self.sizes) - 1
        rows = [(*edges, *[math.inf] * (most - len(edges))) for edges in self.edges]
        return torch.tensor(rows, dtype=torch.float64)


def _just_above(value: float) -> float:
    """The next edge that single precision, denormal numbers aside, tells from this one."""
    return value + max(abs(value) * 2.0**-22, 2.0**-100)


COMPATIBLE_BINS = Bins.equal([(-2.0, 2.0), (-2.0, 2.0), (-0.5, 0.5)] * 2)
"""Of the authors' published program: 6 for each entry of its 2 × 3 matrix."""


def command(a: Actions, b: Actions, kind: Kind) -> Tensor:
    """The efference copy of a kind, from view a to view b [B, K]; its factors are FACTORS[kind].

    Raises:
        InputError: if the kind is unknown, or the actions are no such views' parameters.
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
    """What an inverse model has to tell of pairs of views: the classes of each factor.

    Args:
        a: of the first view of B pairs.
        b: of the second view.
        bins: of the kind.
        kind: of the efference copy.

    Returns:
        int64 [B, K]; -1 where there is nothing to tell: all factors if a view is solarised, unless
        that is itself a factor ("full"); brightness, contrast, saturation and hue if a view is
        gray.

    Raises:
        InputError: if the kind is unknown, the actions are no such views' parameters, a crop has no
            area, or the bins are of other factors.
    """
    codes = bins.encode(command(a, b, kind))
    if isinstance(a, AudioActions) or isinstance(b, AudioActions):
        return codes
    if kind == "full":
        colour = torch.tensor([name in _COLOUR for name in FULL_FACTORS], device=codes.device)
        return codes.masked_fill((a.gray | b.gray)[:, None] & colour, -1)
    return codes.masked_fill((a.solarised | b.solarised)[:, None], -1)


class Sampler(Protocol):
    """What draws actions: ``ImageViews`` or ``AudioViews``."""

    def sample(self, count: int, generator: torch.Generator) -> Actions:
        """Actions of ``count`` views."""


def estimate_bins(
    views: Sampler, kind: Kind, generator: torch.Generator, pairs: int = 100_000
) -> Bins:
    """Bins of equal mass for the pairs that a sampler draws; the fixed ones if "compatible".

    There are 8 for scales and shifts, 5 for colours and blur, 6 for sounds.

    Args:
        views: what draws actions.
        kind: of the efference copy.
        generator: of random numbers, on the CPU.
        pairs: to draw.

    Raises:
        InputError: as ``targets`` and ``Bins.quantiles``.

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
    """Edges of an ascending column's bins, without those that nothing is below or above."""
    edges = {0.5} if binary else set()
    for k in range(1, 1 if binary else count):
        value = float(column[k * len(column) // count])
        edges.add(_just_above(value) if value in edges else value)
    low, high = float(column[0]), float(column[-1])
    return tuple(sorted(edge for edge in edges if low < edge <= high))
