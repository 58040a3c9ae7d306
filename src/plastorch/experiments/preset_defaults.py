"""Common base of all experiments' settings: checks of types and ranges, and presets."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin, get_type_hints

from plastorch.engine.errors import InputError, check_one_of


@dataclass(frozen=True)
class Range:
    """Range of numbers that a setting accepts.

    Args:
        above: whether the lower bound itself is excluded.
        below: whether the upper bound itself is excluded.
    """

    least: float
    most: float
    above: bool = False
    below: bool = False

    def __contains__(self, value: float) -> bool:
        low = self.least < value if self.above else self.least <= value
        return low and (value < self.most if self.below else value <= self.most)

    def __str__(self) -> str:
        if not (self.above or self.below):
            return f"{self.least:,} to {self.most:,}"
        low = f"{'more than' if self.above else 'at least'} {self.least:,}"
        return f"{low} and {'below' if self.below else 'at most'} {self.most:,}"


Count = Annotated[int, Range(1, 10**9)]
CountOrZero = Annotated[int, Range(0, 10**9)]
Repeats = Annotated[int, Range(1, 10_000)]
"""Number of items that are listed before they are run."""
Size = Annotated[int, Range(1, 10**6)]
"""Size of a layer or batch."""
Pairs = Annotated[int, Range(1, 1000)]
"""Pairs of phase-change devices per weight."""
Processes = Annotated[int, Range(1, 1000)]
ProcessesOrNone = Annotated[int, Range(0, 1000)]
"""Number of processes side by side."""
Rate = Annotated[float, Range(0, 100, above=True)]
"""Learning rate."""
Positive = Annotated[float, Range(0, 10**6, above=True)]
Weight = Annotated[float, Range(0, 10**6)]
"""Weight of a part of a loss."""
Share = Annotated[float, Range(0, 1)]
PositiveShare = Annotated[float, Range(0, 1, above=True)]
Fraction = Annotated[float, Range(0, 1, below=True)]


@dataclass(frozen=True)
class Settings:
    """Base class of an experiment's settings: a frozen dataclass whose fields all have defaults.

    Each value must have its field's type, and be in the :class:`Range` that annotates it.

    Example:
        >>> @dataclass(frozen=True)
        ... class Own(Settings):
        ...     epochs: Count = 10
        ...     rate: Rate = 0.1
        ...
        ...     def preset_settings(self) -> dict[str, Any]:
        ...         return {"rate": 0.5}
        >>> Own(epochs=5), Own(rate=0.1)
        (Own(epochs=5, rate=0.5), Own(epochs=10, rate=0.1))
        >>> Own(epochs=0)
        Traceback (most recent call last):
        ...
        plastorch.engine.errors.InputError: epochs is 0; expected 1 to 1,000,000,000
    """

    def __new__(cls, *args: Any, **given: Any) -> Self:
        """Remembers the given settings: a preset leaves them alone, even if they equal defaults."""
        self = super().__new__(cls)
        names = [field.name for field in fields(cls)]
        object.__setattr__(self, "_given", {*names[: len(args)], *given})
        return self

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self), include_extras=True)
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if isinstance(value, list):  # from JSON
                object.__setattr__(self, name, tuple(value))
            check_setting(name, getattr(self, name), hints[name])
        for name, value in self.preset_settings().items():
            if not self.given(name):
                object.__setattr__(self, name, value)

    def given(self, name: str) -> bool:
        """Returns whether a setting was given, so that a preset leaves it alone."""
        return name in vars(self)["_given"]

    def preset_settings(self) -> Mapping[str, Any]:
        """Returns the preset's values by name, which replace defaults."""
        return {}

    def plain(self) -> dict[str, Any]:
        """Returns all settings as values for JSON."""
        values = asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def check_setting(name: str, value: Any, hint: Any) -> None:
    """Raises InputError if a value has another type, or is outside the range that annotates it."""
    origin, kinds = get_origin(hint), get_args(hint)
    if origin is Annotated:
        check_setting(name, value, kinds[0])
        for allowed in (mark for mark in kinds[1:] if isinstance(mark, Range)):
            if value not in allowed:
                raise InputError(f"{name} is {value}; expected {allowed}")
    elif origin in (Union, UnionType):
        if value is not None or NoneType not in kinds:
            check_setting(name, value, next(kind for kind in kinds if kind is not NoneType))
    elif origin is tuple and isinstance(value, tuple):
        for each in value:
            check_setting(f"one of {name}", each, kinds[0])
    elif origin is Literal:
        check_one_of(kinds, **{name: value})
    elif not _is(value, hint):
        raise InputError(f"{name} is {repr(value)[:100]}; expected {_WORDS.get(hint, 'a list')}")


_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "text that is not empty",
}


def _is(value: Any, hint: Any) -> bool:
    """Whether a value is of a plain type; an empty string is not."""
    if hint is float:
        return type(value) in (int, float)
    return type(value) is hint and value != ""
