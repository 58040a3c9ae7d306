"""Heads of other papers: their equations by loops, and what each learns from."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.efference import (
    AUDIO,
    BYOL,
    CIFAR,
    ESSL,
    AugSelf,
    EquiMod,
    ReLIC,
    Rotations,
    SimCLR,
    Values,
    Weights,
    differences,
    egocentric_audio,
    estimate_values,
    full_command,
    small_resnet,
)
from plastorch.efference.rivals import equivariance
from plastorch.engine.errors import InputError

WITH = Weights(manipulation=0.5)


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(head: Any, sizes: Any, kind: Any = SimCLR, weights: Weights = WITH) -> Any:
    torch.manual_seed(0)
    return kind(small_resnet(4), 16, sizes, weights, hidden=10, efference=head)


def views(rows: int = 5) -> tuple[Tensor, Tensor]:
    a, b = torch.rand(2, rows, 3, 8, 8, generator=random(1))
    return a, b


def test_augself_predicts_differences_by_least_squares() -> None:
    method, (a, b) = made(AugSelf, (1,) * 3, weights=Weights(1.0, 0.5, (1.0, 2.0, 0.0))), views()
    forth, back = torch.randn(2, 5, 3, generator=random(2))
    losses = method(a, b, forth, back)
    h = made(AugSelf, (1,) * 3).encoder(torch.cat([a, b]))
    predicted = method.heads[0](h, h.roll(5, 0))
    square = (predicted - torch.cat([forth, back])).square().mean(dim=0)
    torch.testing.assert_close(losses.per_factor, square)
    torch.testing.assert_close(losses.manipulation, (square[0] + 2 * square[1]) / 3)
    torch.testing.assert_close(losses.total, losses.discrimination + 0.5 * losses.manipulation)
    assert losses.right is None and losses.valid is None


def test_differences_are_those_of_centers_sizes_and_colors() -> None:
    a, b = CIFAR.sample(50, random(1)), CIFAR.sample(50, random(2))
    found = differences(a, b)
    expected = [
        [
            float(getattr(b, name)[i] + share * getattr(b, extent)[i])
            - float(getattr(a, name)[i] + share * getattr(a, extent)[i])
            for name, extent, share in (
                ("left", "width", 0.5), ("top", "height", 0.5), ("width", "width", 0),
                ("height", "height", 0), ("brightness", "hue", 0), ("contrast", "hue", 0),
                ("saturation", "hue", 0), ("hue", "hue", 0),
            )
        ]
        for i in range(50)
    ]  # fmt: skip
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(differences(b, a), -found)


def naive(predicted: Tensor, embedding: Tensor, sources: int, temperature: float) -> float:
    total = 0.0
    for i in range(len(embedding)):
        near = float(F.cosine_similarity(embedding[i], predicted[i], dim=0)) / temperature
        others = [
            math.exp(float(F.cosine_similarity(embedding[i], embedding[k], dim=0)) / temperature)
            for k in range(len(embedding))
            if k % sources != i % sources
        ]
        total += math.log(sum(others)) - near
    return total / len(embedding)


@pytest.mark.parametrize("rows", [4, 8])
def test_equimod_is_its_equation(rows: int) -> None:
    predicted, embedding = torch.randn(2, rows, 6, generator=random(3))
    found = equivariance(predicted, embedding, 4, temperature=0.3)
    assert float(found) == pytest.approx(naive(predicted, embedding, 4, 0.3), rel=1e-4)


def test_equimod_predicts_the_other_view_from_the_action() -> None:
    method, (a, b) = made(EquiMod, (1,) * 2), views()
    forth, back = torch.randn(2, 5, 2, generator=random(2))
    losses = method(a, b, forth, back)
    head, h = made(EquiMod, (1,) * 2).heads[0], method.encoder(torch.cat([a, b]))
    z = head.embedding(torch.cat([h, h.roll(5, 0)]))[:10]
    predicted = head.predictor(torch.cat([z, torch.cat([forth, back])], dim=1))
    expected = naive(predicted.detach(), z.detach().roll(5, 0), 5, 0.2)
    assert losses.manipulation.item() == pytest.approx(expected, rel=1e-3)
    moved = method(a, b, forth + 1, back)
    assert not torch.allclose(moved.manipulation, losses.manipulation)


def test_equimod_learns_what_an_action_does() -> None:
    """Embeddings that actions turn: predicted only by those who use the action."""
    angle = torch.rand(64, generator=random()) * 6
    turn = torch.randn(64, generator=random(1))
    before, after = (torch.stack([of.cos(), of.sin()], dim=1) for of in (angle, angle + turn))
    torch.manual_seed(0)
    head = EquiMod(2, (1,), hidden=32, out=2)
    head.embedding = nn.Sequential(nn.Identity())
    optimizer = torch.optim.Adam(head.predictor.parameters(), 0.01)
    for _ in range(150):
        loss = equivariance(head(before, turn[:, None]), after, 64)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    near = [
        float(F.cosine_similarity(head.eval()(before, of[:, None]), after).mean().detach())
        for of in (turn, turn.flip(0))
    ]
    assert near[0] > 0.9 > near[1] + 0.2


def test_essl_turns_one_view_of_each_source() -> None:
    seen: list[Tensor] = []
    method, (a, b) = made(ESSL, (4,)), views(6)
    method.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    targets = Rotations().targets(CIFAR.sample(6), CIFAR.sample(6))
    losses = method(a, b, targets)
    assert len(seen[0]) == 18 and torch.equal(seen[0][:12], torch.cat([a, b]))
    for i, view in enumerate(seen[0][12:]):
        assert torch.equal(view, torch.rot90(a[i], i % 4, (1, 2)))
    logits = made(ESSL, (4,)).heads[0](made(ESSL, (4,)).encoder(seen[0])[12:])
    torch.testing.assert_close(losses.manipulation, F.cross_entropy(logits, targets[:, 0]))
    assert losses.valid.tolist() == [6] and losses.features.shape == (12, 16)


@pytest.mark.parametrize("kind", [SimCLR, BYOL, ReLIC])
@pytest.mark.parametrize(("head", "sizes"), [(AugSelf, (1, 1)), (EquiMod, (1, 1)), (ESSL, (4,))])
def test_each_head_is_beside_each_method(kind: Any, head: Any, sizes: Any) -> None:
    method, plain, (a, b) = made(head, sizes, kind), made(head, sizes, kind, Weights()), views(6)
    assert plain.inverse is None
    state = method.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in plain.state_dict().items())
    targets = torch.arange(6)[:, None] % 4 if head is ESSL else torch.randn(6, 2)
    method(a, b, targets).total.backward()
    assert float(method.encoder.trunk.conv1.weight.grad.abs().max()) > 0


@pytest.mark.parametrize("name", ["differences", "full", "audio"])
def test_values_are_standardized(name: Any) -> None:
    law, of = {
        "differences": (CIFAR, differences),
        "full": (CIFAR, full_command),
        "audio": (AUDIO, egocentric_audio),
    }[name]
    values = estimate_values(law, name, random(), 4000)
    a, b = law.sample(4000, random(1)), law.sample(4000, random(2))
    found, plain = values.targets(a, b), of(a, b)  # type: ignore[operator]
    assert len(values.sizes) == len(values.factors) == found.shape[1]
    mean, scale = (torch.tensor(part) for part in (values.mean, values.scale))
    torch.testing.assert_close(found, (plain - mean) / scale)
    varied = plain.std(dim=0) > 0
    assert float((found.std(dim=0) - 1)[varied].abs().max()) < 0.1
    assert not found[:, ~varied].any()


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: AugSelf(4, ()), "sizes is 0"),
        (lambda: EquiMod(4, (1,), temperature=0.0), "temperature is 0.0"),
        (lambda: ESSL(4, (3,)), r"sizes is \(3,\); expected \(4,\)"),
        (lambda: made(ESSL, (4,))(*(v[..., :4] for v in views()), torch.zeros(5, 1).long()),
         "expected square images"),
        (lambda: made(ESSL, (4,))(*views(), torch.zeros(5, 2).long()), r"expected \(5, 1\)"),
        (lambda: made(AugSelf, (1,))(*views(), torch.zeros(5, 1).long()), "expected numbers"),
        (lambda: made(AugSelf, (1,) * 3)(*views(), torch.zeros(5, 1)), r"expected \(5, 3\)"),
        (lambda: made(EquiMod, (1,))(*views()), "targets are missing"),
        (lambda: equivariance(torch.zeros(4, 2), torch.zeros(4, 3), 4), "expected the same"),
        (lambda: equivariance(torch.zeros(4, 2), torch.zeros(4, 2), 1), "of 1 sources"),
        (lambda: Values("audio", (0.0,), (1.0,)), "expected 5 numbers each"),
        (lambda: Values("x", (0.0,), (1.0,)), "kind is 'x'"),  # type: ignore[arg-type]
        (lambda: estimate_values(CIFAR, "full", pairs=0), "pairs is 0"),
        (lambda: differences(CIFAR.sample(2), CIFAR.sample(3)), "b has 3 views; expected 2"),
    ],
)  # fmt: skip
def test_bad_input(build: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        build()
