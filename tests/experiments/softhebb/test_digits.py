"""softhebb-digits, run through the command line, against neurons named by a loop."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from plastorch.cli import main
from plastorch.data import load_images
from plastorch.experiments.softhebb.digits_panels import panels
from plastorch.report.load import load_run

WEIGHTS = {"filters": "test_accuracy", "untrained": "untrained_accuracy",
           "sampled": "sampled_accuracy"}  # fmt: skip


def run_in(folder: Path, *options: str) -> tuple[Path, dict[str, Any]]:
    command = ["run", "softhebb-digits", "--neurons", "50", "--epochs", "2", *options]
    assert main([*command, "--out", str(folder)]) == 0
    (run,) = (folder / "softhebb-digits").iterdir()
    return run, json.loads((run / "result.json").read_text())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run on the digits inside the package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PLASTORCH_DATA", raising=False)
        return run_in(tmp_path_factory.mktemp("runs"))


def named_accuracy(weight: np.ndarray, images: Any) -> float:
    """Names each neuron by the class that it wins most often, and counts right answers."""
    train, test = images.train_images.flatten(1).numpy(), images.test_images.flatten(1).numpy()
    wins = np.zeros((len(weight), 10))
    for x, label in zip(train, images.train_labels.tolist(), strict=True):
        wins[np.argmax(weight @ x), label] += 1
    answers = wins.argmax(axis=1)[(test @ weight.T).argmax(axis=1)]
    return float((answers == images.test_labels.numpy()).mean())


def test_accuracies_are_those_of_neurons_named_by_their_wins(run, no_root: None) -> None:
    folder, result = run
    arrays, images = load_file(folder / "arrays.safetensors"), load_images("mnist")
    for name, metric in WEIGHTS.items():
        weight = arrays[name].flatten(1).double().numpy()
        # Ties in half precision, and neurons that never win, may be decided otherwise.
        assert result["metrics"][metric] == pytest.approx(named_accuracy(weight, images), abs=0.01)
    assert int(arrays["confusion"].sum()) == len(images.test_labels)
    right = arrays["confusion"].diagonal().sum() / len(images.test_labels)
    assert float(right) == pytest.approx(result["metrics"]["test_accuracy"])


def test_learning_is_worth_more_than_its_start_and_than_samples(run) -> None:
    metrics = run[1]["metrics"]
    assert metrics["test_accuracy"] > metrics["sampled_accuracy"] + 0.05
    assert metrics["sampled_accuracy"] > metrics["untrained_accuracy"]
    assert metrics["settled"] > 0.9
    assert [claim["holds"] for claim in run[1]["claims"]] == [None] * 3  # other settings


def test_weights_are_as_they_started_and_single_images(run, no_root: None) -> None:
    arrays, images = load_file(run[0] / "arrays.safetensors"), load_images("mnist")
    scaled = torch.nn.functional.normalize(images.train_images.flatten(1).float())
    cosine = arrays["sampled"].flatten(1) @ scaled.T
    assert torch.allclose(cosine.amax(dim=1), torch.ones(50), atol=1e-5)
    noise = arrays["untrained"].flatten(1)
    assert float(noise.min()) >= 0 and float(noise.norm(dim=1).mean()) == pytest.approx(3, abs=0.2)


def test_page_shows_weights_accuracy_and_confusion(run) -> None:
    found = panels(load_run(run[0]))
    assert [panel.name for panel in found] == ["weights", "accuracy-over-images", "confusion"]
    for panel in found:
        assert panel.draw is not None and panel.alt


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--neurons", "0"], "neurons is 0"), (["--hebbian-rate", "-1"], "hebbian_rate is -1")],
)
def test_bad_settings(options, message, tmp_path, capsys) -> None:
    command = ["run", "softhebb-digits", *options, "--out", str(tmp_path)]
    assert main(command) == 2 and message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
