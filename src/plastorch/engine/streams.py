"""Named streams of random numbers, all from one seed."""

import contextlib
from collections.abc import Iterator
from enum import IntEnum

import numpy as np
import torch


def stream(seed: int, *path: IntEnum | int) -> torch.Generator:
    """Returns a CPU generator for one use of random numbers, named by its path.

    Each system names its uses in an enumeration, so that no two of them share numbers; a place in
    the use, such as the epoch, may follow. Equal paths give equal streams, others independent ones:
    a training goes on from any position without a stored generator state.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=path)
    return torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))


@contextlib.contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seeds torch's global generators of the CPU and of one device, and puts them back afterwards.

    ``torch.manual_seed`` would seed those of all other devices, too.
    """
    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(seed)
        for each in devices:
            with torch.cuda.device(each):
                torch.cuda.manual_seed(seed)
        yield
