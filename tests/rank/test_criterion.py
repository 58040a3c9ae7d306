"""Crossings, losses and what an optimal network does, against loops and closed forms."""

from math import log
from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from plastorch.engine.errors import InputError
from plastorch.rank import criterion
from plastorch.rank.criterion import (
    check_threshold,
    crosses,
    crossing_before,
    effective_threshold,
    entropy,
    first_crossing,
    probabilities,
    rank_loss,
)


@given(
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(1, 4)),
    thresholds=st.lists(st.floats(0.05, 1.0), min_size=1, max_size=11),
    ends=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 999),
)
def test_the_compiled_search_is_that_of_torch(
    sizes: tuple[int, int, int],
    thresholds: list[float],
    ends: bool,
    dtype: torch.dtype,
    seed: int,
) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = (3 * torch.randn(sizes, generator=random)).to(dtype)
    logits[torch.rand(sizes, generator=random) < 0.05] = torch.nan
    logits[torch.rand(sizes, generator=random) < 0.05] = torch.inf
    limits = torch.randint(-2, len(logits) + 1, sizes[1:2], generator=random) if ends else None
    for threshold in (thresholds[0], torch.tensor(thresholds, dtype=dtype)):
        ours = crossing_before(logits, threshold, limits)
        with patch.object(criterion, "traced", lambda: True):
            theirs = crossing_before(logits, threshold, limits)
        assert torch.equal(ours[0], theirs[0]) and torch.equal(ours[1], theirs[1])


@given(
    classes=st.integers(1, 4),
    threshold=st.floats(0.0, 1.0, exclude_min=True),
    seed=st.integers(0, 999),
)
def test_first_crossing_is_that_of_a_loop(classes: int, threshold: float, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(7, 5, classes, generator=random)
    lengths = torch.randint(1, 8, (5,), generator=random)
    steps, crossed = first_crossing(logits, threshold, lengths)
    for b in range(5):
        expected, found = int(lengths[b]) - 1, False
        for t in range(int(lengths[b])):
            p = probabilities(logits[t, b])
            best = max(float(p), float(1 - p)) if classes == 1 else float(p.max())
            if best > threshold:
                expected, found = t, True
                break
        assert (int(steps[b]), bool(crossed[b])) == (expected, found)


@pytest.mark.parametrize(
    "logits", [torch.zeros(7, 2), torch.zeros(7, 2, 0), torch.zeros(7, 2, 3).long()]
)
def test_bad_logits(logits: torch.Tensor) -> None:
    with pytest.raises(InputError, match=r"logits have shape .*; expected \(T, B, C\), not empty"):
        first_crossing(logits, 0.9)


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 1.5, float("nan")])
def test_bad_thresholds(threshold: float) -> None:
    with pytest.raises(InputError, match=r"threshold is .*; expected more than 0 and at most 1"):
        first_crossing(torch.zeros(7, 2, 3), threshold)


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        (torch.tensor([0, 7]), "lengths are from 0 to 7; expected 1 to 7"),
        (torch.tensor([8, 1]), "lengths are from 1 to 8"),
        (torch.tensor([7]), r"lengths have shape \(1,\)"),
        (torch.tensor([1.0, 2.0]), "type torch.float32"),
    ],
)
def test_bad_lengths(lengths: torch.Tensor, words: str) -> None:
    with pytest.raises(InputError, match=words):
        first_crossing(torch.zeros(7, 2, 3), 0.9, lengths)


def test_a_crossing_at_the_first_step_is_one() -> None:
    logits = torch.tensor([[[9.0, 0.0]], [[0.0, 0.0]], [[0.0, 9.0]]])
    steps, crossed = first_crossing(logits, 0.9)
    assert steps.tolist() == [0] and crossed.tolist() == [True]


@given(st.lists(st.floats(-8, 8), min_size=2, max_size=5), st.floats(0, 0.5))
def test_loss_is_cross_entropy_less_entropy(values: list[float], weight: float) -> None:
    logits = torch.tensor([values], dtype=torch.float64)
    p = probabilities(logits)[0]
    expected = -log(float(p[1])) + weight * sum(float(q) * log(float(q)) for q in p)
    found = rank_loss(logits, torch.tensor([1]), weight)
    assert float(found) == pytest.approx(expected, abs=1e-9)


def test_a_single_output_is_two_classes() -> None:
    one, two = torch.tensor([[1.3], [-0.4]]), torch.tensor([[0.0, 1.3], [0.0, -0.4]])
    labels = torch.tensor([1, 1])
    torch.testing.assert_close(entropy(one), entropy(two))
    torch.testing.assert_close(rank_loss(one, labels, 0.2), rank_loss(two, labels, 0.2))
    assert crosses(one, 0.7).tolist() == crosses(two, 0.7).tolist() == [True, False]


@pytest.mark.parametrize("weight", [0.0, 0.1, 0.3])
def test_entropy_raises_the_posterior_that_a_threshold_needs(weight: float) -> None:
    """The best output for a posterior q, found by minimizing the loss, crosses 0.95 at that q."""

    def best(q: float) -> float:
        def slope(logit: float) -> float:
            o = torch.tensor([[logit]], dtype=torch.float64, requires_grad=True)
            losses = [rank_loss(o, torch.tensor([label]), weight) for label in (0, 1)]
            ((1 - q) * losses[0] + q * losses[1]).backward()  # type: ignore[no-untyped-call]
            assert o.grad is not None
            return float(o.grad)

        return float(torch.sigmoid(torch.tensor(brentq(slope, -1, 20), dtype=torch.float64)))

    needed = effective_threshold(0.95, weight)
    assert best(needed) == pytest.approx(0.95, abs=1e-6)
    assert best(needed - 0.01) < 0.95 < best(min(needed + 0.003, 0.9999))


def test_with_much_entropy_no_evidence_is_enough() -> None:
    bound = 1 / (0.95 * log(0.95 / 0.05))
    assert effective_threshold(0.95, bound) == pytest.approx(1.0)
    assert effective_threshold(0.95, 1.01 * bound) > 1


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (torch.tensor([0, 3]), "labels go from 0 to 3; expected 0 to 2"),
        (torch.tensor([-1, 0]), "labels go from -1"),
        (torch.tensor([0]), r"labels have shape \(1,\)"),
        (torch.tensor([0.0, 1.0]), "type torch.float32; expected"),
        (torch.tensor([0, 1], dtype=torch.int32), "type torch.int32; expected"),
        (torch.tensor([True, False]), "type torch.bool; expected"),
    ],
)
def test_bad_labels(labels: torch.Tensor, words: str) -> None:
    with pytest.raises(InputError, match=words):
        rank_loss(torch.zeros(2, 3), labels)


def test_there_are_labels() -> None:
    with pytest.raises(InputError, match=r"labels have shape \(0,\).*not empty"):
        rank_loss(torch.zeros(0, 3), torch.zeros(0).long())


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 1)])
def test_weights_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"weights have shape .*; expected \(2,\)"):
        rank_loss(torch.zeros(2, 3), torch.tensor([0, 1]), weights=torch.ones(shape))


def test_samples_without_weight_have_no_loss() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    loss = rank_loss(logits, torch.tensor([0, 1]), weights=torch.zeros(2))
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0 and logits.grad is not None and not logits.grad.any()


def test_there_is_a_threshold_or_more() -> None:
    with pytest.raises(InputError, match="expected one number or more"):
        check_threshold(torch.zeros(0))
