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
