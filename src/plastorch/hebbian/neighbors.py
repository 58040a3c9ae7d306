"""Nearest neighbors in frozen features: a classifier that learns nothing."""

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.run import Record
from plastorch.hebbian.features import deviation_of
from plastorch.hebbian.readout import check_labels
from plastorch.hebbian.ridge import ROWS, FrozenFeatures, coarse
from plastorch.learning.phases import Phase

NEIGHBORS = 20
"""Number of neighbors that vote."""
MOST_FEATURES = 1024
"""Largest number of features, unless maps of single values have more."""


class NeighborReadout(Phase):
    """Finds the majority class of the nearest training rows, by cosine, features standardized."""

    def __init__(self, frozen: FrozenFeatures) -> None:
        check_labels(frozen.labels, frozen.classes)
        self.frozen = frozen
        self.parts = torch.split(torch.arange(len(frozen.labels)), ROWS)
        self.known: list[Tensor] = []
        self.figures: dict[str, float] = {}
        """Accuracy on test rows; empty until the end."""
        super().__init__("neighbors", len(self.parts) + 1)

    @torch.no_grad()
    def step(self) -> list[Record]:
        """Keeps the features of some rows; the last step classifies the test rows."""
        if self.position < len(self.parts):
            rows = self.frozen.source(self.parts[self.position])
            self.known.append(coarse(rows, self.frozen.maps, MOST_FEATURES))
        else:
            self.figures = {"neighbors_accuracy": self._accuracy()}
        self.position += 1
        return []

    def _accuracy(self) -> float:
        known = torch.cat(self.known)
        self.known.clear()
        mean = known.mean(dim=0)
        deviation, labels = deviation_of(known, mean), self.frozen.labels.to(known.device)
        known = F.normalize(known.sub_(mean).div_(deviation))
        count, right = min(NEIGHBORS, len(known)), 0
        for features, answers in zip(
            torch.split(self.frozen.test_features, ROWS),
            torch.split(self.frozen.test_labels, ROWS),
            strict=True,
        ):
            rows = (coarse(features, self.frozen.maps, MOST_FEATURES) - mean) / deviation
            nearest = (F.normalize(rows) @ known.T).topk(count, dim=1).indices
            votes = F.one_hot(labels[nearest], self.frozen.classes).sum(dim=1)
            right += int((votes.argmax(dim=1) == answers.to(votes.device)).sum())
        return right / len(self.frozen.test_labels)
