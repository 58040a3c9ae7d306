"""Presets: settings that take the place of an experiment's defaults."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any


def replace_defaults(config: Any, preset: Mapping[str, Any]) -> None:
    """Gives settings that are at their default the values of a preset, in place.

    Args:
        config: a frozen dataclass, in its ``__post_init__``.
        preset: values by the names of settings.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Settings:
        ...     width: int = 1
        ...     depth: int = 1
        ...
        ...     def __post_init__(self) -> None:
        ...         replace_defaults(self, {"width": 2, "depth": 2})
        >>> Settings(depth=5)
        Settings(width=2, depth=5)
    """
    defaults = {field.name: field.default for field in fields(config)}
    for name, value in preset.items():
        if getattr(config, name) == defaults[name]:
            object.__setattr__(config, name, value)
