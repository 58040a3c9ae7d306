"""Backpropagation through time on endless streams that ask for an answer at every step."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.data.tasks.familiarity import FamiliarityStream
from plastorch.engine.run import Record
from plastorch.learning.phases import Phase
from plastorch.stp.layers import STPN

LOG_EVERY = 10
"""Number of updates between log entries, each with a validation."""


class FamiliarityNet(nn.Module):
    """Recurrent core, from [T, 1, d] to [T, 1, H] and a state, with a readout of familiarity.

    Readout weights and bias are initialized as in the code of Garcia Rodriguez et al., ICML 2022:
    normal, with standard deviations 1/sqrt(H) and 1.
    """

    def __init__(self, core: nn.Module, hidden_size: int) -> None:
        super().__init__()
        self.core = core
        self.readout = nn.Linear(hidden_size, 1)
        nn.init.normal_(self.readout.weight, std=hidden_size**-0.5)
        nn.init.normal_(self.readout.bias)

    def forward(self, items: Tensor) -> Tensor:
        """Returns log-odds [T] that items [T, d] are repeats."""
        output, _ = self.core(items.unsqueeze(1))
        scores: Tensor = self.readout(output)
        return scores.flatten()


class BoundedHebbFF(STPN):
    """HebbFF: h = σ((W + A) x + b); A = λ A + η h x', with shared λ and η of either sign.

    Tyulmankov et al., Neuron 110, 2022. Unlike :class:`plastorch.stp.baselines.HebbFF`, λ itself is
    a parameter, kept in [0, 1] by :meth:`bound`. Initially λ = 0.99 and η = -5/d.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(
            input_size,
            hidden_size,
            plasticity="feedforward",
            norm="none",
            scalar=True,
            activation="sigmoid",
        )
        nn.init.constant_(self.get_parameter("cells.0.weight_lambda"), 0.99)
        nn.init.constant_(self.get_parameter("cells.0.weight_gamma"), -5 / input_size)

    @torch.no_grad()
    def bound(self) -> None:
        """Clips λ to [0, 1]."""
        self.get_parameter("cells.0.weight_lambda").clamp_(0, 1)


class FamiliarityTraining(Phase):
    """Phase of a run with one Adam update per stream, through all its steps.

    The function ``stream`` makes the stream of an update from its number, from 0.
    """

    def __init__(
        self,
        name: str,
        net: FamiliarityNet,
        *,
        stream: Callable[[int], FamiliarityStream],
        updates: int,
        learning_rate: float,
        validation: FamiliarityStream | None = None,
    ) -> None:
        super().__init__(name, updates)
        self.net, self.stream, self.validation = net, stream, validation
        self.optimizer = torch.optim.Adam(net.parameters(), learning_rate)
        self.optimizers = [self.optimizer]

    def step(self) -> list[Record]:
        """Runs one update."""
        items, repeats = self.stream(self.position)
        scores = self.net(items)
        loss = F.binary_cross_entropy_with_logits(scores, repeats.to(scores.dtype))
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        if isinstance(self.net.core, BoundedHebbFF):
            self.net.core.bound()
        self.position += 1
        if self.position % LOG_EVERY and self.position < self.total:
            return []
        record: Record = {
            "phase": self.name,
            "step": self.position,
            "loss": float(loss.detach()),
            "train_accuracy": rates(scores, repeats).accuracy,
        }
        if self.validation is not None:
            record["validation_accuracy"] = rates_on(self.net, self.validation).accuracy
        return [record]


class Rates(NamedTuple):
    """Detection rates of repeats, as shares in [0, 1]."""

    accuracy: float
    """Share of all items classified correctly."""
    true_positive_rate: float
    """Share of repeats that are detected."""
    false_positive_rate: float
    """Share of new items mistaken for repeats."""


def rates(scores: Tensor, repeats: Tensor) -> Rates:
    """Returns detection rates if log-odds [T] above 0 mean repeats; a share of no items is 0."""
    found = scores > 0
    right = int((found == repeats).sum())
    shares = (
        int((found & of).sum()) / max(1, int(of.sum())) for of in (repeats, repeats.logical_not())
    )
    return Rates(right / len(scores), *shares)


@torch.no_grad()
def rates_on(net: FamiliarityNet, stream: FamiliarityStream) -> Rates:
    """Returns a network's detection rates on a stream."""
    return rates(net(stream.items), stream.repeats)
