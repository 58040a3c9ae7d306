"""softhebb-few-labels, run through the command line, against readouts made apart from it."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.linear_model import RidgeClassifierCV

from plastorch.cli import main
from plastorch.data import load_images
from plastorch.engine.checkpoint import load_checkpoint, under
from plastorch.engine.errors import InputError
from plastorch.experiments.softhebb import few_labels
from plastorch.experiments.softhebb.few_labels import PENALTIES, FewLabelsConfig, labeled_rows

COMMAND = ["run", "softhebb-few-labels", "--depth", "1", "--width", "quarter", "--labels", "1", "3"]
NETWORKS = ("soft", "sampled", "random", "pixels", "backprop")


def result_in(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def test_readouts_are_those_of_the_features_and_a_stopped_run_goes_on_alike(
    cifar_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [*COMMAND, "--data", str(cifar_root), "--precision", "fp32"]
    assert main([*command, "--out", str(tmp_path / "whole")]) == 0
    (whole,) = (tmp_path / "whole" / "softhebb-few-labels").iterdir()
    metrics = result_in(whole)["metrics"]
    keys = {f"{network}_{n}_accuracy" for network in NETWORKS for n in (1, 3)}
    assert keys <= metrics.keys()
    assert metrics["test_accuracy"] == metrics["soft_3_accuracy"]

    images = load_images("cifar10", cifar_root)
    tensors, _ = load_checkpoint(whole / "checkpoint") or ({}, None)
    net = FewLabelsConfig(depth=1, width="quarter").network("soft", images, 0)
    net.load_state_dict(under(tensors, "model.soft."))
    rows = labeled_rows(images, 3, 0)
    with torch.no_grad():
        train, test = (net.eval().features(x) for x in (images.train_images, images.test_images))
    mean, deviation = train.mean(dim=0), train.std(dim=0)
    deviation = deviation.clamp_min(deviation.mean() / 10)
    readout = RidgeClassifierCV(alphas=PENALTIES)
    readout.fit(((train - mean) / deviation)[rows], images.train_labels[rows])
    right = readout.score((test - mean) / deviation, images.test_labels)
    assert metrics["soft_3_accuracy"] == pytest.approx(right, abs=0.11)  # kept in half precision

    ridge, calls = few_labels._ridge, 0

    def stopped(*given: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 4:
            signal.raise_signal(signal.SIGINT)
        return ridge(*given)

    monkeypatch.setattr(few_labels, "_ridge", stopped)
    assert main([*command, "--out", str(tmp_path / "stopped")]) == 130
    (folder,) = (tmp_path / "stopped" / "softhebb-few-labels").iterdir()
    assert main(["run", "softhebb-few-labels", "--resume", str(folder)]) == 0
    again = result_in(folder)["metrics"]
    assert all(again[key] == metrics[key] for key in keys)


def test_labels_are_drawn_evenly_and_anew_with_each_seed(cifar_root: Path) -> None:
    images = load_images("cifar10", cifar_root)
    drawn = [labeled_rows(images, 3, seed) for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    for rows in drawn:
        assert rows.unique().numel() == 30
        assert images.train_labels[rows].bincount().tolist() == [3] * 10
    with pytest.raises(InputError, match="labels is 6; expected at most 5: one class has no more"):
        labeled_rows(images, 6, 0)


@pytest.mark.parametrize("labels", [(), (4, 1), (2, 2)])
def test_labels_ascend(labels: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected ascending numbers, all different"):
        FewLabelsConfig(labels=labels)
