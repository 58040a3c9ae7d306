"""Compilation of kernels by numba, and checks of their arguments before they run."""

from functools import partial
from math import inf, isfinite, isnan
from typing import Any

import numpy as np
import torch
from numba import njit
from numba.core.compiler import Compiler
from torch import Tensor

from plastorch.engine.errors import InputError

kernel: Any = partial(njit, cache=True, nogil=True, error_model="numpy", _nrt=True)
"""Compiles a function that lets other threads run, divides as NumPy does, and is kept on disk."""

UNCOUNTED = {"_nrt": False}
"""Option of functions that neither make nor return arrays: they count no references to arrays,
which otherwise takes half of the time of short loops."""


@kernel
def copy_part(source, target):  # type: ignore[no-untyped-def]
    """Copies what two matrices have in common, from their first rows and columns on. Slices would
    take seconds to compile."""
    for i in range(min(len(source), len(target))):
        for j in range(min(source.shape[1], target.shape[1])):
            target[i, j] = source[i, j]


class NoOverlap(Compiler):
    """Assumes that no two arguments of a function overlap, if used as ``pipeline_class``.

    Without it, loops that write to many arrays aren't vectorized, and take three times as long.
    """

    def define_pipelines(self) -> Any:
        self.state.flags.noalias = True
        return super().define_pipelines()  # type: ignore[no-untyped-call]


vector_kernel: Any = partial(
    kernel, pipeline_class=NoOverlap, fastmath={"reassoc", "contract", "nsz"}
)
"""Compiles a function whose arguments don't overlap, and whose sums may be taken in any order."""
ordered_kernel: Any = partial(kernel, pipeline_class=NoOverlap, fastmath={"contract", "nsz"})
"""Compiles a function whose arguments don't overlap, and whose sums keep their order."""


def check_arrays(**arrays: tuple[Any, ...]) -> None:
    """Raises InputError naming the first wrong array of a kernel, whose code checks no index.

    Args:
        arrays: name and ``(array, shape, dtype)`` or ``(array, shape, dtype, low, high)`` of each:
            a tensor or a NumPy array; its shape, with None for any size; its dtype, or several;
            and bounds of its numbers. All numbers must be finite.
    """
    for name, (array, shape, dtype, *bounds) in arrays.items():
        if array.shape != shape:
            _check_shape(name, array.shape, shape)
        types = dtype if isinstance(dtype, tuple) else (dtype,)
        if array.dtype not in types:
            raise InputError(f"{name} is {array.dtype}; expected {' or '.join(map(str, types))}")
        if isinstance(array, Tensor) and not array.is_cpu:
            raise InputError(f"{name} is on {array.device}; expected cpu")
        _check_numbers(name, array, *bounds)


def check_constants(dtype: torch.dtype, **constants: float) -> None:
    """Raises InputError naming the first constant that isn't finite in the dtype of the arrays."""
    most = torch.finfo(dtype).max
    for name, constant in constants.items():
        if not abs(constant) <= most:
            raise InputError(f"{name} is {constant}; expected at most {most:.2g} either way")


def _check_shape(name: str, found: tuple[int, ...], expected: tuple[int | None, ...]) -> None:
    """Raises InputError unless all sizes match, except those that may be any."""
    same = len(found) == len(expected) and all(
        size in (None, own) for own, size in zip(found, expected, strict=True)
    )
    if not same:
        wanted = ", ".join("any" if size is None else str(size) for size in expected)
        raise InputError(f"{name} is {list(found)}; expected [{wanted}]")


def _check_numbers(name: str, array: Any, low: float = -inf, high: float = inf) -> None:
    """Raises InputError unless all numbers are finite and within the bounds."""
    ends = _ends(array, bounded=low > -inf or high < inf)
    for number in ends:
        if not isfinite(number):
            found = "NaN" if isnan(number) else number
            raise InputError(f"{name} holds {found}; expected finite values")
    if ends and not low <= ends[0] <= ends[1] <= high:
        expected = f"{low} or more" if high == inf else f"{low} to {high}"
        raise InputError(f"{name} goes from {ends[0]} to {ends[1]}; expected {expected}")


def _ends(array: Any, bounded: bool) -> tuple[float, ...]:
    """Returns the smallest and the largest number, or NaN; empty if they need no check."""
    if isinstance(array, np.ndarray):
        needed = array.size > 0 and (bounded or array.dtype.kind == "f")
        return (array.min().item(), array.max().item()) if needed else ()
    array = array.detach()
    if array.numel() == 0 or not (bounded or array.is_floating_point()):
        return ()
    if not bounded and isfinite(array.sum()):  # one pass; large numbers may sum to infinity
        return ()
    dense = array if array.is_contiguous() or array.dim() < 2 else array.mT
    return tuple(end.item() for end in dense.aminmax())
