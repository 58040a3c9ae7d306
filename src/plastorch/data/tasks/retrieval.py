"""Associative retrieval: which value came with the queried key?

Task: Ba et al., *Using Fast Weights to Attend to the Recent Past*, NeurIPS 2016; in the form of
Garcia Rodriguez et al., ICML 2022, arXiv 2206.14048: ``k1 v1 k2 v2 k3 v3 ? ? q``. A key is one of
26 letters, a value one of 10 digits, the answer the value that followed q before.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from plastorch.engine.device import seed32
from plastorch.engine.errors import InputError

KEYS, VALUES = 26, 10
SEPARATOR = KEYS + VALUES
SYMBOLS = SEPARATOR + 1
"""Number of symbols: letters are 0 to 25, digits 26 to 35, the question mark 36."""


class Retrieval(NamedTuple):
    """Sequences and their answers."""

    sequences: Tensor
    """Symbols, uint8 [N, 2 pairs + 3]."""
    answers: Tensor
    """Symbol of each answer, int64 [N]."""


def retrieval_sets(
    seed: int, sizes: tuple[int, ...] = (100_000, 10_000, 20_000), pairs: int = 3
) -> list[Retrieval]:
    """Draws training, validation and test sequences; for 3 pairs, exactly the published ones.

    Keys of a sequence are distinct; values and the question are independent and uniform. The seed
    is that of numpy's legacy generator, from which the sets are drawn one after the other. Raises
    InputError if a size is below 1, or there are not 1 to 26 pairs of key and value in a sequence.
    """
    if not 1 <= pairs <= KEYS:
        raise InputError(f"pairs is {pairs}; expected 1 to {KEYS}")
    if min(sizes, default=0) < 1:
        raise InputError(f"sizes are {sizes}; expected 1 or more each")
    random = np.random.RandomState(seed32(seed))
    rows = np.full((sum(sizes), 2 * pairs + 3), SEPARATOR, np.uint8)
    answers = np.empty(len(rows), np.int64)
    for row in range(len(rows)):
        # In three calls, as the published data were drawn; a single call would differ.
        keys = random.permutation(KEYS)[:pairs]
        values = KEYS + random.randint(0, VALUES, pairs)
        question = random.permutation(pairs)[0]
        rows[row, 0 : 2 * pairs : 2], rows[row, 1 : 2 * pairs : 2] = keys, values
        rows[row, -1], answers[row] = keys[question], values[question]
    ends = np.cumsum(sizes)
    return [
        Retrieval(torch.from_numpy(rows[start:end]), torch.from_numpy(answers[start:end]))
        for start, end in zip(ends - np.array(sizes), ends, strict=True)
    ]


def one_hot(sequences: Tensor) -> Tensor:
    """Encodes sequences [N, T] as the networks' input, float32 [T, N, 37]."""
    symbols = sequences.mT.long()
    zeros = torch.zeros(*symbols.shape, SYMBOLS, device=sequences.device)
    return zeros.scatter_(2, symbols.unsqueeze(-1), 1.0)
