"""Backpropagation through time on sequences that ask for one answer, at their end."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.distributed import backward, check_parts, part, sum_over_workers, workers
from plastorch.engine.run import Record
from plastorch.learning.phases import Phase, Schedule, set_rate

ENERGY_SAMPLES = 2000
"""Number of sequences whose energy is logged during training."""


class AnswerNet(nn.Module):
    """Core from [T, B, I] to [T, B, H] and a state, and a linear readout of its last activity."""

    def __init__(self, core: nn.Module, hidden_size: int, answers: int) -> None:
        super().__init__()
        self.core = core
        self.readout = nn.Linear(hidden_size, answers)

    def forward(self, x: Tensor) -> Tensor:
        """Returns scores [B, O] of sequences [T, B, I]."""
        output, _ = self.core(x)
        scores: Tensor = self.readout(output[-1])
        return scores


class AnswerTraining(Phase):
    """Phase of a run: Adam on the same mini-batches in the same order in each epoch.

    The last mini-batch of an epoch is omitted if it is not full. Sequences are [N, T], their
    answers [N]; ``encode`` converts some of them [B, T] to the network's input [T, B, I]. With a
    linear schedule, the learning rate falls from epoch to epoch.
    """

    def __init__(
        self,
        name: str,
        net: AnswerNet,
        *,
        encode: Callable[[Tensor], Tensor],
        train: tuple[Tensor, Tensor],
        validation: tuple[Tensor, Tensor],
        epochs: int,
        batch_size: int,
        learning_rate: float,
        schedule: Schedule = "constant",
    ) -> None:
        super().__init__(name, epochs)
        self.net, self.encode = net, encode
        self.train, self.validation = train, validation
        self.learning_rate, self.schedule = learning_rate, schedule
        self.batch_size = min(batch_size, len(train[0]))
        check_parts(batch_size=self.batch_size)
        self.trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.Adam(self.trained, learning_rate)
        self.optimizers = [self.optimizer]

    def step(self) -> list[Record]:
        """Trains for one epoch."""
        course = self.learning_rate, self.schedule, self.position, self.total
        set_rate(self.optimizer, *course)
        sequences, answers = self.train
        updates = len(sequences) // self.batch_size
        loss_sum, right = torch.zeros((), device=answers.device), torch.zeros_like(answers[0])
        for first in range(0, updates * self.batch_size, self.batch_size):
            rows = slice(first, first + self.batch_size)
            right_answers = part(answers[rows])
            scores = self.net(self.encode(part(sequences[rows])))
            loss = F.cross_entropy(scores, right_answers)
            self.optimizer.zero_grad()
            backward(loss, self.trained)
            self.optimizer.step()
            loss_sum += loss.detach()
            right += (scores.argmax(1) == right_answers).sum()
        sum_over_workers(loss_sum), sum_over_workers(right)
        self.position += 1
        accuracy = answer_accuracy(self.net, self.encode, *self.validation)
        some = self.validation[0][:ENERGY_SAMPLES]
        return [
            {
                "phase": self.name,
                "epoch": self.position,
                "loss": float(loss_sum) / updates / workers(),
                "train_accuracy": int(right) / (updates * self.batch_size),
                "validation_accuracy": accuracy,
                "energy": mean_energy(self.net, self.encode, some),
            }
        ]


@torch.no_grad()
def answer_accuracy(
    net: AnswerNet,
    encode: Callable[[Tensor], Tensor],
    sequences: Tensor,
    answers: Tensor,
    batch_size: int = 2000,
) -> float:
    """Returns the share of correct answers."""
    batches = zip(torch.split(sequences, batch_size), torch.split(answers, batch_size), strict=True)
    right = sum(int((net(encode(s)).argmax(1) == a).sum()) for s, a in batches)
    return right / len(answers)


@torch.no_grad()
def mean_energy(
    net: AnswerNet, encode: Callable[[Tensor], Tensor], sequences: Tensor, batch_size: int = 2000
) -> float:
    """Returns the energy per step, summed over neurons, mean over steps and sequences."""
    energy: Callable[[Tensor], Tensor] = net.core.energy  # type: ignore[assignment]
    parts = torch.split(sequences, batch_size)
    return sum(float(energy(encode(part)).sum()) for part in parts) / sequences.numel()
