"""Multi-query associative recall: which value came with each of these keys?

Task: Arora et al., *Zoology: Measuring and Improving Recall in Efficient Language Models*, ICLR
2024, arXiv 2312.04927: ``k1 v1 k2 v2 ... kD vD``, then each key once more, among random symbols.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.engine.errors import InputError

POWER = 0.01
"""Exponent a of the power law: a key comes back after a gap g with a probability as g^(a - 1)."""
NO_ANSWER = -1


class Recall(NamedTuple):
    """Sequences and their answers."""

    sequences: Tensor
    """Symbols, int64 [N, T]; the first half of the vocabulary are keys, the second values."""
    answers: Tensor
    """Value of the key asked for at a step, int64 [N, T]; -1 at steps that ask for none."""


def recall_set(
    samples: int, random: torch.Generator, *, steps: int, pairs: int, vocabulary: int
) -> Recall:
    """Draws sequences of key-value pairs, then a question for each key.

    Keys of a sequence are distinct, and so are its values. Of the steps after the pairs, every
    second one may ask; which ones do is drawn by the power law, so that most ask early. All other
    steps have a symbol drawn uniformly from the vocabulary without the sequence's keys: with few
    symbols, unlike zoology's 8,192, a key and a value would often be adjacent there by chance, and
    give another answer. Raises InputError if there is no room for each question, or the vocabulary
    has fewer keys or values than pairs.
    """
    check_recall(steps=steps, pairs=pairs, vocabulary=vocabulary)
    half, places = vocabulary // 2, (steps - 2 * pairs) // 2
    order = torch.rand(samples, half, generator=random).argsort()
    keys, unused = order[:, :pairs], order[:, pairs:]
    others = torch.cat([unused, half + torch.arange(half).expand(samples, half)], dim=1)
    drawn = torch.randint(vocabulary - pairs, (samples, steps), generator=random)
    sequences = others.gather(1, drawn)
    answers = torch.full_like(sequences, NO_ANSWER)
    values = half + torch.rand(samples, half, generator=random).topk(pairs).indices
    sequences[:, 0 : 2 * pairs : 2], sequences[:, 1 : 2 * pairs : 2] = keys, values
    # Drawing without replacement takes the largest of log p + Gumbel noise.
    noise = -torch.empty(samples, places).exponential_(generator=random).log()
    chances = (POWER - 1) * torch.arange(1, places + 1).log() + noise
    asked = 2 * (pairs + chances.topk(pairs).indices)
    sequences.scatter_(1, asked, keys)
    answers.scatter_(1, asked, values)
    return Recall(sequences, answers)


def check_recall(*, steps: int, pairs: int, vocabulary: int) -> None:
    """Raises InputError unless sequences of :func:`recall_set` can have these sizes."""
    if pairs < 1:
        raise InputError(f"pairs is {pairs}; expected 1 or more")
    if steps < 4 * pairs:
        raise InputError(
            f"steps is {steps}; expected at least {4 * pairs}: two for each of {pairs} pairs, and "
            "two for each question"
        )
    if vocabulary % 2 or vocabulary < 2 * pairs:
        raise InputError(
            f"vocabulary is {vocabulary}; expected an even number of at least {2 * pairs}, half of "
            "it keys"
        )
