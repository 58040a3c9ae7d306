"""Named streams of random numbers, all from one seed."""

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
