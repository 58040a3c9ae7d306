"""Batch normalization over several workers, against torch's on the joined batch."""

import pytest
import torch
from torch import nn

from plastorch.engine.batchnorm import SynchronizedBatchNorm, synchronize


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("affine", [True, False])
def test_synchronized_normalization_is_torchs(
    momentum: float | None, affine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For one worker, and for two that both have the same rows."""
    torch.manual_seed(0)
    norms = [nn.BatchNorm2d(3, momentum=momentum, affine=affine) for _ in range(4)]
    taken, summed, half = (SynchronizedBatchNorm.of(norm) for norm in norms[1:])
    assert taken.weight is norms[1].weight and taken.running_var is norms[1].running_var
    for x in torch.randn(2, 5, 3, 4, 4):
        expected = norms[0](torch.cat([x, x]))[:5]
        torch.testing.assert_close(taken(x), expected)
        with monkeypatch.context() as patch:
            patch.setattr("plastorch.engine.batchnorm.workers", lambda: 2)
            patch.setattr("plastorch.engine.batchnorm.summed", lambda tensor: 2 * tensor)
            torch.testing.assert_close(summed(x), expected)
            found = half(x.bfloat16())
        torch.testing.assert_close(found, expected.bfloat16(), rtol=0.02, atol=0.02)
    for name, value in norms[0].state_dict().items():
        torch.testing.assert_close(summed.state_dict()[name], value)
    torch.testing.assert_close(summed.eval()(x), norms[0].eval()(x))


def test_all_normalizations_inside_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = nn.Sequential(nn.BatchNorm1d(2), nn.Sequential(nn.Linear(2, 2), nn.BatchNorm2d(2)))
    synchronize(layers)
    assert isinstance(layers[0], nn.BatchNorm1d)
    monkeypatch.setattr("plastorch.engine.batchnorm.workers", lambda: 2)
    synchronize(layers)
    kinds = [type(module).__name__ for module in layers.modules()]
    assert kinds.count("SynchronizedBatchNorm") == 2 and len(layers.state_dict()) == 12
