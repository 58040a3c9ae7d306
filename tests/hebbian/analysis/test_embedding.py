"""Features in the plane."""

import pytest
import torch

from plastorch.engine.errors import InputError
from plastorch.hebbian.analysis.embedding import embedding


def test_groups_stay_together_and_seeds_repeat() -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    features = torch.randn(60, 200, generator=random) + 8 * torch.nn.functional.one_hot(labels, 200)
    points = embedding(features, seed=4)
    assert points.shape == (60, 2) and points.dtype == torch.float32
    distance = torch.cdist(points, points).fill_diagonal_(torch.inf)
    assert (labels[distance.argmin(dim=1)] == labels).double().mean() > 0.95
    assert torch.equal(points, embedding(features, seed=4))
    assert not torch.equal(points, embedding(features, seed=5))


@pytest.mark.parametrize("shape", [(3, 1), (3, 7), (5, 2), (40, 1)])
def test_few_samples_and_few_features(shape: tuple[int, int]) -> None:
    points = embedding(torch.randn(shape, generator=torch.Generator().manual_seed(1)).half())
    assert points.shape == (shape[0], 2) and torch.isfinite(points).all()


def test_bad_input_is_named() -> None:
    with pytest.raises(InputError, match=r"shape \(2, 5\); expected \[N, F\] with N > 2"):
        embedding(torch.rand(2, 5))
    with pytest.raises(InputError, match=r"shape \(4, 3, 2\)"):
        embedding(torch.rand(4, 3, 2))
    with pytest.raises(InputError, match="NaN or infinite"):
        embedding(torch.full((4, 3), torch.nan))
    with pytest.raises(InputError, match="components is 0"):
        embedding(torch.rand(4, 3), components=0)
