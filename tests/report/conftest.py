"""Run folders as `plastorch run` leaves them behind, made in a temporary folder."""

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
MakeRun = Callable[..., Path]


def gabor_filters(count: int, channels: int, size: int) -> np.ndarray:
    """Oriented, coloured gratings with a little noise, as a trained first layer has them."""
    random = np.random.default_rng(3)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    angle, phase = random.uniform(0, np.pi, count), random.uniform(0, 2 * np.pi, count)
    waves = x * np.cos(angle)[:, None, None] + y * np.sin(angle)[:, None, None]
    grating = np.cos(random.uniform(0.4, 1.6, count)[:, None, None] * waves + phase[:, None, None])
    tint = random.normal(size=(count, channels, 1, 1))
    noise = random.normal(scale=0.1, size=(count, channels, size, size))
    return (grating[:, None] * tint + noise).astype(np.float32)


def unsupervised_rows(layers: int, steps: int = 50) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for layer in range(layers):
        neurons = 96 * 4**layer
        for step in range(1, steps + 1):
            decay = float(np.exp(-step / (6 + 4 * layer)))
            rows.append(
                {
                    "phase": "unsupervised",
                    "layer": layer,
                    "step": 100 * step,
                    "examples": 1000 * step,
                    "radius_mean": 1 + 20 * decay,
                    "radius_std": 2 * decay,
                    "radius_distance": 20 * decay,
                    "r1_neurons": int(neurons * (1 - decay) ** 3),
                    "neurons": neurons,
                    "rate_mean": 0.1 * decay,
                    "winner_probability": 0.9 - 0.3 * (1 - decay) - 0.1 * layer,
                }
            )
    return rows


def readout_rows(epochs: int) -> list[dict[str, Any]]:
    return [
        {
            "phase": "readout",
            "epoch": epoch,
            "loss": 2.0 / epoch,
            "train_accuracy": 0.86 - 0.3 / epoch,
            "test_accuracy": 0.80 - 0.2 / epoch,
            "learning_rate": 0.001,
        }
        for epoch in range(1, epochs + 1)
    ]


def confusion_matrix(classes: int) -> np.ndarray:
    random = np.random.default_rng(5)
    matrix = random.integers(0, 2 + 380 // classes, (classes, classes))
    matrix[np.diag_indices(classes)] = 1000 - matrix.sum(axis=1) + matrix.diagonal()
    return matrix.astype(np.int64)


def claims(measured: float, quick: bool) -> list[dict[str, Any]]:
    rows = [
        ("accuracy", "Three SoftHebb layers reach the published test accuracy within one point",
         0.793, measured, measured >= 0.793, "paper"),
        ("beats-random", "Test accuracy is above that of the same network with random weights",
         0.6524, measured, True, "ours"),
        ("norms", "Mean distance of the first layer's radii from 1 at the end is at most 0.05",
         0.05, 0.1312, False, "ours"),
        ("depth", "Each further layer adds to the accuracy; asserted over four seeds only",
         0.0, 0.0213, None, "paper"),
    ]  # fmt: skip
    names = ("id", "statement", "target", "measured", "holds", "origin")
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return [claim | {"holds": None} if quick else claim for claim in found]


def write_run(
    runs: Path,
    *,
    experiment: str = "softhebb-cifar10",
    stamp: str = "20260131-174502",
    seed: int = 0,
    accuracy: float = 0.8012,
    classes: list[str] | None = None,
    channels: int = 3,
    layers: int = 3,
    epochs: int = 50,
    quick: bool = False,
    complete: bool = True,
    notice: str = "",
    changes: dict[str, Any] | None = None,
) -> Path:
    """A run folder with realistic files; `changes` replace fields of result.json."""
    run = runs / experiment.replace("/", "_") / f"{stamp}-seed{seed}"
    run.mkdir(parents=True)
    names = CLASSES if classes is None else classes
    config = {"seed": seed, "depth": layers, "batch_size": 10, "competition": "softkrotov",
              "inverse_temperature": 1.0, "power": 0.7, "augment": False}  # fmt: skip
    result: dict[str, Any] = {
        "experiment": experiment,
        "paper": "Journé, Rodriguez, Guo, Moraitis (2023): Hebbian deep learning without feedback",
        "config": config,
        "data": {"name": "CIFAR-10", "n_train": 50000, "n_test": 10000,
                 "source": "cifar-10-batches-py", "sha256": "6d958be0" * 8, "classes": names},
        "seed": seed,
        "metrics": {},
        "claims": [],
        "wall_s": 0.0,
        "device": "NVIDIA H100 80GB",
        "versions": {"python": "3.11.7", "torch": "2.13.0", "plastorch": "0.1.0"},
        "quick": quick,
        "complete": complete,
    }  # fmt: skip
    if notice:
        result["data"]["notice"] = notice
    if complete:
        result["metrics"] = {"test_accuracy": accuracy, "train_accuracy": 0.86,
                             "peak_memory_gb": 3.214, "unsupervised_s": 61.2,
                             "features_s": 4.31, "readout_s": 119.5}  # fmt: skip
        result["claims"] = claims(accuracy, quick)
        result["wall_s"] = 187.4
        arrays = {"confusion": confusion_matrix(len(names)),
                  "filters": gabor_filters(96, channels, 5)}  # fmt: skip
        save_file(arrays, run / "arrays.safetensors")
    rows = unsupervised_rows(layers) + (readout_rows(epochs) if complete else [])
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run / "config.json").write_text(json.dumps(config))
    (run / "result.json").write_text(json.dumps(result | (changes or {})))
    return run


@pytest.fixture(scope="session")
def make_run() -> MakeRun:
    return write_run


class Page(HTMLParser):
    """What a browser would read: tags with attributes, and the text outside style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.style = ""
        self._open = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "style":
            self.style += data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    def addresses(self) -> list[str]:
        names = ("src", "href", "srcset", "action", "data", "poster", "background", "formaction")
        return [value for _, attrs in self.tags for name in names if (value := attrs.get(name))]


@pytest.fixture(scope="session")
def parse() -> Callable[[Path], Page]:
    return lambda path: Page(path.read_text(encoding="utf-8"))
