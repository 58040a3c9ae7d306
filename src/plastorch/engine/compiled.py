"""How kernels are compiled by numba, and what is checked before they run."""

from math import inf, isfinite
from typing import Any

import torch
from numba.core.compiler import Compiler
from torch import Tensor

from plastorch.engine.errors import InputError

REAL = (torch.float32, torch.float64)
"""Types of the numbers that kernels calculate with."""


class NoOverlap(Compiler):
    """Promises that no two arguments of a function overlap: loops that write to many arrays would
    not be vectorised otherwise, which costs a factor of three. Give it as ``pipeline_class``.
    """

    def define_pipelines(self) -> Any:
        self.state.flags.noalias = True
        return super().define_pipelines()  # type: ignore[no-untyped-call]


def check_arrays(**arrays: tuple[Any, ...]) -> None:
    """Checks what a kernel reads or writes, as compiled code doesn't check an index.

    Args:
        arrays: name and ``(array, shape, dtype)`` or ``(array, shape, dtype, low, high)`` of each:
            a tensor or a NumPy array, its expected shape, where None is any size, its type, or
            types of which it has one, and bounds of its numbers. All numbers must be finite.

    Raises:
        InputError: naming the first array that isn't as expected.

    Example:
        >>> check_arrays(membrane=(torch.zeros(1, 5), (1, 7), torch.float32))
        Traceback (most recent call last):
        ...
        plastorch.engine.errors.InputError: membrane is [1, 5]; expected [1, 7]
        >>> check_arrays(source=(torch.tensor([2, 9]), (None,), torch.int64, 0, 8))
        Traceback (most recent call last):
        ...
        plastorch.engine.errors.InputError: source goes from 2 to 9; expected 0 to 8
    """
    for name, (array, shape, dtype, *bounds) in arrays.items():
        found = tuple(array.shape)
        if len(found) != len(shape) or any(
            size not in (None, own) for own, size in zip(found, shape, strict=True)
        ):
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise InputError(f"{name} is {list(found)}; expected [{wanted}]")
        types = dtype if isinstance(dtype, tuple) else (dtype,)
        if array.dtype not in types:
            raise InputError(f"{name} is {array.dtype}; expected {' or '.join(map(str, types))}")
        tensor = array.detach() if isinstance(array, Tensor) else torch.from_numpy(array)
        if tensor.device.type != "cpu":
            raise InputError(f"{name} is on {tensor.device}; expected cpu")
        _check_numbers(name, tensor, *(bounds or (-inf, inf)))


def _check_numbers(name: str, tensor: Tensor, low: float, high: float) -> None:
    """Raises InputError unless all numbers are finite and within the bounds."""
    bounded = (low, high) != (-inf, inf)
    if tensor.numel() == 0 or not (bounded or tensor.is_floating_point()):
        return
    if not bounded and isfinite(tensor.sum()):  # one pass; a sum may also be infinite by its size
        return
    dense = tensor if tensor.is_contiguous() or tensor.dim() < 2 else tensor.mT
    smallest, largest = (number.item() for number in dense.aminmax())
    for number in (smallest, largest):
        if not isfinite(number):
            found = "NaN" if number != number else number
            raise InputError(f"{name} holds {found}; expected finite values")
    if not (low <= smallest and largest <= high):
        expected = f"{low} or more" if high == inf else f"{low} to {high}"
        raise InputError(f"{name} goes from {smallest} to {largest}; expected {expected}")
