"""The analyses at the end of deep SoftHebb runs, through the command line."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from plastorch.cli import main
from plastorch.engine.checkpoint import load_tensors
from plastorch.experiments.softhebb.analysis import Analyses
from plastorch.hebbian.analysis.filters import structure

SMALL = ("--width", "quarter", "--readout-epochs", "2", "--depth", "2")


def run(out: Path, name: str, *options: str) -> tuple[Path, dict[str, Any]]:
    assert main(["run", name, "--out", str(out), *SMALL, *options]) == 0
    (folder,) = (out / name).iterdir()
    return folder, json.loads((folder / "result.json").read_text())


def figures(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "figures").glob("*.png")}


def test_a_run_keeps_and_draws_its_analyses(tmp_path: Path) -> None:
    folder, result = run(tmp_path, "softhebb-mnist", "--quick")
    arrays = load_tensors(folder / "arrays.safetensors")
    shapes = {name: tuple(array.shape) for name, array in arrays.items()}
    assert shapes == {
        "confusion": (10, 10),
        "filters": (24, 1, 5, 5),
        "receptive_fields_layer1": (24, 1, 5, 5),
        "receptive_fields_layer2": (24, 1, 12, 12),
        "top_patches_layer1": (4, 10, 1, 5, 5),
        "top_patches_layer2": (4, 10, 1, 12, 12),
        "embedding": (1000, 2),
        "embedding_labels": (1000,),
    }
    spread = structure(arrays["filters"])
    assert torch.equal(spread, spread.sort(descending=True).values)
    assert {"layer-fields", "top-patches", "embedding", "convergence"} <= figures(folder)
    assert 0 < result["metrics"]["analyses_s"] < 60


def test_random_weights_have_no_receptive_fields(cifar_root: Path, tmp_path: Path) -> None:
    options = ("--data", str(cifar_root), "--rule", "random")
    folder, _ = run(tmp_path / "runs", "softhebb-cifar10", *options)
    arrays = load_tensors(folder / "arrays.safetensors")
    assert "top_patches_layer2" in arrays and "embedding" in arrays
    assert not [name for name in arrays if name.startswith("receptive_fields")]


def test_a_stop_during_the_analyses_can_be_resumed(
    tmp_path: Path, cifar_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, options = Analyses.step, ("--data", str(cifar_root), *SMALL)

    def interrupted(self: Analyses) -> Any:
        signal.raise_signal(signal.SIGINT)
        return step(self)

    whole, _ = run(tmp_path / "whole", "softhebb-cifar10", "--data", str(cifar_root))
    monkeypatch.setattr(Analyses, "step", interrupted)
    out = tmp_path / "stopped"
    assert main(["run", "softhebb-cifar10", "--out", str(out), *options]) == 130
    monkeypatch.setattr(Analyses, "step", step)
    (folder,) = (out / "softhebb-cifar10").iterdir()
    assert not json.loads((folder / "result.json").read_text())["complete"]
    assert main(["run", "softhebb-cifar10", "--resume", str(folder)]) == 0
    assert json.loads((folder / "result.json").read_text())["complete"]
    first, second = (load_tensors(f / "arrays.safetensors") for f in (whole, folder))
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("setting", ["temperature", "radius"])
def test_a_sweep_is_logged_and_drawn(cifar_root: Path, tmp_path: Path, setting: str) -> None:
    options = ("--data", str(cifar_root), "--quick", "--sweep", setting)
    folder, result = run(tmp_path / "runs", "softhebb-cifar10", *options)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    points = [row for row in rows if row["phase"] == f"{setting}-sweep"]
    assert len(points) == 6 and {row["competition"] for row in points} == {"softkrotov", "soft"}
    assert len({row[setting] for row in points}) == 3
    assert f"{setting}-sweep" in figures(folder)
    assert result["metrics"][f"{setting}_sweep_s"] > 0
    assert result["config"]["sweep"] == setting
