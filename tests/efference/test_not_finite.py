"""NaN and infinite values: modules and losses pass them on, visibly; measures refuse them."""

from collections.abc import Callable
from math import inf, nan
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from plastorch.efference import (
    AUDIO,
    BYOL,
    AudioActions,
    InverseModel,
    ReLIC,
    SimCLR,
    Weights,
    byol,
    extract,
    manipulation,
    nt_xent,
    projection,
    relic,
    resnet,
    small_resnet,
)
from plastorch.efference.dense import Detector
from plastorch.engine.errors import InputError

ACTIONS = torch.tensor([[0, 1], [1, -1], [2, 0], [0, 0]])
Z = torch.randn(4, 4, 5, generator=torch.Generator().manual_seed(0))
LOSSES: dict[str, Callable[[list[Tensor]], Tensor]] = {
    "nt_xent": lambda z: nt_xent(z[0], z[1]),
    "byol": lambda z: byol(z[0], z[1]),
    "relic": lambda z: relic(*z),
    "relic, alpha 0": lambda z: relic(*z, alpha=0.0),
}
MODULES: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "projection": (lambda: projection(5, 6, 3), (4, 5)),
    "inverse": (lambda: InverseModel(5, (3, 2)), (4, 5)),
    "resnet": (lambda: resnet(stem="imagenet", width=4), (4, 3, 32, 32)),
    "small_resnet": (lambda: small_resnet(4), (4, 3, 16, 16)),
}
CALLS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "inverse": lambda model, h: torch.cat(model(h, h), dim=1),
}
with_bad_values = pytest.mark.parametrize("value", [nan, inf, -inf])


def finite(x: Tensor) -> bool:
    return bool(torch.isfinite(x).all())


def spoiled(x: Tensor, value: float) -> Tensor:
    """One number in the middle of the second sample replaced."""
    x = x.clone()
    x[1].view(-1)[x[1].numel() // 2] = value
    return x


@with_bad_values
@pytest.mark.parametrize("name", LOSSES)
def test_losses_pass_bad_values_on(name: str, value: float) -> None:
    """From whichever argument they come."""
    loss, z = LOSSES[name], list(Z)
    assert finite(loss(z))
    for place in range(2 if name in ("nt_xent", "byol") else 4):
        assert not finite(
            loss([spoiled(of, value) if i == place else of for i, of in enumerate(z)])
        )


@pytest.mark.parametrize("value", [nan, inf])  # -inf is the logarithm of the probability 0
@pytest.mark.parametrize("weights", [None, torch.tensor([0.0, 1.0])])
def test_loss_of_manipulations_passes_bad_logits_on(value: float, weights: Tensor | None) -> None:
    logits = torch.zeros(4, 3), torch.zeros(4, 2)
    total, each = manipulation((spoiled(logits[0], value), logits[1]), ACTIONS, weights)
    assert not finite(total) and not finite(each[0]) and finite(each[1])


@with_bad_values
@pytest.mark.parametrize("name", MODULES)
def test_modules_pass_bad_values_on(name: str, value: float) -> None:
    """In the answer to the sample that has them; once they normalize by batches, in all."""
    torch.manual_seed(0)
    make, shape = MODULES[name]
    module, x = make().eval(), torch.rand(shape)
    call = CALLS.get(name, lambda module, x: module(x))
    good, bad = call(module, x), call(module, spoiled(x, value))
    assert finite(good) and not finite(bad[1])
    torch.testing.assert_close(bad[2:], good[2:])
    assert not finite(call(module.train(), spoiled(x, value)))
    module = make().eval()
    weight = next(module.parameters())
    weight.data[(0,) * weight.dim()] = nan
    assert not finite(call(module, x))


@with_bad_values
def test_views_of_sounds_pass_bad_values_on(value: float) -> None:
    clips = torch.randn(3, 8, 20)
    actions = AUDIO.sample(3, torch.Generator().manual_seed(0))
    good, bad = AUDIO.apply(clips, actions), AUDIO.apply(spoiled(clips, value), actions)
    assert finite(good) and not finite(bad[1]) and torch.equal(bad[::2], good[::2])


@with_bad_values
@pytest.mark.parametrize("kind", [SimCLR, BYOL, ReLIC])
def test_methods_pass_bad_values_on(kind: Any, value: float) -> None:
    """In each of their losses, whichever view they are in."""
    torch.manual_seed(0)
    weights = Weights(manipulation=1.0)
    method, (a, b) = kind(nn.Flatten(), 12, (3, 2), weights), torch.rand(2, 4, 3, 2, 2)
    for views in ((spoiled(a, value), b), (a, spoiled(b, value))):
        losses = method(*views, ACTIONS)
        for loss in (losses.total, losses.discrimination, losses.manipulation):
            assert not finite(loss)


@with_bad_values
def test_measures_and_detectors_refuse_bad_values(value: float) -> None:
    """Their answer couldn't show them: a class, a share of right ones, or no box at all."""
    encoder, images = small_resnet(4), torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    with pytest.raises(InputError, match="NaN or infinite values in features"):
        extract(encoder, images, lambda x: spoiled(x.float(), value))
    with torch.no_grad():
        next(encoder.parameters())[0, 0, 0, 0] = value
    with pytest.raises(InputError, match="NaN or infinite values in maps"):
        Detector(encoder, 2).eval()(images)


@with_bad_values
@pytest.mark.parametrize("field", [f for f in AudioActions._fields if f != "noise_seed"])
def test_sounds_refuse_bad_actions(field: str, value: float) -> None:
    actions = AUDIO.sample(4, torch.Generator().manual_seed(0))
    actions = actions._replace(**{field: spoiled(getattr(actions, field)[:, None], value)[:, 0]})
    with pytest.raises(InputError, match=r"of a crop is|crop is from|infinite values in actions"):
        AUDIO.apply(torch.randn(4, 8, 20), actions)
