"""A key of records: its kind, its statistics, its share of the neurons."""

from dataclasses import dataclass
from math import isfinite
from typing import Literal, get_args

from plastorch.engine.errors import InputError, check_one_of, check_positive

Kind = Literal["category", "number", "cycle", "set", "path"]
KINDS: tuple[str, ...] = get_args(Kind)

FARTHEST = 2.0**52
"""Largest distance of a number from the center, in widths; larger ones are clipped to it."""


@dataclass(frozen=True)
class Key:
    """A key of records, and what the training records tell about it.

    Args:
        name: name of the key.
        kind: how two values are compared; see :func:`plastorch.files.similarity.similarity`.
        neurons: number of input neurons n_m.
        center: median of a number (of its logarithm, if ``log``) in training.
        scale: interquartile range of a number in training.
        width: distance at which two values have nothing in common any more: of a number in scales;
            of a cycle, its period divided by a whole number of at least 2.
        log: whether log(1 + v) replaces a number v; values below 0 count as 0.
        period: period of a cycle.
        depth: number of path components that count; a whole path counts all.
        exact: whether half of the neurons of a number tell exact values apart, as those of a
            category do.

    Raises:
        InputError: a value is out of range.

    Example:
        >>> from dataclasses import asdict
        >>> key = Key("hour", "cycle", 20, period=24, width=6)
        >>> Key(**asdict(key)) == key, key.cells
        (True, 4)
    """

    name: str
    kind: Kind
    neurons: int
    center: float = 0.0
    scale: float = 1.0
    width: float = 1.0
    log: bool = False
    period: float = 0.0
    depth: int = 0
    exact: bool = False

    def __post_init__(self) -> None:
        check_one_of(KINDS, kind=self.kind)
        for name in ("neurons", "depth"):
            if type(getattr(self, name)) is not int:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected a whole number")
        for name in ("center", "scale", "width", "period"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not isfinite(value):
                raise InputError(f"{name} is {value!r}; expected a finite number")
        check_positive(neurons=self.neurons, scale=self.scale, width=self.width)
        if type(self.exact) is not bool:
            raise InputError(f"exact is {self.exact!r}; expected True or False")
        if self.exact and self.kind != "number":
            raise InputError(f"exact is {self.exact} of a {self.kind}; expected it of a number")
        if self.kind == "path":
            check_positive(depth=self.depth)
        if self.kind == "cycle":
            check_positive(period=self.period)
            if not self.period / self.width < FARTHEST:
                raise InputError(
                    f"width is {self.width}; expected a part of {self.period}, not so small"
                )
            if self.cells < 2 or abs(self.cells * self.width - self.period) > 1e-9 * self.period:
                raise InputError(
                    f"width is {self.width}; expected a half, third, … of the period {self.period}"
                )

    @property
    def cells(self) -> int:
        """Number of widths in a cycle's period; 0 for other kinds."""
        return round(self.period / self.width) if self.kind == "cycle" else 0

    @property
    def exact_neurons(self) -> int:
        """Number of neurons, the last ones, that tell exact values of a number apart."""
        return self.neurons // 2 if self.exact else 0
