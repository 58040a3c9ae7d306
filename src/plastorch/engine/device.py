"""The machine: device selection, speed of matrix products, memory use."""

import contextlib
import ctypes
import math
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from plastorch.engine.errors import InputError
from plastorch.engine.torchrun import own_device


def select_device(name: str) -> torch.device:
    """Returns the device with a name; "auto" takes a CUDA GPU if there is one, else the CPU.

    Of several workers on a machine, each takes the GPU with its own number, unless one is named.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    name = own_device(name)
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device is {name!r}; expected auto, cpu or cuda[:N] ({reason})") from None
    return device


Precision = Literal["fp32", "bf16"]
"""Number formats of matrix products."""
REAL = (torch.float32, torch.float64)
"""Data types that the compiled kernels compute with."""


def has_kernels(tensor: torch.Tensor) -> bool:
    """Whether compiled kernels can compute with a tensor: on the CPU, in a type of theirs."""
    return tensor.is_cpu and tensor.dtype in REAL


def traced() -> bool:
    """Whether ``torch.compile`` or ``torch.func`` traces tensors, which kernels can't read then."""
    return bool(torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active())


def seed32(seed: int) -> int:
    """Returns a seed of 32 bits: the given one, or one drawn from it if it is longer."""
    return seed if seed < 2**32 else int(np.random.SeedSequence(seed).generate_state(1)[0])


def check_memory(needed: float, **sizes: object) -> None:
    """Raises InputError naming sizes that need more bytes of memory than the machine has."""
    there = memory()
    if needed > there:
        named = " and ".join(f"{name} is {size}" for name, size in sizes.items())
        raise InputError(
            f"{named}: needs about {needed / 1e9:,.0f} GB; this machine has {there / 1e9:,.0f} GB"
        )


def memory() -> float:
    """Returns the usable bytes of the machine's memory, or of a GPU that has more."""
    try:
        own = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):  # not POSIX
        own = math.inf
    with contextlib.suppress(OSError, ValueError):  # ValueError: no limit
        own = min(own, float(Path("/sys/fs/cgroup/memory.max").read_text()))
    if torch.cuda.is_available():
        own = max(own, torch.cuda.mem_get_info()[1])
    return own


@contextlib.contextmanager
def fast_matmul() -> Iterator[None]:
    """Lets float32 matrix products use the fastest kernel that keeps float32 accuracy.

    On some CPUs, torch's "medium" setting calls a library that is twice as fast; on others it means
    bfloat16, which a test product detects.
    """
    before = torch.get_float32_matmul_precision()
    a = torch.linspace(-1, 1, 256 * 256).view(256, 256)
    exact, scale = a.double() @ a.double(), (a.abs() @ a.abs()).max()
    torch.set_float32_matmul_precision("medium")
    try:
        if ((a @ a).double() - exact).abs().max() > 1e-5 * scale:
            torch.set_float32_matmul_precision(before)
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Returns the context in which matrix products have a precision."""
    # No cache: it would keep serving the bf16 copies of weights that have changed since.
    return torch.autocast(
        device.type, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False
    )


def keep_freed_memory() -> None:
    """Tells glibc to keep freed blocks: training frees and allocates the same sizes all the time.

    Otherwise each round trip costs page faults. Does nothing with other C libraries.
    """
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        mmap_threshold, trim_threshold = -3, -1  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD of malloc.h
        libc.mallopt(mmap_threshold, 1 << 30)
        libc.mallopt(trim_threshold, 2**31 - 1)


def flush_denormals() -> None:
    """Flushes denormal numbers to 0 where the processor can, in this thread and those it starts.

    A nearly decided competition leaves thousands, and some processors take 100 times as long for
    each.
    """
    torch.set_flush_denormal(True)


@contextlib.contextmanager
def denormals_flushed() -> Iterator[None]:
    """Flushes denormal numbers to 0 in this thread; restores its setting afterward."""
    exact = sys.float_info.min / 2 > 0
    flush_denormals()
    try:
        yield
    finally:
        if exact:
            torch.set_flush_denormal(False)


def peak_memory_gb() -> float:
    """Returns the largest resident size of this process so far, in GB (10⁹ bytes)."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage below also counts the process that started this one
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9
