"""The machine: device selection, speed of matrix products, memory use."""

import contextlib
import ctypes
import math
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from plastorch.engine.errors import InputError
from plastorch.engine.torchrun import own_device


def select_device(name: str) -> torch.device:
    """Returns the device of that name; "auto" takes a CUDA GPU if there is one, else the CPU.

    Each of several workers on a machine takes the GPU with its own number, unless one is named.

    Args:
        name: "auto", or any name that ``torch.device`` takes.

    Raises:
        InputError: the name is unknown or the device is missing.

    Example:
        >>> select_device("cpu")
        device(type='cpu')
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


def seed32(seed: int) -> int:
    """Returns the seed if it has 32 bits, else one drawn from it, for libraries that need 32 bits.

    Example:
        >>> seed32(7), seed32(2**63 - 1) < 2**32
        (7, True)
    """
    return seed if seed < 2**32 else int(np.random.SeedSequence(seed).generate_state(1)[0])


def check_memory(needed: float, **sizes: float) -> None:
    """Raises InputError naming sizes for which the machine has too little memory.

    Args:
        needed: least number of bytes needed.
        sizes: values that determine it, by argument name.

    Example:
        >>> check_memory(4 * 1000 * 256, neurons=1000, hidden=256)
    """
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

    On CPUs where the default library leaves half the speed unused, torch's "medium" setting calls
    another one that also computes in float32. On CPUs where that setting would mean bfloat16, a
    test product detects it, and the setting is left alone.
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


def keep_freed_memory() -> None:
    """Tells glibc to keep freed blocks instead of returning them after every operation.

    Training frees and allocates the same megabytes thousands of times; otherwise each round trip
    costs page faults. Does nothing where the C library has no such setting.
    """
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        mmap_threshold, trim_threshold = -3, -1  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD of malloc.h
        libc.mallopt(mmap_threshold, 1 << 30)
        libc.mallopt(trim_threshold, 2**31 - 1)


def flush_denormals() -> None:
    """Flushes denormal numbers to 0, in this thread and those it starts.

    A nearly decided competition leaves thousands of them, and some processors take a hundred times
    as long for each. Does nothing where the processor can't.
    """
    torch.set_flush_denormal(True)


def peak_memory_gb() -> float:
    """Returns the largest resident size of this process so far, in GB (10⁹ bytes)."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage below also counts the process that started this one
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9
