import json
from pathlib import Path

import pytest
import torch

import plastorch.experiments.rank.bench as rank
from plastorch.bench import run_group
from plastorch.experiments.rank.bench import (
    EVEN,
    Size,
    decision_steps,
    gradients_agree,
    measure,
    timed_coder,
    timed_input,
)

TINY = (Size("early", 12, 12, 3, 0.3), Size("even", 12, 12, 3, EVEN))


def test_file_of_a_tiny_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank, "rows", lambda: ({"name": "tiny"}, measure(TINY)))
    out = tmp_path / "bench.json"
    run_group("rank", out, lambda line: None)
    contents = json.loads(out.read_text())
    names = ["train-early", "answer-early", "train-even", "answer-even"]
    assert [row["name"] for row in contents["rows"]] == names
    early, even = contents["rows"][0], contents["rows"][3]
    assert early["equal"] and even["equal"]
    assert early["mean_step"] < even["mean_step"] == 5.5
    assert early["computed"] < even["computed"] < 1


def test_convolutions_are_those_of_torch() -> None:
    row = rank.convolutions(("tiny", 20, 3))
    assert row["name"] == "train-tiny" and row["equal"] and row["ratio"] > 0


@pytest.mark.parametrize("size", rank.SIZES, ids=lambda size: size.name)
def test_samples_are_answered_when_they_should_be(size: Size) -> None:
    wanted = decision_steps(size)
    mean = float(wanted.double().mean())
    assert mean == pytest.approx(9.5 if size.mean_step == EVEN else size.mean_step, rel=0.1)
    few = wanted[:8]
    decision = timed_coder(size.inputs)(timed_input(size._replace(batch=8), few))
    assert torch.equal(decision.step, few.clamp(max=size.steps - 1))
    assert torch.equal(decision.crossed, few < size.steps)


def test_a_difference_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    size = TINY[1]
    x, labels = timed_input(size, decision_steps(size)), torch.zeros(12, dtype=torch.int64)
    coder = timed_coder(3)
    assert gradients_agree(coder, x, labels)
    monkeypatch.setattr(rank, "THRESHOLD", 0.01)
    assert not gradients_agree(coder, x, labels)
