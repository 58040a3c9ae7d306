"""Objectives of training against loops over samples and steps, and what they don't compute."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from plastorch.engine.errors import InputError
from plastorch.rank import Batch, RankCoder, losses
from plastorch.rank.objectives import Objective

THETA, ALPHA = 0.6, 0.7


def coder(classes: int, **settings: Any) -> RankCoder:
    torch.manual_seed(0)
    core, readout = nn.GRU(4, 6).double(), nn.Linear(6, classes).double()
    nn.init.normal_(readout.weight, std=1.5)
    return RankCoder(core, readout, threshold=THETA, chunk=4, **settings)


def sequences(classes: int, lengths: bool) -> Batch:
    random = torch.Generator().manual_seed(3)
    x = torch.randn(9, 5, 4, generator=random, dtype=torch.float64)
    labels = torch.randint(0, max(2, classes), (5,), generator=random)
    ends = torch.tensor([9, 1, 5, 8, 3]) if lengths else None
    return Batch(x, labels, ends, torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0], dtype=torch.float64))


def course(model: RankCoder, batch: Batch, row: int) -> list[tuple[float, float]]:
    """Returns cross-entropy and confidence after each step of a sample."""
    logits = model.all_steps(batch.x)[:, row].detach()
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    chances = logits.softmax(dim=1)
    end = 9 if batch.lengths is None else int(batch.lengths[row])
    return [(-math.log(p[batch.labels[row]]), float(p.max())) for p in chances[:end]]


def naive(steps: list[tuple[float, float]], objective: str) -> float:
    end = len(steps)
    first = next((t for t, (_, sure) in enumerate(steps) if sure > THETA), end - 1)
    if objective == "hybrid":
        return sum(steps[min(t, first)][0] for t in range(end)) / end
    if objective == "cost":
        total, reached = 0.0, 1.0
        for t, (wrong, sure) in enumerate(steps):
            odds = sure / (1 - sure) * (1 - THETA) / THETA
            stop = 1.0 if t == end - 1 else odds / (1 + odds)
            total += reached * stop * (ALPHA * wrong + (1 - ALPHA) * (t + 1) / end)
            reached *= 1 - stop
        return total
    if objective == "all":
        return sum(wrong for wrong, _ in steps) / end
    return steps[first if objective == "first" else -1][0]


@pytest.mark.parametrize("objective", ["first", "last", "all", "hybrid", "cost"])
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("lengths", [False, True])
def test_weighted_losses(objective: Objective, classes: int, lengths: bool) -> None:
    model, batch = coder(classes), sequences(classes, lengths)
    assert batch.weights is not None
    each = [naive(course(model, batch, row), objective) for row in range(5)]
    expected = sum(w * x for w, x in zip(batch.weights.tolist(), each, strict=True)) / 7.5
    found, decision = losses(model, batch, objective, ALPHA)
    tolerance = 2e-3 if objective == "cost" else 1e-9  # steps that are hardly reached are left out
    assert float(found.detach()) == pytest.approx(expected, rel=tolerance)
    plain = losses(model, batch._replace(weights=None), objective, ALPHA)[0]
    assert float(plain.detach()) == pytest.approx(sum(each) / 5, rel=tolerance)
    assert decision.step.shape == (5,)


@pytest.mark.parametrize("objective", ["first", "all", "hybrid"])
def test_gradients_of_functions_are_those_of_backward(objective: Objective) -> None:
    model, batch = coder(3), sequences(3, True)

    def loss(readout: Tensor) -> Tensor:
        weights = {"readout.weight": readout}
        with nn.utils.stateless._reparametrize_module(model, weights):
            return losses(model, batch, objective)[0]

    weight = model.readout.weight
    assert isinstance(weight, Tensor)
    losses(model, batch, objective)[0].backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(torch.func.grad(loss)(weight.detach()), weight.grad)


@pytest.mark.parametrize("objective", ["first", "hybrid", "cost"])
def test_what_comes_after_the_answer_is_not_computed(objective: Objective) -> None:
    """A sure network reads little, and gradients of later inputs are exactly zero."""
    model, batch = coder(3), sequences(3, False)
    nn.init.normal_(model.readout.weight, std=30.0)  # type: ignore[arg-type]
    x = batch.x.clone().requires_grad_()
    loss, decision = losses(model, batch._replace(x=x), objective, ALPHA)
    loss.backward()  # type: ignore[no-untyped-call]
    assert decision.computed < 9 * 5 and x.grad is not None
    counted = x.grad.any(dim=2)
    assert bool(counted[0].any()) and int(counted.sum()) <= decision.computed
    if objective != "cost":  # which goes on until the chance of stopping is nearly 1
        assert not bool(counted[torch.arange(9)[:, None] > decision.step].any())


@pytest.mark.parametrize("objective", ["first", "last", "all", "hybrid", "cost"])
@pytest.mark.parametrize("lengths", [False, True])
def test_losses_of_meta_tensors_have_shapes_and_gradients(
    objective: Objective, lengths: bool
) -> None:
    """They are those of a batch on the CPU, except that all steps count as computed."""
    model, batch = coder(3), sequences(3, lengths)
    loss, decision = losses(model, batch, objective, ALPHA)
    batch = batch.to(torch.device("meta"))
    found, made = losses(model.to("meta"), batch, objective, ALPHA)
    found.backward()  # type: ignore[no-untyped-call]
    assert found.is_meta
    assert (found.shape, made.logits.shape) == (loss.shape, decision.logits.shape)
    assert made.step.shape == made.crossed.shape == decision.step.shape
    assert made.computed == 9 * 5
    assert all(p.grad is not None and p.grad.is_meta for p in model.parameters())


def test_logits_of_meta_tensors_are_those_of_all_steps() -> None:
    model = coder(3).to("meta")
    x = sequences(3, False).x.to("meta")
    logits, decision = model.up_to_answers(x)
    assert logits.shape == model.all_steps(x).shape and decision.label.shape == (5,)


@pytest.mark.parametrize("objective", ["first", "last", "all", "hybrid", "cost"])
def test_answers_are_the_first_crossings(objective: Objective) -> None:
    model, batch = coder(3), sequences(3, True)
    nn.init.normal_(model.readout.weight, std=9.0)  # type: ignore[arg-type]
    _, decision = losses(model, batch, objective, ALPHA)
    for row in range(5):
        sure = [confidence for _, confidence in course(model, batch, row)]
        first = next((t for t, c in enumerate(sure) if c > THETA), len(sure) - 1)
        assert int(decision.step[row]) == first
        assert bool(decision.crossed[row]) == (sure[first] > THETA)


def test_unknown_objectives_are_refused() -> None:
    with pytest.raises(InputError, match="firts"):
        losses(coder(3), sequences(3, False), "firts")  # type: ignore[arg-type]


def test_cost_falls_with_earlier_answers_and_its_gradient_is_exact() -> None:
    """With equal outputs at all steps, only the time counts; finite differences agree."""
    model, batch = coder(2), sequences(2, True)._replace(weights=None)

    def cost(bias: Tensor) -> Tensor:
        model.readout.bias = nn.Parameter(bias)  # type: ignore[assignment]
        return losses(model, batch, "cost", ALPHA)[0]

    bias, shift = torch.tensor([0.3, -0.2], dtype=torch.float64), 1e-6
    cost(bias).backward()  # type: ignore[no-untyped-call]
    slope = model.readout.bias.grad
    for place in range(2):
        ends = [bias + sign * shift * torch.eye(2, dtype=torch.float64)[place] for sign in (-1, 1)]
        low, high = (float(cost(end).detach()) for end in ends)
        assert isinstance(slope, Tensor)
        assert float(slope[place]) == pytest.approx((high - low) / (2 * shift), rel=1e-4)
    values = [float(losses(model, batch, "cost", alpha)[0].detach()) for alpha in (0.2, 0.5, 0.8)]
    assert all(first != second for first, second in pairwise(values))


@pytest.mark.parametrize(
    ("threshold", "alpha", "message"),
    [
        (1.0, 0.5, "threshold is 1"),
        (0.9, 1.0, "alpha is 1.0"),
        (torch.full((9,), 0.9), 0.5, "step"),
    ],
)
def test_bad_settings_of_cost_are_named(threshold: Any, alpha: float, message: str) -> None:
    model = coder(3)
    model.threshold = threshold
    with pytest.raises(InputError, match=message):
        losses(model, sequences(3, False), "cost", alpha)
