"""Exceptions that end a command early, and the checks that most arguments need."""

import difflib
import math
import os
import stat
from collections.abc import Iterable
from importlib.util import find_spec
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class InputError(ValueError):
    """Bad input: the message names the argument, the value found and what was expected."""


class Interrupted(Exception):
    """Stop by the user; the run folder can be resumed."""


class WorkerLost(Exception):
    """Loss of another worker, without which the rest of the job can't continue."""


def check_positive(**arguments: float) -> None:
    """Raises InputError naming the first argument that is not a finite number above 0."""
    for name, value in arguments.items():
        if not isinstance(value, Real):
            raise InputError(f"{name} is {value!r}; expected a number above 0")
        if not value > 0:
            raise InputError(f"{name} is {value}; expected more than 0")
        if value == math.inf:
            raise InputError(f"{name} is {value}; expected a finite number")


def check_counts(least: int = 1, **arguments: object) -> None:
    """Raises InputError naming the first argument that is not a whole number from ``least`` on."""
    for name, value in arguments.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise InputError(f"{name} is {value!r}; expected a whole number, {least} or more")


def check_finite(**arguments: "Tensor") -> None:
    """Raises InputError naming the first tensor with a value that is NaN or infinite.

    It waits for the tensor's device: use it in evaluation, not in each step of training.
    """
    for name, values in arguments.items():
        if not values.isfinite().all():
            raise InputError(f"NaN or infinite values in {name}; expected finite ones")


def check_names(argument: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raises InputError if there are no names, or an unknown one; it suggests the nearest."""
    given, known = list(given), list(known)
    unknown = [name for name in given if name not in known]
    if unknown or not given:
        hint = did_you_mean(unknown[0], known) if unknown else ""
        raise InputError(f"{argument} are {given}; expected some of {known}{hint}")


def check_one_of(choices: Iterable[object], **arguments: object) -> None:
    """Raises InputError naming the first argument that is not one of the choices."""
    choices = list(choices)
    for name, value in arguments.items():
        if value not in choices:
            listed = f"{'one of ' * (len(choices) > 1)}{', '.join(map(str, choices))}"
            hint = did_you_mean(str(value), map(str, choices))
            raise InputError(f"{name} is {value!r}; expected {listed}{hint}")


def require(package: str, extra: str) -> None:
    """Raises InputError naming plastorch's extra unless a package is installed; imports nothing."""
    if find_spec(package) is None:
        raise InputError(f'{package} is missing; expected: pip install "plastorch[{extra}]"')


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Returns a suggestion for a word as the end of a message; empty if no choice is near."""
    near = difflib.get_close_matches(str(word)[:100], list(choices), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def check_file(path: Path, expected: str) -> None:
    """Raises InputError unless a regular file exists: opening a pipe, say, would wait forever."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise InputError(f"{path} is missing; expected {expected}") from None
    except (OSError, ValueError) as error:  # ValueError: NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: {reason}; expected {expected}") from None
    if not stat.S_ISREG(mode):
        found = "Is a directory" if stat.S_ISDIR(mode) else "Not a regular file"
        raise InputError(f"{path}: {found}; expected {expected}")
