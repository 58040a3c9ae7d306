"""Heads: lightly's with the same weights, and what the inverse model is given."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from plastorch.efference import CIFAR, SimCLR, Weights, estimate_bins, small_resnet
from plastorch.efference.heads import InverseModel, projection
from plastorch.engine.errors import InputError


@pytest.mark.parametrize(("name", "last_norm"), [("SimCLR", True), ("BYOL", False)])
def test_projections_are_lightlys(name: str, last_norm: bool) -> None:
    heads = pytest.importorskip("lightly.models.modules.heads")
    other = getattr(heads, f"{name}ProjectionHead")(12, 20, 6)
    own = projection(12, 20, 6, last_norm=last_norm)
    own.load_state_dict({k.removeprefix("layers."): v for k, v in other.state_dict().items()})
    x = torch.randn(9, 12)
    assert torch.equal(own(x), other(x))
    assert torch.equal(own.eval()(x), other.eval()(x))


def test_the_last_normalization_stays_at_a_mean_of_0() -> None:
    head = projection(5, 7, 3)
    last = head[-1]
    assert isinstance(last, nn.BatchNorm1d) and not last.bias.requires_grad
    torch.testing.assert_close(head(torch.randn(50, 5)).mean(dim=0), torch.zeros(3))


@given(layers=st.integers(1, 5), last_norm=st.booleans())
def test_number_of_layers(layers: int, last_norm: bool) -> None:
    head = projection(4, 6, 3, layers=layers, last_norm=last_norm)
    linear = [part for part in head if isinstance(part, nn.Linear)]
    assert [part.in_features for part in linear] == [4, *[6] * (layers - 1)]
    assert [part.bias is not None for part in linear] == [False] * (layers - 1) + [not last_norm]
    assert head(torch.randn(5, 4)).shape == (5, 3)


def test_the_inverse_model_sees_both_views_in_order() -> None:
    inverse = InverseModel(5, (3, 2, 4), hidden=8).eval()
    h, h_next = torch.randn(6, 5), torch.randn(6, 5)
    logits = inverse(h, h_next)
    assert [of.shape for of in logits] == [(6, 3), (6, 2), (6, 4)]
    linear, norm, _, last = inverse.layers
    assert isinstance(linear, nn.Linear)
    hidden = h @ linear.weight[:, :5].T + h_next @ linear.weight[:, 5:].T
    torch.testing.assert_close(torch.cat(logits, dim=1), last(F.relu(norm(hidden))))
    assert not torch.allclose(torch.cat(inverse(h_next, h), dim=1), torch.cat(logits, dim=1))


def test_factors_that_never_change_add_nothing_to_the_loss() -> None:
    bins = estimate_bins(CIFAR, "full", torch.Generator().manual_seed(0), 2000)
    assert bins.sizes[-2:] == (1, 1)
    encoder = small_resnet(2)
    method = SimCLR(encoder, encoder.features, bins.sizes, Weights(manipulation=1), hidden=8)
    a, b = (CIFAR.sample(6, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    targets = bins.targets(a, b)
    views = torch.rand(2, 6, 3, 32, 32)
    found = method(*views, targets)
    inverse, features = method.inverse, encoder(views.flatten(0, 1))
    assert isinstance(inverse, InverseModel)
    logits = inverse(*features.chunk(2))[:-2]
    each = torch.stack([F.cross_entropy(of, targets[:, k], ignore_index=-1)
                        for k, of in enumerate(logits)])  # fmt: skip
    torch.testing.assert_close(found.per_factor, torch.cat([each.detach(), torch.zeros(2)]))
    torch.testing.assert_close(found.manipulation, each.mean())
    found.total.backward()
    last = inverse.layers[-1].weight.grad
    assert not last[-2:].any() and last[:-2].any()


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: projection(0, 4, 4), "features is 0"),
        (lambda: projection(4, 4, 4, layers=0), "layers is 0"),
        (lambda: InverseModel(4, ()), r"sizes is \(\); expected one factor or more"),
        (lambda: InverseModel(4, (8, 0)), r"sizes is \(8, 0\); expected"),
    ],
)
def test_bad_arguments(build: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        build()
