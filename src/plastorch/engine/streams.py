"""Named streams of random numbers, all from one seed."""

import contextlib
from collections.abc import Iterator
from enum import IntEnum

import numpy as np
import torch

from plastorch.engine.errors import InputError


def stream(seed: int, *path: IntEnum | int) -> torch.Generator:
    """Returns a CPU generator for one use of random numbers, named by its path.

    Each system names its uses in an enumeration, so that no two of them share numbers; an index
    within the use, such as the epoch, may follow. Equal paths give equal streams, different paths
    independent ones: a training resumes from any position without a stored generator state.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=path)
    return torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))


@contextlib.contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seeds torch's global generators of the CPU and of one device, and restores them afterward.

    ``torch.manual_seed`` would also seed those of all other devices.
    """
    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(seed)
        for each in devices:
            with torch.cuda.device(each):
                torch.cuda.manual_seed(seed)
        yield


@contextlib.contextmanager
def made_with(
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Iterator[None]:
    """Makes torch's own modules on a device and in a type, with weights from a generator.

    Most of them take no generator. What is None is torch's default.

    Raises:
        InputError: the generator is on another device than the weights.
    """
    at = torch.device(device or torch.get_default_device())
    if generator is not None and at.type not in (generator.device.type, "meta"):
        raise InputError(f"generator is on {generator.device}; expected {at}, as the weights")
    before = torch.get_default_dtype()
    with contextlib.ExitStack() as stack:
        if device is not None:
            stack.enter_context(torch.device(device))
        if generator is not None:
            stack.enter_context(_drawing_from(generator))
        torch.set_default_dtype(dtype or before)
        try:
            yield
        finally:
            torch.set_default_dtype(before)


@contextlib.contextmanager
def _drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Draws from a generator what would come from torch's global one of the same device."""
    gpus = [generator.device] if generator.device.type == "cuda" else []
    with torch.random.fork_rng(gpus):
        own = torch.cuda.default_generators[gpus[0].index or 0] if gpus else torch.default_generator
        own.set_state(generator.get_state())
        yield
        generator.set_state(own.get_state())
