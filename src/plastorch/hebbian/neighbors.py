"""Nearest neighbors in frozen features: a classifier that learns nothing."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.run import Record
from plastorch.hebbian.features import deviation_of
from plastorch.hebbian.readout import check_labels
from plastorch.hebbian.ridge import ROWS, coarse
from plastorch.learning.phases import Phase

NEIGHBORS = 20
"""Number of neighbors that vote."""
MOST_FEATURES = 1024
"""Largest number of features, unless maps of single values have more."""


class NeighborReadout(Phase):
    """Finds the majority class of the nearest training rows, by cosines of standardized features.

    Args:
        source: features [B, F] of some training rows, given their numbers.
        labels: classes of the training rows, int64 [N].
        test_features: features [M, F] of test rows.
        test_labels: classes of the test rows, int64 [M].
        classes: number of classes.
        maps: number and side of the maps that the features are, as in
            :func:`plastorch.hebbian.ridge.coarse`.
    """

    def __init__(
        self,
        source: Callable[[Tensor], Tensor],
        labels: Tensor,
        test_features: Tensor,
        test_labels: Tensor,
        *,
        classes: int,
        maps: Sequence[tuple[int, int]],
    ) -> None:
        check_labels(labels, classes)
        self.source, self.labels, self.classes, self.maps = source, labels, classes, maps
        self.test_features, self.test_labels = test_features, test_labels
        self.parts = torch.split(torch.arange(len(labels)), ROWS)
        self.known: list[Tensor] = []
        self.figures: dict[str, float] = {}
        """Accuracy on test rows; empty until the end."""
        super().__init__("neighbors", len(self.parts) + 1)

    @torch.no_grad()
    def step(self) -> list[Record]:
        """Keeps the features of some rows; the last step classifies the test rows."""
        if self.position < len(self.parts):
            rows = self.source(self.parts[self.position])
            self.known.append(coarse(rows, self.maps, MOST_FEATURES))
        else:
            self.figures = {"neighbors_accuracy": self._accuracy()}
        self.position += 1
        return []

    def _accuracy(self) -> float:
        known = torch.cat(self.known)
        self.known.clear()
        mean = known.mean(dim=0)
        deviation, labels = deviation_of(known, mean), self.labels.to(known.device)
        known = F.normalize(known.sub_(mean).div_(deviation))
        count, right = min(NEIGHBORS, len(known)), 0
        for features, answers in zip(
            torch.split(self.test_features, ROWS), torch.split(self.test_labels, ROWS), strict=True
        ):
            rows = (coarse(features, self.maps, MOST_FEATURES) - mean) / deviation
            nearest = (F.normalize(rows) @ known.T).topk(count, dim=1).indices
            votes = F.one_hot(labels[nearest], self.classes).sum(dim=1)
            right += int((votes.argmax(dim=1) == answers.to(votes.device)).sum())
        return right / len(self.test_labels)
