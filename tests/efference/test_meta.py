"""On ``meta`` tensors, whose values nobody knows, all runs: nothing waits for a device."""

from typing import Any

import pytest
import torch
from torch import nn

from plastorch.efference import (
    AUDIO,
    BYOL,
    CIFAR,
    IMAGENET,
    STL10,
    AudioViews,
    ImageViews,
    InverseModel,
    Kind,
    ReLIC,
    SimCLR,
    Weights,
    byol,
    compose,
    estimate_bins,
    invert,
    manipulation,
    nt_xent,
    projection,
    relic,
    resnet,
    small_resnet,
)
from plastorch.efference.dense import Segmenter

META = torch.device("meta")


def on_meta(module: nn.Module) -> Any:
    return module.to(META)


@pytest.mark.parametrize("views", [CIFAR, STL10, IMAGENET])
@pytest.mark.parametrize("side", [32, 256])
def test_views_of_images(views: ImageViews, side: int) -> None:
    view, actions = views(torch.zeros(4, 3, side, side, dtype=torch.uint8, device=META))
    assert view.shape == (4, 3, views.size, views.size) and view.device == META
    assert all(of.device == META for of in actions)


def test_views_of_sounds() -> None:
    view, actions = AUDIO(torch.zeros(4, 40, 101, device=META))
    assert view.shape == (4, 1, 40, 101) and view.device == actions.noise_seed.device == META


@pytest.mark.parametrize(
    ("views", "kind"),
    [(STL10, "egocentric"), (STL10, "full"), (STL10, "compatible"), (AUDIO, "audio")],
)
def test_targets(views: ImageViews | AudioViews, kind: Kind) -> None:
    bins = estimate_bins(views, kind, pairs=100)
    a, b = views.sample(4, device=META), views.sample(4, device=META)
    found = bins.targets(a, b)
    assert found.shape == (4, len(bins.sizes)) and found.device == META


def test_copies_are_composed() -> None:
    there = torch.zeros(4, 5, device=META)
    assert compose(there, invert(there)).device == META


def test_losses() -> None:
    z = torch.zeros(4, 4, 5, device=META, requires_grad=True)
    targets = torch.zeros(4, 2, dtype=torch.int64, device=META)
    action, each = manipulation((z[0], z[1]), targets, torch.ones(2, device=META))
    total = nt_xent(z[0], z[1]) + byol(z[0], z[1]) + relic(*z) + action
    total.backward()  # type: ignore[no-untyped-call]
    assert total.shape == () and each.shape == (2,) and z.grad is not None


@pytest.mark.parametrize("make", [resnet, small_resnet])
def test_encoders(make: Any) -> None:
    images = torch.zeros(2, 3, 32, 32, device=META)
    encoder = on_meta(make(width=4))
    assert encoder(images).shape == (2, encoder.features)


def test_heads() -> None:
    h = torch.zeros(4, 8, device=META)
    assert on_meta(projection(8, 6, 3))(h).shape == (4, 3)
    logits = on_meta(InverseModel(8, (3, 2)))(h, h)
    assert [of.shape for of in logits] == [(4, 3), (4, 2)]


def test_segmenters() -> None:
    images = torch.zeros(2, 3, 64, 64, dtype=torch.uint8, device=META)
    assert on_meta(Segmenter(small_resnet(4), 2))(images).shape == (2, 3, 64, 64)


@pytest.mark.parametrize("kind", [SimCLR, BYOL, ReLIC])
@pytest.mark.parametrize("factors", [(), (1.0, 0.5, 2.0, 1.0, 1.0)])
def test_a_whole_step(kind: Any, factors: tuple[float, ...]) -> None:
    bins = estimate_bins(CIFAR, "egocentric", pairs=100)
    weights = Weights(1.0, 1.0, factors)
    method = on_meta(kind(small_resnet(4), 16, bins.sizes, weights, hidden=8))
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1, momentum=0.9)
    images = torch.zeros(4, 3, 32, 32, dtype=torch.uint8, device=META)
    (view_a, a), (view_b, b) = CIFAR(images), CIFAR(images)
    losses = method(view_a, view_b, bins.targets(a, b), bins.targets(b, a))
    losses.total.backward()
    optimizer.step()
    method.after_step(0.5)
    assert losses.total.device == META and losses.right.shape == (5,)
