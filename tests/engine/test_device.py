"""The machine's settings."""

import pytest
import torch

from plastorch.engine.device import check_memory, flush_denormals, memory, seed32
from plastorch.engine.errors import InputError


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


def test_seeds_of_32_bits_are_themselves_and_others_differ() -> None:
    small, large = [0, 7, 2**32 - 1], [2**32, 2**32 + 7, 2**63 - 1]
    assert [seed32(seed) for seed in small] == small
    found = {seed32(seed) for seed in large}
    assert len(found - {*small}) == 3 and all(0 <= seed < 2**32 for seed in found)


def test_more_than_the_memory_is_refused_with_both_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert 1e8 < memory() < 1e15
    monkeypatch.setattr("plastorch.engine.device.memory", lambda: 24e9)
    check_memory(24e9, neurons=1)
    words = "neurons is 8 and hidden is 2: needs about 3,200 GB; this machine has 24 GB"
    with pytest.raises(InputError, match=f"^{words}$"):
        check_memory(3.2e12, neurons=8, hidden=2)
