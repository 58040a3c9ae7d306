"""The experiment on transforming digits: small whole runs, a stop and restart, bad settings."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from plastorch.data import load_images
from plastorch.engine.checkpoint import load_tensors
from plastorch.engine.errors import InputError, Interrupted
from plastorch.experiments.context import Context
from plastorch.experiments.ststdp import circuits
from plastorch.experiments.ststdp import theory as ststdp_theory
from plastorch.experiments.ststdp.digits import MAIN, DigitsConfig, measure
from plastorch.experiments.ststdp.jobs import RATIOS
from plastorch.experiments.ststdp.measuring import GRIDS, Bench, figures
from plastorch.experiments.ststdp.networks import MODELS
from plastorch.experiments.ststdp.sets import split

EXPERIMENT = "ststdp-digits"
SMALL = DigitsConfig(
    models=("mlp", "gru"),
    train_digits=40,
    validation_digits=8,
    test_digits=8,
    streams=4,
    theory_steps=20,
)


@pytest.fixture(autouse=True)
def few_neurons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuits, "NEURONS", 30)
    monkeypatch.setattr(ststdp_theory, "HORIZON", 4)
    monkeypatch.setattr(ststdp_theory, "MISMATCHES", (0.5, 1.0))


def test_a_run_has_figures_of_every_model(tmp_path: Path, context: Callable[..., Context]) -> None:
    result = measure(SMALL, context(tmp_path))
    assert result["complete"] and result["quick"]
    assert (result["data"]["n_train"], result["data"]["n_test"]) == (40, 8)
    metrics = result["metrics"]
    models = ["accumulate", "not-normalized", "hard", "nearest", "mlp", "gru", "static-mlp"]
    models += [*GRIDS, "smoothed-static", "smoothed-mlp"]
    models += [f"tau-{ratio:g}" for ratio in RATIOS]
    for model in models:
        for kind in ("accuracy", "middle", "recovery"):
            name = f"occlusion_{model.replace('-', '_')}_{kind}"
            assert 0 <= metrics[name] <= (32 if kind == "recovery" else 1)
    for control in ("new_digits", "static", "abrupt"):
        assert 0 <= metrics[f"{control}_short_term_accuracy"] <= 1
    assert metrics["test_accuracy"] == metrics["occlusion_short_term_accuracy"]
    assert metrics["occlusion_spiking_static_kappa"] == GRIDS["spiking-static"][-1].kappa
    assert metrics["occlusion_spiking_output_spikes"] == pytest.approx(10, rel=0.2)
    expected = 784 * metrics["occlusion_spiking_output_spikes"]
    assert metrics["occlusion_spiking_synaptic_updates"] == pytest.approx(expected)
    assert metrics["occlusion_gru_frames"] == 40 * 32 and metrics["learning_frames"] == 40
    assert metrics["circuit_parameters"] == 30 * 784
    assert {claim["holds"] for claim in result["claims"]} == {None}
    arrays = load_tensors(tmp_path / "arrays.safetensors")
    assert arrays["curve_occlusion_gru"].shape == (32,)
    assert arrays["curve_new-digits_static"].shape == (1,)
    assert arrays["filters"].shape == (30, 1, 28, 28)
    for name in ("frames", "expected", "rest"):
        assert arrays[f"course_{name}"].shape == (24, 28, 28)
    assert arrays["course_shares"].shape == (96, 10) and arrays["covered_occlusion"].shape == (32,)
    for name in ("labels", "answers_static", "answers_mlp", "answers_gru"):
        assert arrays[f"course_{name}"].shape == (96,)
    assert len(arrays["raster_times"]) == len(arrays["raster_neurons"]) > 500


def test_what_was_stopped_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    config = replace(SMALL, models=("gru",))
    measure(config, context(tmp_path / "whole"))
    validated, count = Bench.validated, 0

    def stopping(self: Bench, *arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == 5:  # while settings are chosen
            raise KeyboardInterrupt
        return validated(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr("plastorch.engine.loop.Loop.interval_s", 0.0)
        patch.setattr(Bench, "validated", stopping)
        with pytest.raises((KeyboardInterrupt, Interrupted)):
            measure(config, context(tmp_path / "stopped"))
    again = replace(config, models=["gru"], transforms=list(config.transforms))  # type: ignore[arg-type]
    measure(again, context(tmp_path / "stopped"))
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert (whole / "metrics.jsonl").read_bytes() == (stopped / "metrics.jsonl").read_bytes()
    arrays = [load_tensors(folder / "arrays.safetensors") for folder in (whole, stopped)]
    assert arrays[0].keys() == arrays[1].keys()
    assert all(torch.equal(arrays[0][name], arrays[1][name]) for name in arrays[0])


def test_no_digit_is_in_two_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLASTORCH_DATA", raising=False)
    images = load_images("mnist")
    sets = split(images, DigitsConfig(), 0)
    assert [len(part.labels) for part in sets] == [4800, 200, 1000]
    seen = [{bytes(image.numpy()) for image in part.images} for part in sets]
    # The digits themselves may repeat by chance; here none does.
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]
    other = split(images, DigitsConfig(), 1)
    assert not torch.equal(sets[0].labels, other[0].labels)
    with pytest.raises(InputError, match="train digits are 0"):
        split(images, DigitsConfig(validation_digits=5000), 0)


@pytest.mark.parametrize("name", MODELS)
def test_networks_have_as_many_parameters_as_the_circuit(name: str) -> None:
    net = MODELS[name].make(28, 10)
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(400 * 784, rel=0.1)


def test_figures_of_frames() -> None:
    right = torch.zeros(2, 8, 1, dtype=torch.bool)
    right[0, 3:] = True
    found = figures(right)
    assert found["accuracy"] == 5 / 16 and found["middle"] == 3 / 8
    assert found["recovery"] == (3 + 8) / 2
    assert [found[f"at_{t}"] for t in range(8)] == [0, 0, 0, *[0.5] * 5]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"transforms": ("static",)}, "transforms are .'static'.; expected some of"),
        ({"transforms": ()}, "transforms are"),
        ({"models": ("transformer",)}, "models are .'transformer'."),
        ({"epochs": 0}, "epochs is 0"),
        ({"streams": 0}, "streams is 0"),
        ({"test_digits": 10}, "test_digits is 10; expected 20 or more: streams"),
    ],
)
def test_bad_settings(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        DigitsConfig(**setting)


def test_all_but_the_slowest_learn_by_default() -> None:
    assert DigitsConfig().models == MAIN and set(MODELS) - set(MAIN) == {"stpn"}
