"""Wide layer, compared with whole maps, which it never stores."""

import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from plastorch.engine.errors import InputError
from plastorch.hebbian import WideSpec
from plastorch.hebbian import wide as module
from plastorch.hebbian.wide import WideLayer


def layer(**changed: Any) -> WideLayer:
    random = torch.Generator().manual_seed(0)
    found = WideLayer(3, WideSpec(**{"neurons": 20, "kernel_size": 4, **changed}), random)
    found.whiten.fit(torch.rand(20, 3, 12, 12, generator=random), generator=random)
    return found


def whole_maps(of: WideLayer, images: torch.Tensor) -> torch.Tensor:
    """Returns the responses of all neurons everywhere, averaged over the cells."""
    white = torch.stack([of.whiten(image.unsqueeze(0))[0] for image in images])
    u = torch.einsum("bnhw,kn->bkhw", white, of.conv.weight.flatten(1))
    pairs = torch.cat([u - of.spec.threshold, -u - of.spec.threshold], dim=1).clamp_min(0)
    return F.adaptive_avg_pool2d(pairs, of.spec.side)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 4), st.floats(0, 0.4), st.integers(8, 14), st.integers(1, 9)
)
@torch.no_grad()
def test_responses_are_those_of_whole_maps(
    neurons: int, side: int, threshold: float, width: int, count: int
) -> None:
    of = layer(neurons=neurons, side=side, threshold=threshold)
    images = torch.rand(count, 3, 11, width, generator=torch.Generator().manual_seed(1))
    found, expected = of(images), whole_maps(of, images)
    assert found.shape == (count, 2 * neurons, side, side)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_parts_are_put_together_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    of, images = layer(), torch.rand(5, 3, 12, 12)
    whole = of(images)
    monkeypatch.setattr(module, "IMAGES", 2)
    monkeypatch.setattr(module, "NEURONS", 7)
    torch.testing.assert_close(of(images), whole)


def test_bfloat16_keeps_two_digits() -> None:
    of, images = layer(), torch.rand(5, 3, 12, 12)
    with torch.autocast("cpu", torch.bfloat16):
        found = of(images).float()
    torch.testing.assert_close(found, of(images), atol=3e-3, rtol=3e-2)


def test_gradients_reach_the_images() -> None:
    of, gradients = layer(neurons=6), []
    for responses in (of, lambda x: whole_maps(of, x)):
        images = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))
        responses(images.requires_grad_()).square().sum().backward()
        assert images.grad is not None
        gradients.append(images.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"neurons": 0}, "neurons is 0"),
        ({"neurons": 1, "kernel_size": 0}, "kernel_size is 0"),
        ({"neurons": 1, "side": -1}, "side is -1"),
        ({"neurons": 1, "threshold": 1.0}, "threshold is 1.0; expected at least 0 and below 1"),
        ({"neurons": 1, "competition": "fair"}, "competition is 'fair'"),
    ],
)
def test_bad_input(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        WideSpec(**settings)
