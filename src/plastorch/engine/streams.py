"""Named streams of random numbers, all from one seed."""

from enum import IntEnum

import numpy as np
import torch


def stream(seed: int, *path: IntEnum | int) -> torch.Generator:
    """Returns a CPU generator for one use of random numbers.

    Each system names its uses in an enumeration, so that no two of them share numbers. Equal paths
    give equal streams, others independent ones: a training goes on from any position without a
    stored generator state.

    Args:
        seed: random seed.
        path: name of the use, then the place in it, such as the epoch.

    Example:
        >>> class Stream(IntEnum):
        ...     WEIGHTS = 0
        ...     IMAGE_ORDER = 1
        >>> order = torch.randperm(5, generator=stream(0, Stream.IMAGE_ORDER, 3))
        >>> torch.equal(order, torch.randperm(5, generator=stream(0, Stream.IMAGE_ORDER, 3)))
        True
    """
    sequence = np.random.SeedSequence(seed, spawn_key=path)
    return torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))
