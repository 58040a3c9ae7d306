"""Nearest neighbors, compared with scikit-learn's."""

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.hebbian.neighbors import NeighborReadout
from plastorch.hebbian.ridge import FrozenFeatures


def rows(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Returns features [N, 36] far from 0 and of several scales, and labels that they tell."""
    random = torch.Generator().manual_seed(seed)
    features = torch.randn(count, 36, generator=random)
    return 40 + features * torch.logspace(-0.4, 0.6, 36), features[:, :3].argmax(dim=1)


def read(features: Tensor, labels: Tensor, *test: Tensor) -> dict[str, float]:
    readout = NeighborReadout(
        FrozenFeatures(lambda r: features[r], labels, *test, classes=3, maps=[(9, 2)])
    )
    while readout.position < readout.total:
        readout.step()
    return readout.figures


@pytest.mark.parametrize("count", [2500, 7])
def test_it_answers_as_another_library_does(count: int) -> None:
    (features, labels), (test, answers) = rows(count, 0), rows(1200, 1)
    scaler = StandardScaler().fit(features)
    other = KNeighborsClassifier(min(20, count), metric="cosine")
    other.fit(scaler.transform(features), labels)
    expected = other.score(scaler.transform(test), answers)
    found = read(features, labels, test, answers)["neighbors_accuracy"]
    assert found == pytest.approx(expected, abs=2e-3)  # near ties
    assert 0.3 < found < 1


def test_wrong_labels_are_refused() -> None:
    features, labels = rows(5, 0)
    with pytest.raises(InputError, match=r"labels lie in 0\.\.7; expected 0\.\.2"):
        read(features, torch.tensor([0, 1, 7, 1, 0]), features, labels)
