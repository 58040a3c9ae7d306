"""Geometry of classes: against loops over pairs, and closed forms."""

import itertools
import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from plastorch.efference.geometry import effective_rank, geometry
from plastorch.engine.errors import InputError


def drawn(count: int, width: int, seed: int) -> Tensor:
    return 1 + torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=40)
@given(st.integers(3, 9), st.integers(1, 4), st.integers(0, 99))
def test_cosines_equal_a_loop_over_pairs(count: int, width: int, seed: int) -> None:
    features, labels = drawn(count, width, seed), torch.arange(count) % 2 * 5
    cosines: dict[bool, list[float]] = {True: [], False: []}
    for i, j in itertools.combinations(range(count), 2):
        a, b = features[i].double(), features[j].double()
        cosines[bool(labels[i] == labels[j])].append(float(a @ b / a.norm() / b.norm()))
    found = geometry(features, labels)
    within, between = (sum(c) / len(c) for c in (cosines[True], cosines[False]))
    assert found.within == pytest.approx(within, abs=1e-9)
    assert found.between == pytest.approx(between, abs=1e-9)
    assert found.ratio == (found.within / found.between if found.between else math.inf)


def test_a_regular_simplex() -> None:
    """K orthogonal class means without spread: cosines 1 and 0, all K - 1 directions alike."""
    labels = torch.arange(40) % 5
    found = geometry(3 * torch.eye(5)[labels], labels)
    assert found.within == pytest.approx(1) and found.between == pytest.approx(0, abs=1e-12)
    assert found.class_mean_rank == pytest.approx(4)
    assert found.within_rank == 0


def test_spread_within_and_between_are_told_apart() -> None:
    """Means on a line; around each of them, samples on the axes of two other directions."""
    means = torch.tensor([[-4.0, 0, 0], [1, 0, 0], [9, 0, 0]])
    steps = torch.tensor([[0.0, 2, 0], [0, -2, 0], [0, 0, 2], [0, 0, -2]])
    found = geometry((means[:, None] + steps).flatten(0, 1), torch.arange(12) // 4)
    assert found.class_mean_rank == pytest.approx(1) and found.within_rank == pytest.approx(2)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=6), st.integers(0, 9))
def test_effective_rank_is_the_exponential_of_the_entropy(values: list[float], seed: int) -> None:
    """Of eigenvalues that are known, in directions that are not the axes."""
    turn = torch.linalg.qr(drawn(8, 8, seed).double()).Q[:, : len(values)]
    rows = torch.diag(torch.tensor(values, dtype=torch.float64).sqrt()) @ turn.T
    shares = [value / sum(values) for value in values]
    entropy = -sum(share * math.log(share) for share in shares)
    assert effective_rank(rows) == pytest.approx(math.exp(entropy), rel=1e-8)


def test_effective_rank_of_equal_and_of_no_directions() -> None:
    assert effective_rank(torch.eye(7)) == pytest.approx(7)
    assert effective_rank(torch.ones(5, 3)) == pytest.approx(1)
    assert effective_rank(torch.zeros(5, 3)) == 0


def test_only_the_order_of_nothing_matters() -> None:
    features, labels = drawn(30, 5, 0), torch.arange(30) % 4
    order = torch.randperm(30)
    names = torch.tensor([9, 2, 70, 3])
    assert geometry(features[order], names[labels[order]]) == pytest.approx(
        geometry(2 * features, labels)
    )


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (torch.zeros(3), torch.zeros(3).long(), "features are (3,); expected (samples, features)"),
        (torch.zeros(0, 2), torch.zeros(0).long(), "features are (0, 2)"),
        (torch.full((2, 2), torch.nan), torch.tensor([0, 1]), "NaN or infinite values in features"),
        (
            torch.ones(3, 2),
            torch.tensor([0, 1]),
            "labels are torch.int64 (2,); expected",
        ),
        (torch.ones(3, 2), torch.tensor([1, 1, 1]), "labels have 1 classes, 3 samples at most"),
        (torch.ones(3, 2), torch.tensor([0, 1, 2]), "labels have 3 classes, 1 samples at most"),
    ],
)
def test_bad_input_is_named(features: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        geometry(features, labels)
    with pytest.raises(InputError, match="rows are"):
        effective_rank(torch.zeros(0, 2))
