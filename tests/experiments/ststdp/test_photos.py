"""Photos behind a bar: a small whole run, what a circuit knows, its page, bad settings."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from plastorch.data import load_images
from plastorch.data.tasks.streams import Transforms
from plastorch.engine.checkpoint import load_tensors
from plastorch.engine.errors import InputError
from plastorch.experiments.context import Context
from plastorch.experiments.ststdp import contest, photos
from plastorch.experiments.ststdp.photos import Circuit, PhotosConfig, measure
from plastorch.experiments.ststdp.photos_panels import MODELS, panels
from plastorch.hebbian.networks import SoftHebbNet
from plastorch.hebbian.pretrained import cards
from plastorch.report.load import load_run
from plastorch.spiking.shortterm.rule import ShortTerm

EXPERIMENT = "ststdp-photos"
SMALL = PhotosConfig(learned_photos=20, validation_photos=10, test_photos=10, streams=10, epochs=2)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "MOVING", Transforms(occlusion=0.7, noise=0.0, frames=4))
    monkeypatch.setattr(photos, "SETTINGS", photos.SETTINGS[:3])
    monkeypatch.setattr(contest, "RATES", (1e-2,))


def photos_in(folder: Path, classes: Sequence[str], count: int) -> Path:
    """Writes images of noise, as many of each class to learn from and to test."""
    random = np.random.default_rng(0)
    for place in (folder / part / name for part in ("train", "test") for name in classes):
        place.mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / f"{number}.png")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return photos_in(tmp_path / "photos", cards()["cifar10"].classes, 4)


def test_a_run_has_figures_of_every_model_and_a_page(
    tmp_path: Path, root: Path, context: Callable[..., Context]
) -> None:
    result = measure(SMALL, replace(context(tmp_path / "run"), data=root))
    metrics = result["metrics"]
    for model in MODELS:
        assert 0 <= metrics[f"occlusion_{model.replace('-', '_')}_accuracy"] <= 1
    assert metrics["test_accuracy"] == metrics["occlusion_short_term_accuracy"]
    assert {claim["holds"] for claim in result["claims"]} == {None}
    assert load_tensors(tmp_path / "run" / "arrays.safetensors")[
        "curve_occlusion_short-term"
    ].shape == (4,)
    first, *_ = panels(load_run(tmp_path / "run"))
    assert first.name == "accuracy-since-onset"


def test_frames_are_those_of_the_networks_scores(root: Path) -> None:
    images = load_images("cifar10", root)
    of = photos._split(images, SMALL, 0)[photos.Stream.TEST]
    net = SoftHebbNet.from_pretrained("cifar10")
    circuit = Circuit(torch.eye(10), 2 * torch.eye(10))
    (seen, labels), *_ = photos._films(net, circuit, of, SMALL, (0, 6))
    assert seen["logits"].shape == (4, 10, 10) and torch.equal(seen["scores"], 2 * seen["logits"])
    # Without a bar, in the first frame and the last, a photo is seen as it is.
    still = photos._scores(net, of.images)
    for frame in (seen["logits"][0], seen["logits"][-1]):
        nearest = torch.cdist(frame, still).argmin(dim=1)
        torch.testing.assert_close(frame, still[nearest], atol=1e-4, rtol=1e-4)
        assert torch.equal(of.labels[nearest], labels)


def test_circuit_measures_in_units_of_deviations() -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(3000) % 3
    mixed = torch.randn(3000, 3, generator=random) @ torch.tensor(
        [[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.2, 0.0, 1.0]]
    )
    scores = 5 * torch.eye(3)[labels] + mixed
    circuit = Circuit.of(scores, labels, 3)
    away = scores @ circuit.units - circuit.weight[labels]
    torch.testing.assert_close(away.T @ away / 3000, torch.eye(3), atol=0.05, rtol=0)
    constants = ShortTerm(kappa=1.0, site="none", score="distance")
    answers, _ = circuit.classify(constants)((scores @ circuit.units).unsqueeze(0), None)
    nearest = torch.cdist(scores @ circuit.units, circuit.weight).argmin(dim=1)
    assert torch.equal(answers[0].argmax(dim=1), nearest)  # linear discriminant analysis


def test_bad_settings(tmp_path: Path, root: Path, context: Callable[..., Context]) -> None:
    with pytest.raises(InputError, match="test_photos is 5; expected 10 or more: streams"):
        replace(SMALL, test_photos=5)
    with pytest.raises(InputError, match="photos are 120; expected at most 40, the test photos"):
        measure(replace(SMALL, learned_photos=100), replace(context(tmp_path / "a"), data=root))
    images = photos_in(tmp_path / "own", ["cat", "dog"], 1)
    with pytest.raises(InputError, match=r"data has classes .*'cat', 'dog'.*; expected"):
        measure(SMALL, replace(context(tmp_path / "run"), data=images))
