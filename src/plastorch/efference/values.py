"""Efference copies as numbers, and rotations: the targets of heads beside the inverse model."""

from dataclasses import dataclass

import torch
from torch import Tensor

from plastorch.efference.actions import Views, on
from plastorch.efference.copies import FACTORS, Actions, Kind, command
from plastorch.engine.errors import InputError, check_one_of, check_positive


@dataclass(frozen=True)
class Values:
    """Efference copies as numbers, (c - mean) / scale.

    Args:
        kind: kind of efference copy.
        mean: mean of each factor.
        scale: standard deviation of each factor.

    Raises:
        InputError: the kind is unknown, or mean or scale are not of its factors.

    Example:
        >>> from plastorch.efference import CIFAR
        >>> values = estimate_values(CIFAR, "differences", torch.Generator().manual_seed(0), 1000)
        >>> a, b = CIFAR.sample(4), CIFAR.sample(4)
        >>> values.factors[:4], values.targets(a, b).shape
        (('center_x', 'center_y', 'width', 'height'), torch.Size([4, 8]))
    """

    kind: Kind
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    def __post_init__(self) -> None:
        check_one_of(FACTORS, kind=self.kind)
        counts = {len(self.mean), len(self.scale), len(self.factors)}
        if len(counts) > 1 or not min(self.scale) > 0:
            raise InputError(
                f"mean is {self.mean} and scale {self.scale}; expected {len(self.factors)} numbers "
                "each, and scales above 0"
            )

    @property
    def factors(self) -> tuple[str, ...]:
        """Names of the factors."""
        return FACTORS[self.kind]

    @property
    def sizes(self) -> tuple[int, ...]:
        """One number for each factor."""
        return (1,) * len(self.factors)

    def targets(self, a: Actions, b: Actions) -> Tensor:
        """Returns the efference copies from views a to views b [B, K].

        Raises:
            InputError: the actions are of another kind of view, or a crop has no area.
        """
        found = command(a, b, self.kind)
        mean, scale = (on(torch.tensor(of), found.device) for of in (self.mean, self.scale))
        return (found - mean.to(found)) / scale.to(found)


@dataclass(frozen=True)
class Rotations:
    """Rotations by quarters of a turn: source r by r mod 4, as sources come in random order.

    Example:
        >>> from plastorch.efference import CIFAR
        >>> actions = CIFAR.sample(6)
        >>> Rotations().targets(actions, actions)[:, 0]
        tensor([0, 1, 2, 3, 0, 1])
    """

    factors: tuple[str, ...] = ("rotation",)
    sizes: tuple[int, ...] = (4,)

    def targets(self, a: Actions, b: Actions) -> Tensor:
        """Returns the quarters by which a view of each source is turned, int64 [B, 1]."""
        return torch.arange(len(a[0]), device=a[0].device)[:, None] % 4


def estimate_values(
    views: Views, kind: Kind, generator: torch.Generator | None = None, pairs: int = 100_000
) -> Values:
    """Estimates mean and standard deviation of each factor from random pairs of views.

    Args:
        views: distribution of views.
        kind: kind of efference copy.
        generator: random generator on the CPU; torch's global one if None.
        pairs: number of pairs.

    Raises:
        InputError: the kind is unknown, or ``pairs`` is not positive.
    """
    check_positive(pairs=pairs)
    check_one_of(FACTORS, kind=kind)
    a, b = (views.sample(pairs, generator) for _ in range(2))
    samples = command(a, b, kind).double()
    scale = samples.std(dim=0, correction=0)
    scale = torch.where(scale > 1e-6, scale, 1.0)  # a factor that never changes stays 0
    return Values(kind, tuple(samples.mean(dim=0).tolist()), tuple(scale.tolist()))
