"""Work on several threads."""

import pytest
import torch

from plastorch.engine.threads import in_threads


@pytest.mark.parametrize("useful", [1, 2, 9])
def test_shares_cover_all_samples(monkeypatch: pytest.MonkeyPatch, useful: int) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    found: list[int] = []
    in_threads(lambda begin, end: found.extend(range(begin, end)), samples=3, useful=useful)
    assert sorted(found) == [0, 1, 2]


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="the processor can't")
@pytest.mark.parametrize("before", [False, True])
def test_denormal_numbers_are_zero_meanwhile(monkeypatch: pytest.MonkeyPatch, before: bool) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    tiny, found = torch.tensor([2e-38]), []
    torch.set_flush_denormal(before)
    try:
        in_threads(lambda begin, end: found.append(float(tiny * 0.5)), samples=2, useful=2)
        assert found == [0, 0] and (float(tiny * 0.5) == 0) == before
    finally:
        torch.set_flush_denormal(False)
