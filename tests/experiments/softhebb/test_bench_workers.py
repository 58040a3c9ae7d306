import json
from pathlib import Path

import pytest

import plastorch.experiments.softhebb.bench_workers as workers
from plastorch.bench import run_group
from plastorch.experiments.softhebb.bench_workers import WorkersSize, measure
from plastorch.hebbian import preset

SPEC = preset("cifar10", 1, "quarter")
TINY = (WorkersSize("tiny", SPEC, 8, 4, 1),)


def test_file_of_a_tiny_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = {"name": "tiny"}, measure(TINY, {"sum": 10})
    monkeypatch.setattr(workers, "rows", lambda: tiny)
    out = tmp_path / "bench.json"
    run_group("workers", out, lambda line: None)
    step, total = json.loads(out.read_text())["rows"]
    assert (step["name"], step["batch"], step["equal"]) == ("tiny", 4, True)
    assert (total["name"], total["bytes"]) == ("sum", 40)
    assert all(row["ours_s"] > 0 and row["peer_s"] > 0 for row in (step, total))
    weights = 4 * 24 * 3 * 5 * 5
    assert step["sums"] > 1 and weights < step["bytes"] < weights + 1000  # and batch statistics
