"""Damages the arguments of functions that end in compiled kernels, case by case, and calls them.

A kernel that leaves its arrays kills its process, so cases run in one of their own, as
``test_kernels.py`` starts it. With ``NUMBA_BOUNDSCHECK=1`` such a step is an IndexError instead,
which names the case that took it.

To add a wrapper, write a function into a file in ``tests/hostile/kernels`` (one file per room):
each public one there takes a :class:`Hostile` and calls the wrapper once, with arguments of which
something doesn't fit, and returns what should be finite::

    def respond(hostile: Hostile) -> object:
        layer, events = new_layer(), some_events()
        state = hostile.damaged(layer.initial_state())
        return layer.respond(events, 0.1, state)

Damage is by chance, as a seed says. A case passes if it returns finite numbers or raises
InputError; what :meth:`Hostile.tampered` is refused by torch's ``load_state_dict`` passes too.
A case again, with its traceback: ``python tests/hostile/kernel_fuzz.py FILE NAME SEED``.
"""

import contextlib
import random
import runpy
import sys
import traceback
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from plastorch.engine.errors import InputError

NUMBERS = [float("nan"), float("inf"), -float("inf"), -1.0, 0.0, -1e30, 1e30, 1e300, 1e-300, 0.5]
FILLINGS = [float("nan"), float("inf"), -float("inf"), -1.0, 0.0, -1e9, 1e9, 1e-300, 0.5]
"""Of tensors: no finite ones whose sums and squares can't but be infinite."""
INTEGERS = [-1, -(2**31), -(2**63), 2**62, 2**63 - 1, 10**6, 0, 1]
DTYPES = [
    torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64,
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
]  # fmt: skip


class Refused(Exception):
    """torch itself doesn't load a tampered state."""


class Hostile:
    """A source of damage.

    Args:
        name: of the function.
        seed: of the case.
    """

    def __init__(self, name: str, seed: int) -> None:
        self.random = random.Random(f"{name} {seed}")
        self.torch = torch.Generator().manual_seed(self.random.getrandbits(60))

    def damaged(self, value: Any) -> Any:
        """The same tuples, lists, dicts, tensors, arrays and numbers, of which one or two leaves
        have another shape, type, layout, or numbers."""
        for _ in range(self.random.choice([1, 1, 2])):
            paths = list(_leaves(value))
            value = _changed(value, self.random.choice(paths), self._leaf)
        return value

    def mixed(self, value: Any, foreign: Any) -> Any:
        """``value`` with some leaves of ``foreign``, which is built alike but of another size."""
        paths = [path for path in _leaves(value) if self.random.random() < 0.5]
        for path in paths or [self.random.choice(list(_leaves(value)))]:
            value = _changed(value, path, lambda _, path=path: _found(foreign, path))
        return value

    def tampered(self, module: nn.Module) -> nn.Module:
        """The module itself with a damaged state loaded into it.

        Raises:
            Refused: if torch doesn't load it.
        """
        try:
            module.load_state_dict(self.damaged(dict(module.state_dict())))
        except (RuntimeError, ValueError) as error:
            raise Refused from error
        return module

    def _leaf(self, value: Any) -> Any:
        if isinstance(value, bool):
            return not value
        if isinstance(value, int):
            return self.random.choice(INTEGERS)
        if isinstance(value, float):
            return self.random.choice(NUMBERS)
        if isinstance(value, np.ndarray):
            tensor = self._tensor(torch.from_numpy(value.copy())).detach()
            return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        return self._tensor(value)

    def _tensor(self, value: Tensor) -> Tensor:
        damages = [self._reshaped, self._retyped, self._filled, self._filled, self._relaid]
        return self.random.choice(damages)(value.detach())

    def _reshaped(self, value: Tensor) -> Tensor:
        if value.dim() == 0:
            return value.expand(self.random.choice([1, 2]))
        dim = self.random.randrange(value.dim())
        size = self.random.choice([0, 1, value.shape[dim] - 1, value.shape[dim] + 1, 300])
        index = torch.arange(max(size, 0)) % max(value.shape[dim], 1)
        grown = value.index_select(dim, index) if value.shape[dim] else value
        return self.random.choice([grown, grown, grown, value.unsqueeze(dim), value.select(dim, 0)
                                   if value.shape[dim] else value, value.flatten()])  # fmt: skip

    def _retyped(self, value: Tensor) -> Tensor:
        return value.to(self.random.choice(DTYPES))

    def _filled(self, value: Tensor) -> Tensor:
        """Some or all elements are another number."""
        if value.is_complex():
            number = complex(self.random.choice(FILLINGS))
        elif value.is_floating_point():
            number = self.random.choice(FILLINGS)
            most = torch.finfo(value.dtype).max
            number = min(max(number, -most), most) if isfinite(number) else number
        elif value.dtype == torch.bool:
            return ~value
        else:
            info = torch.iinfo(value.dtype)
            number = min(max(self.random.choice(INTEGERS), info.min), info.max)
        share = self.random.choice([0.1, 0.5, 1.0])
        chosen = torch.rand(value.shape, generator=self.torch) < share
        wide = value.long() if value.dtype == torch.uint32 else value
        return wide.masked_fill(chosen, number).to(value.dtype)

    def _relaid(self, value: Tensor) -> Tensor:
        """The same numbers, if there is no way to see a difference: in other places of memory."""
        wide = torch.stack([value, value], dim=-1)
        return self.random.choice([
            wide[..., 0],
            value.mT.contiguous().mT if value.dim() > 1 else value,
            value.clone().requires_grad_() if value.dtype.is_floating_point else value,
            value[:1].expand(value.shape) if value.dim() and len(value) else value,
        ])  # fmt: skip


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Any:
    """Paths to tensors, arrays and numbers."""
    if isinstance(value, (Tensor, np.ndarray, int, float)):
        yield path
    items = value.items() if isinstance(value, dict) else ()
    for key, part in enumerate(value) if isinstance(value, (tuple, list)) else items:
        yield from _leaves(part, (*path, key))


def _found(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _changed(value: Any, path: tuple[Any, ...], change: Any) -> Any:
    if not path:
        return change(value)
    key, *rest = path
    if isinstance(value, dict):
        return {**value, key: _changed(value[key], tuple(rest), change)}
    parts = list(value)
    parts[key] = _changed(parts[key], tuple(rest), change)
    if hasattr(value, "_fields"):
        return type(value)(*parts)
    return type(value)(parts)


def check_finite(value: Any) -> None:
    """Raises AssertionError if something that is returned isn't finite."""
    if isinstance(value, (float, Tensor, np.ndarray)):
        numbers = value.detach().numpy() if isinstance(value, Tensor) else value
        assert np.isfinite(numbers).all(), f"not finite: {value}"
    elif isinstance(value, (tuple, list)):
        for part in value:
            check_finite(part)


def run(name: str, call: Any, seed: int) -> None:
    """One case."""
    torch.manual_seed(seed)
    with contextlib.suppress(InputError, Refused):
        check_finite(call(Hostile(name, seed)))


def main(file: str, name: str = "", seed: str = "", count: int = 0) -> int:
    """All cases of a file, ``count`` of each function; or one case."""
    calls = {
        key: value
        for key, value in runpy.run_path(file).items()
        if not key.startswith("_")
        and getattr(getattr(value, "__code__", None), "co_filename", "") == file
    }
    if seed:
        run(name, calls[name], int(seed))
        return 0
    failed = 0
    for key, call in calls.items():
        for number in range(count):
            print(key, number, flush=True)
            try:
                run(key, call, number)
            except Exception as error:
                failed += 1
                where = traceback.extract_tb(error.__traceback__)[-1]
                words = f"{type(error).__name__}: {error}"[:300]
                print(f"{key} {number}: {where.filename}:{where.lineno}: {words}", file=sys.stderr)
    if failed:
        print(f"{failed} cases failed", file=sys.stderr)
    return int(failed > 0)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    sys.modules["kernel_fuzz"] = sys.modules["__main__"]
    first, *rest = sys.argv[1:]
    if rest[:1] == ["--count"]:
        sys.exit(main(first, count=int(rest[1])))
    sys.exit(main(first, *rest))
