"""Probes without training: against loops and scikit-learn."""

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from plastorch.efference.probes import (
    as_floats,
    check_labels,
    evaluating,
    extract,
    knn_accuracy,
    logistic_accuracy,
    ridge_accuracy,
    share_right,
)
from plastorch.engine.errors import InputError


def clusters(count: int, seed: int, classes: int = 4, width: int = 6) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (count,), generator=random)
    means = torch.randn(classes, width, generator=torch.Generator().manual_seed(7))
    return means[labels] + torch.randn(count, width, generator=random), labels


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(0, 99))
def test_neighbors_equal_a_naive_loop(k: int, seed: int) -> None:
    """Of classes with as many votes, the lowest wins."""
    features, labels = clusters(12, seed)
    queries, truth = clusters(5, seed + 1)
    right = 0
    for query, answer in zip(queries.double(), truth.tolist(), strict=True):
        cosines = [float(query @ f / query.norm() / f.norm()) for f in features.double()]
        nearest = sorted(range(12), key=lambda i: -cosines[i])[:k]
        votes = [sum(int(labels[i]) == kind for i in nearest) for kind in range(4)]
        right += votes.index(max(votes)) == answer
    assert knn_accuracy(features, labels, queries, truth, k) == right / 5


@pytest.mark.parametrize("accuracy", [ridge_accuracy, logistic_accuracy])
def test_linear_probes_are_at_chance_on_noise_and_right_on_what_is_linear(
    accuracy: Callable[..., float],
) -> None:
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(600, 8, generator=random)
    labels = torch.randint(0, 4, (600,), generator=random)
    found = accuracy(noise[:300], labels[:300], noise[300:], labels[300:])
    assert abs(found - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 300)
    told = torch.cat([noise, 5.0 * nn.functional.one_hot(labels)], dim=1)
    assert accuracy(told[:300], labels[:300], told[300:], labels[300:]) == 1.0


def test_a_logistic_regression_is_the_least_of_its_loss() -> None:
    """Found by another way: torch's descent on features brought to deviation 1."""
    (x, labels), (new, truth) = clusters(300, 0), clusters(200, 1)
    scaled, of_new = ((one - x.mean(0)) / x.std(0, correction=0) for one in (x, new))
    weight = torch.zeros(6, 4, requires_grad=True)
    bias = torch.zeros(4, requires_grad=True)
    descent = torch.optim.LBFGS([weight, bias], max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        descent.zero_grad()
        errors = nn.functional.cross_entropy(scaled @ weight + bias, labels, reduction="sum")
        total = errors + weight.square().sum() / 2
        total.backward()  # type: ignore[no-untyped-call]
        return total

    descent.step(loss)  # type: ignore[no-untyped-call]
    expected = float(((of_new @ weight + bias).argmax(1) == truth).double().mean())
    assert 0.4 < expected < 1 and logistic_accuracy(x, labels, new, truth) == expected


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12), nn.Dropout(), nn.Linear(12, 5))
        self.body[1].eval()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x)
        return found


def test_the_share_of_right_answers() -> None:
    assert share_right(torch.eye(2), torch.tensor([0, 0])) == 0.5


def test_features_are_those_of_eval_mode_and_modes_come_back() -> None:
    encoder = Encoder()
    images = torch.randint(0, 256, (7, 3, 2, 2)).to(torch.uint8)
    modes = [part.training for part in encoder.modules()]
    parts = [extract(encoder, images, batch_size=size) for size in (1, 3, 7, 100)]
    assert [part.training for part in encoder.modules()] == modes
    expected = encoder.eval()(as_floats(images)).detach()
    for part in parts:
        torch.testing.assert_close(part, expected)
        assert not part.requires_grad
    half = extract(encoder, images, lambda x: x.float() / 510)
    torch.testing.assert_close(half, encoder(images / 510).detach())


def test_modes_come_back_after_an_error() -> None:
    encoder = Encoder()
    with pytest.raises(RuntimeError), evaluating(encoder):
        raise RuntimeError
    assert encoder.body[2].training and not encoder.body[1].training


FEATURES, LABELS = clusters(30, 3)
NONE, ONE = (torch.zeros(n, 3, 2, 2, dtype=torch.uint8) for n in (0, 1))
BAD = FEATURES.clone()
BAD[3, 2] = torch.nan


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: knn_accuracy(FEATURES, LABELS, FEATURES, LABELS, k=0), "k is 0; expected 1 to 30"),
        (lambda: knn_accuracy(FEATURES, LABELS, FEATURES, LABELS, k=31), "k is 31; expected 1 to"),
        (lambda: knn_accuracy(FEATURES, LABELS[1:], FEATURES, LABELS), "torch.int64 (29,)"),
        (lambda: knn_accuracy(FEATURES, LABELS.float(), FEATURES, LABELS), "are torch.float32"),
        (lambda: knn_accuracy(FEATURES, LABELS - 9, FEATURES, LABELS), "labels lie in -9..-6"),
        (lambda: knn_accuracy(FEATURES, LABELS, FEATURES[:, 1:], LABELS), "(30, 5); expected"),
        (lambda: knn_accuracy(BAD, LABELS, FEATURES, LABELS), "NaN or infinite values"),
        (lambda: knn_accuracy(FEATURES, LABELS, BAD, LABELS), "NaN or infinite values"),
        (lambda: knn_accuracy(FEATURES, LABELS, FEATURES, LABELS[2:]), "labels are"),
        (lambda: ridge_accuracy(FEATURES, LABELS, BAD, LABELS), "NaN or infinite"),
        (lambda: ridge_accuracy(FEATURES[:2], LABELS[:2], FEATURES, LABELS), "features are 2 and"),
        (lambda: ridge_accuracy(FEATURES, LABELS, FEATURES[:, 1:], LABELS), "(30, 5); expected"),
        (lambda: logistic_accuracy(FEATURES, LABELS, FEATURES[:, 1:], LABELS), "(30, 5); expected"),
        (lambda: logistic_accuracy(BAD, LABELS, FEATURES, LABELS), "NaN or infinite"),
        (lambda: logistic_accuracy(FEATURES, 0 * LABELS + 3, FEATURES, LABELS), "are all 3; exp"),
        (lambda: ridge_accuracy(FEATURES, 0 * LABELS + 3, FEATURES, LABELS), "are all 3; exp"),
        (lambda: logistic_accuracy(FEATURES[:0], LABELS[:0], FEATURES, LABELS), "are (0, 6); exp"),
        (lambda: extract(Encoder(), NONE), "images is 0"),
        (lambda: extract(Encoder(), ONE, batch_size=0), "batch_size is 0"),
        (lambda: extract(nn.Conv2d(3, 1, 1), ONE), "features are (1, 1,"),
        (lambda: check_labels(torch.tensor([0, 3]), 2, 3), "labels lie in 0..3; expected 0..2"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        call()


@pytest.mark.parametrize("probe", [knn_accuracy, logistic_accuracy, ridge_accuracy])
def test_features_may_be_in_half_precision(probe: Callable[..., float]) -> None:
    half = FEATURES.bfloat16()
    assert probe(half, LABELS, half, LABELS) == probe(half.float(), LABELS, half.float(), LABELS)
