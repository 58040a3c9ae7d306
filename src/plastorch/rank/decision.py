"""Answers of a network and their times, assembled from the parts in which it reads sequences."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.rank.criterion import answer


class Decision(NamedTuple):
    """Answers of B samples and their times."""

    logits: Tensor
    """Logits at the step of the answer [B, C]."""
    step: Tensor
    """Step of the answer, from 0, int64 [B]."""
    crossed: Tensor
    """Whether the threshold was crossed; otherwise the last step counts. Bool [B]."""
    computed: int
    """Number of computed steps, summed over samples; at most B T."""

    @property
    def label(self) -> Tensor:
        """Most probable class, int64 [B]."""
        return answer(self.logits)


class Part(NamedTuple):
    """Some steps of a batch, the rows of its samples, and which of these answer in this part."""

    start: int
    rows: Tensor
    scores: Tensor
    step: Tensor
    crossed: Tensor
    done: Tensor


def decision(parts: Sequence[Part]) -> Decision:
    """Returns the answers of all samples, in their order."""
    parts_steps = [part.step.index_select(0, part.done) for part in parts]
    order = torch.cat([part.rows.index_select(0, part.done) for part in parts]).argsort()
    logits = torch.cat(
        [part.scores[steps, part.done] for part, steps in zip(parts, parts_steps, strict=True)]
    )
    step = torch.cat([part.start + steps for part, steps in zip(parts, parts_steps, strict=True)])
    crossed = torch.cat([part.crossed.index_select(0, part.done) for part in parts])
    computed = sum(part.scores.shape[0] * part.scores.shape[1] for part in parts)
    return Decision(logits[order], step[order], crossed[order], computed)
