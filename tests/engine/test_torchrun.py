"""A process that no launcher started."""

from pathlib import Path

import pytest

from plastorch.engine import torchrun


def test_a_process_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    assert not torchrun.launched()
    assert torchrun.own_device("cuda") == "cuda"
    assert torchrun.run_folder(lambda: Path("runs/new")) == Path("runs/new")
    assert torchrun.first_to_say("stopped")
