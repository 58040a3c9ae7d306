"""Places where heads read an encoder: its output or any block, as maps or vectors."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from plastorch.efference import (
    BYOL,
    CIFAR,
    InverseModel,
    ReLIC,
    SimCLR,
    Weights,
    estimate_bins,
    small_resnet,
)
from plastorch.efference.losses import manipulation
from plastorch.efference.places import Reader, block, read_blocks, shares, width
from plastorch.engine.errors import InputError

SIZES = (3, 2)
WITH = Weights(manipulation=0.5)


def made(kind: Any = SimCLR, at: Any = "output", weights: Weights = WITH) -> Any:
    torch.manual_seed(0)
    return kind(small_resnet(4), 16, SIZES, weights, hidden=10, efference_at=at)


def batch(rows: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    a, b = torch.rand(2, rows, 3, 16, 16, generator=random)
    targets = [torch.randint(-1, n, (rows,), generator=random) for n in SIZES]
    return a, b, torch.stack(targets, dim=1)


@pytest.mark.parametrize("kind", [SimCLR, BYOL, ReLIC])
@pytest.mark.parametrize("at", ["layer1", "layer2", {"layer2": 1.0, "output": 3.0}])
def test_heads_read_blocks_and_the_rest_starts_the_same(kind: Any, at: Any) -> None:
    method, plain = made(kind, at), made(kind, weights=Weights())
    state = method.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in plain.state_dict().items())
    a, b, targets = batch()
    losses = method(a, b, targets, targets)
    assert torch.equal(losses.discrimination, plain(a, b).discrimination)
    losses.total.backward()
    assert float(method.encoder.trunk.conv1.weight.grad.abs().max()) > 0
    assert losses.per_factor.shape == losses.right.shape == (2,)


def test_the_loss_is_that_of_the_blocks_maps_by_hand() -> None:
    at = {"layer2": 1.0, "output": 3.0}
    method, (a, b, targets) = made(at=at), batch()
    trunk = made(at=at).encoder.trunk
    maps = trunk[:-1](torch.cat([a, b]))
    h = trunk[-1](maps).mean(dim=(2, 3))
    convolution, norm = method.readers[0].layers[:2]
    read = torch.einsum("bchw,dc->bdhw", maps, convolution.weight[:, :, 0, 0])
    read = norm(read).relu()
    grid = read.unflatten(2, (4, -1)).unflatten(4, (4, -1)).mean(dim=(3, 5)).flatten(1)
    parts = [
        manipulation(head(*of.chunk(2)), targets)[0]
        for head, of in zip(method.heads, (grid, h), strict=True)
    ]
    losses = method(a, b, targets)
    torch.testing.assert_close(losses.manipulation, parts[0] / 4 + 3 * parts[1] / 4)
    torch.testing.assert_close(losses.total, losses.discrimination + 0.5 * losses.manipulation)


def test_gradients_of_a_block_leave_later_ones_alone() -> None:
    method, (a, b, targets) = made(at="layer2", weights=Weights(0.0, 1.0)), batch()
    method(a, b, targets).total.backward()
    trunk = method.encoder.trunk
    assert all(not p.grad.any() for p in trunk.layer3.parameters())
    assert all(p.grad.any() for p in trunk.layer1.parameters() if p.dim() > 1)


def test_a_single_weight_is_no_other_loss_and_no_weight_no_head() -> None:
    a, b, targets = batch()
    losses = [made(at=at)(a, b, targets).total for at in ("layer1", {"layer1": 7.0, "output": 0})]
    assert torch.equal(*losses)


def test_any_encoder_is_read_at_any_module_and_hooks_are_gone() -> None:
    encoder = resnet18(num_classes=9)
    assert [width(encoder, place) for place in ("layer1", "layer3.0", "avgpool", "fc")] == [
        64, 256, 512, 9]  # fmt: skip
    views = torch.rand(4, 3, 32, 32)
    output, read = read_blocks(encoder, views, ["layer3", "output", "fc", "avgpool"])
    assert [of.shape[1:] for of in read] == [(256, 2, 2), (9,), (9,), (512, 1, 1)]
    assert torch.equal(output, read[1]) and torch.equal(read[2], output)
    assert not any(module._forward_hooks for module in encoder.modules())
    for place, of in zip(("layer3", "fc"), (read[0], read[2]), strict=True):
        assert Reader(encoder, place, 9)(of).shape == (4, 512)
    method = SimCLR(encoder, 9, SIZES, WITH, efference_at={"layer2": 1, "fc": 1})
    targets = torch.zeros(2, 2, dtype=torch.int64)
    assert method(views[:2], views[2:], targets).total.isfinite()


def test_a_map_tells_where_things_are_and_a_mean_does_not() -> None:
    """A dot, whose place is the action: the map's grid keeps it."""
    dots = torch.zeros(16, 1, 8, 8)
    dots[torch.arange(16), 0, torch.arange(16) // 4 * 2, torch.arange(16) % 4 * 2] = 1
    torch.manual_seed(0)
    reader = Reader(nn.Sequential(nn.Conv2d(1, 1, 1)), "0", 1)
    assert torch.linalg.matrix_rank(reader.train()(dots)) >= 15
    assert len(dots.mean(dim=(1, 2, 3)).unique()) == 1  # type: ignore[no-untyped-call]


def test_predictions_are_of_the_sum_of_logits() -> None:
    method, (a, b, _) = made(at={"layer1": 1, "output": 1}).eval(), batch()
    h_a, h_b = (method.encoder(of) for of in (a, b))
    maps = [method.encoder.trunk[:4](of) for of in (a, b)]
    first = method.heads[0](*(method.readers[0](of) for of in maps))
    second = method.heads[1](h_a, h_b)
    expected = [(x + y).argmax(dim=1) for x, y in zip(first, second, strict=True)]
    assert torch.equal(method.predicted(a, b), torch.stack(expected, dim=1))


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.other = nn.Linear(12, 3), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.used(x.flatten(1))
        return found


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: made(at="layer9"), "efference_at is 'layer9'; expected a block of the encoder: "
         "output, conv1, bn1, relu, layer1"),
        (lambda: made(at=""), "efference_at is ''; expected a block"),
        (lambda: made(at={"layer1": -1.0}), "expected weights of 0 or more, not all 0"),
        (lambda: made(at={"layer1": 0.0}), "expected weights of 0 or more, not all 0"),
        (lambda: made(at={}), "expected weights of 0 or more, not all 0"),
        (lambda: made(at={"layer1": math.nan}), "expected weights"),
        (lambda: width(nn.Sequential(nn.Flatten()), "0"), "expected a block with parameters"),
        (lambda: Reader(small_resnet(4), "layer2", 16)(torch.zeros(2, 9, 4, 4)),
         r"features of layer2 have shape \(2, 9, 4, 4\); expected \(B, 8, h, w\) or \(B, 8\)"),
        (lambda: Reader(small_resnet(4), "layer2", 16)(torch.zeros(2, 8, 4)), r"shape \(2, 8, 4\)"),
        (lambda: Reader(small_resnet(4), "layer2", 16)(torch.full((2, 8, 1, 1), 1e6).half()),
         "features of layer2 overflow float16; expected bfloat16 or float32"),
        (lambda: read_blocks(Unused(), torch.zeros(2, 12), ["other"]), "'other'; expected a"),
        (lambda: made(at="layer1")(*batch(2)[:2]), "targets are missing"),
    ],
)  # fmt: skip
def test_bad_places(build: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        build()


def test_shares_sum_to_1_and_blocks_are_found_in_the_trunk() -> None:
    encoder = small_resnet(4)
    assert shares(encoder, {"layer1": 1, "layer2": 3}) == {"layer1": 0.25, "layer2": 0.75}
    assert block(encoder, "layer1.0") is encoder.trunk.layer1[0]


@pytest.mark.parametrize("at", ["output", "layer2"])
def test_an_inverse_model_learns_crops_from_either(at: str) -> None:
    """Of a fixed batch, which any place can be fitted to."""
    bins = estimate_bins(CIFAR, "egocentric", torch.Generator().manual_seed(0), 2000)
    torch.manual_seed(0)
    encoder = small_resnet(4)
    method = SimCLR(encoder, 16, bins.sizes, Weights(0.0, 1.0), efference_at=at)
    images = torch.randint(0, 256, (32, 3, 32, 32), dtype=torch.uint8)
    (view_a, a), (view_b, b) = (CIFAR(images, torch.Generator().manual_seed(n)) for n in (1, 2))
    optimizer = torch.optim.Adam(method.parameters(), 0.003)
    for _ in range(20):
        losses = method(view_a, view_b, bins.targets(a, b))
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
    assert isinstance(method.inverse, InverseModel)
    assert float(losses.right.sum() / losses.valid.sum()) > 0.6
