"""Losses against lightly's, against loops over their equations, and their gradients."""

from collections.abc import Callable
from math import exp, inf, log
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from plastorch.efference.losses import byol, manipulation, nt_xent, relic
from plastorch.engine.errors import InputError


def projections(count: int, rows: int = 4, width: int = 3, seed: int = 0) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return list(torch.randn(count, rows, width, generator=random, dtype=torch.float64))


def cosine(one: Tensor, other: Tensor) -> float:
    return float(one @ other / (one.norm() * other.norm()))


def log_share(own: int, logits: list[float]) -> float:
    """Log of the softmax."""
    return logits[own] - log(sum(exp(value) for value in logits))


sizes = st.integers(2, 6)
temperatures = st.floats(0.05, 2)
seeds = st.integers(0, 999)


@given(rows=sizes, width=sizes, temperature=temperatures, seed=seeds)
def test_simclr_is_its_equation(rows: int, width: int, temperature: float, seed: int) -> None:
    z_a, z_b = projections(2, rows, width, seed)
    z, expected = torch.cat([z_a, z_b]), 0.0
    for i in range(2 * rows):
        others = [j for j in range(2 * rows) if j != i]
        logits = [cosine(z[i], z[j]) / temperature for j in others]
        expected -= log_share(others.index((i + rows) % (2 * rows)), logits) / (2 * rows)
    assert float(nt_xent(z_a, z_b, temperature)) == pytest.approx(expected, abs=1e-9)


@given(rows=sizes, width=sizes, temperature=temperatures, seed=seeds)
def test_simclr_is_lightlys(rows: int, width: int, temperature: float, seed: int) -> None:
    loss = pytest.importorskip("lightly.loss")
    z_a, z_b = projections(2, rows, width, seed)
    expected = loss.NTXentLoss(temperature=temperature)(z_a, z_b)
    torch.testing.assert_close(nt_xent(z_a, z_b, temperature), expected)


@given(rows=st.integers(1, 6), width=sizes, seed=seeds)
def test_byol_is_lightlys_up_to_constants(rows: int, width: int, seed: int) -> None:
    loss = pytest.importorskip("lightly.loss")
    p, z = projections(2, rows, width, seed)
    torch.testing.assert_close(byol(p, z), 2 + 2 * loss.NegativeCosineSimilarity()(p, z))
    distance = (F.normalize(p, dim=1) - F.normalize(z, dim=1)).square().sum(dim=1)
    torch.testing.assert_close(byol(p, z), distance.mean())


def relic_by_loops(
    z: list[Tensor], targets: list[Tensor], temperature: float, alpha: float
) -> float:
    rows, found = len(z[0]), 0.0
    logs: list[list[list[float]]] = [[], []]
    for view in (0, 1):
        for i in range(rows):
            logits = [cosine(z[view][i], targets[1 - view][j]) / temperature for j in range(rows)]
            logs[view].append([log_share(j, logits) for j in range(rows)])
            found -= logs[view][i][i] / (2 * rows)
    for one, other in zip(*logs, strict=True):
        found += alpha * sum(exp(p) * (p - q) for p, q in zip(one, other, strict=True)) / rows
    return found


@given(rows=sizes, temperature=temperatures, alpha=st.floats(0, 3), seed=seeds)
def test_relic_is_its_equation(rows: int, temperature: float, alpha: float, seed: int) -> None:
    z_a, z_b, target_a, target_b = projections(4, rows, 3, seed)
    found = relic(z_a, z_b, target_a, target_b, temperature=temperature, alpha=alpha)
    expected = relic_by_loops([z_a, z_b], [target_a, target_b], temperature, alpha)
    assert float(found) == pytest.approx(expected, abs=1e-9)


def test_relics_first_distribution_is_held_still() -> None:
    """With distributions that don't depend on it, α changes nothing in the gradient of view a."""
    gradients = []
    for alpha in (0.0, 5.0):
        z_a, z_b, target_a, target_b = projections(4)
        z_a.requires_grad_(True)
        z_b.requires_grad_(True)
        relic(z_a, z_b, target_a, target_b, alpha=alpha).backward()  # type: ignore[no-untyped-call]
        gradients.append((z_a.grad, z_b.grad))
    assert torch.equal(gradients[0][0], gradients[1][0])  # type: ignore[arg-type]
    assert not torch.allclose(gradients[0][1], gradients[1][1])  # type: ignore[arg-type]


def test_nothing_flows_to_targets() -> None:
    z_a, z_b, target_a, target_b = (z.requires_grad_(True) for z in projections(4))
    (relic(z_a, z_b, target_a, target_b) + byol(z_a, target_b)).backward()  # type: ignore[no-untyped-call]
    assert target_a.grad is None and target_b.grad is None
    assert z_a.grad is not None and z_b.grad is not None


@given(
    rows=st.integers(1, 6),
    classes=st.lists(st.integers(2, 5), min_size=1, max_size=4),
    weighted=st.booleans(),
    seed=seeds,
)
def test_manipulation_is_a_mean_of_means(
    rows: int, classes: list[int], weighted: bool, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = [torch.randn(rows, size, generator=random).double() for size in classes]
    targets = torch.stack(
        [torch.randint(-1, size, (rows,), generator=random) for size in classes], dim=1
    )
    weights = torch.rand(len(classes), generator=random).double() + 0.1 if weighted else None
    total, share, each = 0.0, 0.0, []
    for k, of in enumerate(logits):
        pairs = zip(targets[:, k].tolist(), of.tolist(), strict=True)
        wrong = [-log_share(target, row) for target, row in pairs if target >= 0]
        each.append(sum(wrong) / len(wrong) if wrong else 0.0)
        if wrong:
            weight = 1.0 if weights is None else float(weights[k])
            total, share = total + weight * each[-1], share + weight
    loss, found = manipulation(logits, targets, weights)
    assert float(loss) == pytest.approx(total / share if share else 0.0)
    assert found.tolist() == pytest.approx(each)


def test_without_targets_there_is_no_loss_and_no_gradient() -> None:
    logits = [torch.randn(3, 4, requires_grad=True), torch.randn(3, 2, requires_grad=True)]
    loss, each = manipulation(logits, torch.full((3, 2), -1))
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0 and each.tolist() == [0, 0]
    for of in logits:
        assert of.grad is not None and not of.grad.any()


def test_chance_costs_the_logarithm_of_the_classes() -> None:
    loss, each = manipulation([torch.zeros(5, 8), torch.zeros(5, 2)], torch.zeros(5, 2).long())
    torch.testing.assert_close(each, torch.tensor([log(8), log(2)]))
    assert float(loss) == pytest.approx((log(8) + log(2)) / 2)


@pytest.mark.parametrize(
    ("loss", "count"),
    [
        (lambda z_a, z_b: nt_xent(z_a, z_b, 0.2), 2),
        (lambda z_a, z_b: manipulation((z_a, z_b), torch.tensor([[0, 2], [-1, 1]] * 2))[0], 2),
        (lambda p: byol(p, projections(3)[2]), 1),
        (lambda z_a, z_b: relic(z_a, z_b, *projections(4)[2:], alpha=0.0), 2),
        # α moves view b alone
        (lambda z_b: relic(projections(4)[0], z_b, *projections(4)[2:], alpha=2.0), 1),
    ],
)
def test_gradients(loss: Callable[..., Tensor], count: int) -> None:
    inputs = [z.requires_grad_(True) for z in projections(count, seed=1)]
    assert torch.autograd.gradcheck(loss, inputs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype: torch.dtype) -> None:
    """Even where all are equal, so that nothing but the anchor itself is left out."""
    z_a, z_b = (z.to(dtype).requires_grad_(True) for z in projections(2, rows=5))
    same = torch.ones(5, 3, dtype=dtype, requires_grad=True)
    for one, other in ((z_a, z_b), (same, same)):
        for loss, least in (
            (nt_xent(one, other, 0.01), nt_xent(one.float(), other.float(), 0.01)),
            (byol(one, other), byol(one.float(), other.float())),
            (
                relic(one, other, one, other, temperature=0.01),
                relic(*[one.float(), other.float()] * 2, temperature=0.01),
            ),
        ):
            assert torch.equal(loss, least) and loss.dtype == torch.float32
            (gradient,) = torch.autograd.grad(loss, one)
            assert torch.isfinite(gradient).all()
    assert float(nt_xent(same.detach(), same.detach(), 0.01)) == pytest.approx(log(9))


def weighted(z: Tensor, weights: list[Any]) -> Tensor:
    return manipulation((z, z), torch.zeros(4, 2).long(), torch.tensor(weights))[0]


def test_autocast_changes_nothing() -> None:
    z = [of.float() for of in projections(4)]
    expected = nt_xent(*z[:2]), relic(*z), byol(*z[:2])
    with torch.autocast("cpu", torch.bfloat16):
        found = nt_xent(*z[:2]), relic(*z), byol(*z[:2])
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda z: nt_xent(z[:1], z[:1]), r"shapes \(1, 3\) and \(1, 3\); .* B at least 2"),
        (lambda z: nt_xent(z, z[:3]), r"shapes \(4, 3\) and \(3, 3\); expected the same"),
        (lambda z: nt_xent(z[0], z[0]), r"shapes \(3,\) and \(3,\)"),
        (lambda z: nt_xent(z, z, 0.0), "temperature is 0.0"),
        (lambda z: nt_xent(z, z, -inf), "temperature is -inf"),
        (lambda z: byol(z[:0], z[:0]), "B at least 1"),
        (lambda z: byol(z, z[:, :2]), r"shapes \(4, 3\) and \(4, 2\)"),
        (lambda z: relic(z, z, z, z[:2]), r"shapes \(4, 3\) and \(2, 3\)"),
        (lambda z: relic(z, z, z, z, alpha=-1.0), "alpha is -1.0; expected 0 or more"),
        (lambda z: manipulation((), torch.zeros(4, 0).long()), "one row and factor or more"),
        (lambda z: manipulation((z,), torch.zeros(4, 2).long()), r"expected \(4, 1\), int64"),
        (lambda z: manipulation((z,), torch.zeros(4, 1)), "type torch.float32"),
        (
            lambda z: manipulation((z,), torch.full((4, 1), 3)),
            r"to \[3\]; expected -1 to \[2\]",
        ),
        (lambda z: manipulation((z,), torch.full((4, 1), -2)), r"from \[-2\]"),
        (lambda z: weighted(z, [-1.0, 1.0]), r"weights are \[-1.0, 1.0\]; expected 2, one for"),
        (lambda z: weighted(z, [1.0]), r"weights are \[1.0\]; expected 2"),
        (lambda z: weighted(z, [[1.0], [1.0]]), "expected 2"),
        (lambda z: weighted(z, [1.0, inf]), r"weights are \[1.0, inf\]"),
    ],
)
def test_bad_input(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call(projections(1)[0])
