"""The machine's settings."""

import pytest
import torch

from plastorch.engine.device import flush_denormals


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="the processor can't")
def test_numbers_too_small_for_full_precision_are_zero() -> None:
    tiny, half = torch.tensor([2e-38]), torch.tensor([0.5])
    try:
        torch.set_flush_denormal(False)
        assert float((tiny * half)[0]) > 0
        flush_denormals()
        assert float((tiny * half)[0]) == 0
    finally:
        torch.set_flush_denormal(False)
