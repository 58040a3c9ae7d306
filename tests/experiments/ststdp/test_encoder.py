"""The encoder of ststdp-features: what it takes for the figure, its views, and its features."""

import copy
import math

import pytest
import torch
from torch import Tensor

from plastorch.engine.streams import stream
from plastorch.experiments.ststdp.encoder import HABITUATION, VIEWS, Encoder, figure, noisy, viewed
from plastorch.learning.phases import run_phase
from plastorch.spiking.shortterm.streams import Stream


@pytest.fixture(scope="module")
def frames() -> Tensor:
    """Strokes on a dark background [T, S, H²]."""
    images = torch.zeros(3, 2, 28, 28)
    for number, image in enumerate(images.flatten(0, 1)):
        image[6:22, 8 + 2 * number : 11 + 2 * number] = 0.9
    return images.flatten(2)


@pytest.fixture(scope="module")
def encoder(frames: Tensor) -> Encoder:
    encoder = Encoder(28, seed=1)
    run_phase(encoder.training_phase(frames.view(-1, 28, 28)))
    encoder.eval().habituate(frames.view(-1, 28, 28))
    return encoder


def test_features_are_the_largest_of_all_views(encoder: Encoder, frames: Tensor) -> None:
    found = encoder(frames)
    assert found.shape == (3, 2, encoder.features) and encoder.features == math.prod(encoder.maps)
    for t in range(3):
        for s in range(2):
            shown = figure(frames[t, s].view(1, 1, 28, 28))
            views = torch.stack([encoder.net.features(viewed(shown, *view)) for view in VIEWS])
            largest = views.amax((0, 1))
            rest = largest / largest.max() - HABITUATION * encoder.usual
            torch.testing.assert_close(found[t, s], rest.relu() / rest.max())
    assert found.min() >= 0 and (found.amax(-1) == 1).all()


def test_usual_features_are_means_of_noisy_digits(encoder: Encoder, frames: Tensor) -> None:
    fresh = copy.deepcopy(encoder)
    fresh.usual.zero_()
    images = noisy(frames.view(6, 28, 28), stream(encoder.seed, Stream.ENCODER)).flatten(1)
    torch.testing.assert_close(encoder.usual, fresh(images.unsqueeze(1)).mean((0, 1)))


def test_features_of_nothing_are_zeros_or_ones_at_most(encoder: Encoder) -> None:
    found = encoder(torch.zeros(1, 1, 784))
    assert found.isfinite().all() and found.min() >= 0 and found.max() <= 1


def test_training_is_reproducible_and_changes_all_layers(encoder: Encoder, frames: Tensor) -> None:
    new, again = Encoder(28, seed=1), Encoder(28, seed=1)
    run_phase(again.training_phase(frames.view(-1, 28, 28)))
    for block, twin, start in zip(
        encoder.net.blocks, again.net.blocks, new.net.blocks, strict=True
    ):
        assert torch.equal(block.conv.weight, twin.conv.weight)
        assert not torch.equal(block.conv.weight, start.conv.weight)
    assert not any(p.requires_grad for p in encoder.parameters())


@pytest.mark.parametrize("contrast", [0.6, -0.6, -1.0])
def test_a_figure_is_the_same_in_the_negative(contrast: float, frames: Tensor) -> None:
    images = frames.view(-1, 1, 28, 28)
    negative = 0.5 - contrast * (images - 0.5)
    torch.testing.assert_close(figure(negative), figure(0.5 + contrast * (images - 0.5)))


def test_a_figure_has_no_noise_and_unit_deviation(frames: Tensor) -> None:
    images = frames.view(-1, 1, 28, 28)
    faint = 0.1 * torch.rand(images.shape, generator=stream(2))
    found = figure(images + faint)
    assert ((found > 0) == (images > 0)).all()
    torch.testing.assert_close(found.square().mean((1, 2, 3)), torch.ones(6))
    assert not figure(torch.full((1, 1, 28, 28), 0.7)).any()


def test_views_turn_and_scale() -> None:
    x = torch.rand(2, 1, 9, 9, generator=stream(3))
    assert viewed(x, 0.0, 1.0) is x
    for quarters in (1, -1, 2):
        expected = torch.rot90(x, quarters, (2, 3))
        torch.testing.assert_close(viewed(x, 90.0 * quarters, 1.0), expected, rtol=0, atol=1e-5)
    small = torch.zeros(1, 1, 9, 9)
    small[..., 3:6, 3:6] = 1
    assert viewed(small, 0.0, 3.0)[..., 1:8, 1:8].min() > 0.9
    assert viewed(small, 0.0, 1 / 3)[0, 0].count_nonzero() == 1
