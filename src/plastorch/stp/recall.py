"""Backpropagation through time on sequences that ask for answers at some of their steps."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.data.tasks.recall import NO_ANSWER, Recall
from plastorch.engine.run import Record
from plastorch.learning.phases import Phase, set_rate

LOG_EVERY = 50
"""Number of updates between log entries, each with a validation."""


class RecallNet(nn.Module):
    """Sequence model: embedding, a residual block around each memory, and a readout.

    Each memory, from [T, B, d] to [T, B, H] and a state, sees at each step a linear mixture of the
    normalized activities of this step and of the one before.
    """

    def __init__(self, cores: Sequence[nn.Module], vocabulary: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(RecallBlock(core, width) for core in cores)
        self.norm = nn.LayerNorm(width)
        self.readout = nn.Linear(width, vocabulary)

    def forward(self, sequences: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
        """Returns scores [A, V] at the A steps of sequences [N, T] that ask, and their answers."""
        x = self.embedding(sequences.mT)
        for block in self.blocks:
            x = block(x)
        asks = answers.mT != NO_ANSWER
        scores: Tensor = self.readout(self.norm(x[asks]))
        return scores, answers.mT[asks]


class RecallBlock(nn.Module):
    """Residual block, x_t + V norm(core(W [n_t; n_(t-1)])), with n = norm(x)."""

    def __init__(self, core: nn.Module, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Linear(2 * width, width)
        self.core = core
        size = int(core.hidden_size)  # type: ignore[arg-type]
        self.out = nn.Sequential(nn.LayerNorm(size), nn.Linear(size, width))

    def forward(self, x: Tensor) -> Tensor:
        """Returns activities [T, B, d] of activities [T, B, d]."""
        n = self.norm(x)
        before = torch.cat([torch.zeros_like(n[:1]), n[:-1]])
        output, _ = self.core(self.mix(torch.cat([n, before], dim=-1)))
        after: Tensor = x + self.out(output)
        return after


class RecallTraining(Phase):
    """Phase of a run: Adam on new sequences at each update, at a rate that falls linearly to 0.

    The function ``draw`` makes the sequences of an update from its number, from 0.
    """

    def __init__(
        self,
        name: str,
        net: RecallNet,
        *,
        draw: Callable[[int], Recall],
        validation: Recall,
        updates: int,
        learning_rate: float,
    ) -> None:
        super().__init__(name, updates)
        self.net, self.draw, self.validation = net, draw, validation
        self.learning_rate = learning_rate
        self.optimizer = torch.optim.Adam(net.parameters(), learning_rate)
        self.optimizers = [self.optimizer]

    def step(self) -> list[Record]:
        """Runs one update."""
        set_rate(self.optimizer, self.learning_rate, "linear", self.position, self.total)
        scores, answers = self.net(*self.draw(self.position))
        loss = F.cross_entropy(scores, answers)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self.position += 1
        if self.position % LOG_EVERY and self.position < self.total:
            return []
        return [
            {
                "phase": self.name,
                "step": self.position,
                "loss": float(loss.detach()),
                "train_accuracy": float((scores.argmax(1) == answers).double().mean()),
                "validation_accuracy": recall_accuracy(self.net, self.validation),
            }
        ]


@torch.no_grad()
def recall_accuracy(net: RecallNet, recall: Recall, batch_size: int = 256) -> float:
    """Returns the share of correct answers."""
    right = 0
    for batch in zip(*(torch.split(tensor, batch_size) for tensor in recall), strict=True):
        scores, answers = net(*batch)
        right += int((scores.argmax(1) == answers).sum())
    return right / int((recall.answers != NO_ANSWER).sum())
