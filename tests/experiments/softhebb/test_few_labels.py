"""softhebb-few-labels, run through the command line, against readouts made apart from it."""

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.model_selection import GroupKFold

from plastorch.cli import main
from plastorch.data import load_images
from plastorch.engine.checkpoint import load_checkpoint, under
from plastorch.engine.errors import InputError
from plastorch.experiments.softhebb import few_labels
from plastorch.experiments.softhebb.few_labels import (
    FOLDS,
    PENALTIES,
    VIEWS,
    FewLabelsConfig,
    labeled_rows,
)

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
    shown = images.train_images, few_labels.views(images.train_images[rows], 0), images.test_images
    with torch.no_grad():
        unlabeled, train, test = (net.eval().features(x).numpy() for x in shown)
    mean, deviation = unlabeled.mean(axis=0), unlabeled.std(axis=0, ddof=1)
    deviation = deviation.clip(deviation.mean() / 10)
    answers = ridge_by_hand(
        (train - mean) / deviation, images.train_labels[rows].numpy(), (test - mean) / deviation
    )
    right = (answers == images.test_labels.numpy()).mean()
    assert metrics["soft_3_accuracy"] == pytest.approx(right, abs=0.11)  # kept in half precision

    ridge, calls = few_labels.ridge, 0

    def stopped(*given: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 4:
            signal.raise_signal(signal.SIGINT)
        return ridge(*given)

    monkeypatch.setattr(few_labels, "ridge", stopped)
    assert main([*command, "--out", str(tmp_path / "stopped")]) == 130
    (folder,) = (tmp_path / "stopped" / "softhebb-few-labels").iterdir()
    assert main(["run", "softhebb-few-labels", "--resume", str(folder)]) == 0
    again = result_in(folder)["metrics"]
    assert all(again[key] == metrics[key] for key in keys)


def ridge_by_hand(
    train: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], test: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Answers of the ridge regression whose penalty answers most left-out images."""
    image = np.tile(np.arange(len(labels)), VIEWS)
    targets = np.eye(10)[np.tile(labels, VIEWS)] - 0.1
    products = train @ train.T / train.shape[1]

    def coefficients(seen: Any, penalty: float) -> Any:
        system = products[np.ix_(seen, seen)] + penalty * np.eye(len(seen))
        return np.linalg.solve(system, targets[seen])

    folds = list(GroupKFold(FOLDS, shuffle=True, random_state=0).split(train, groups=image))
    right = []
    for penalty in PENALTIES:
        shares = []
        for seen, left in folds:
            found = products[np.ix_(left, seen)] @ coefficients(seen, penalty)
            shares.append((found.argmax(1) == targets[left].argmax(1)).mean())
        right.append(np.mean(shares))
    weight = train.T @ coefficients(np.arange(len(train)), PENALTIES[int(np.argmax(right))])
    answers: np.ndarray[Any, Any] = (test @ weight).argmax(1)
    return answers


def test_products_of_images_are_not_rounded_to_single_precision() -> None:
    rows = 3000 + np.random.default_rng(0).normal(size=(5, few_labels.FEATURES + 7))
    rows = rows.astype(np.float32)
    whole = rows.astype(np.float64) @ rows.T.astype(np.float64)
    found = few_labels.products(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(found, whole, rtol=1e-13)


def test_few_labels_show_what_of_an_image_moves_and_turns_around(cifar_root: Path) -> None:
    images = load_images("cifar10", cifar_root).train_images[:3]
    shown = few_labels.views(images, 0).view(VIEWS, *images.shape)
    assert torch.equal(shown[0], images) and torch.equal(shown[1], images.flip(3))
    assert all(not torch.equal(view, images) for view in shown[2:])
    assert torch.equal(shown.flatten(0, 1), few_labels.views(images, 0))


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
