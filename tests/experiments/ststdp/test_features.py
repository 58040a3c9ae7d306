"""The experiment on features of digits: a small whole run, a stop and restart, bad settings."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from plastorch.engine.checkpoint import load_tensors
from plastorch.engine.errors import InputError, Interrupted
from plastorch.engine.run import Record
from plastorch.experiments.context import Context
from plastorch.experiments.ststdp import circuits, contest, encoder, features_jobs
from plastorch.experiments.ststdp.features import FeatureNetworks, FeaturesConfig, measure
from plastorch.experiments.ststdp.features_jobs import SETTINGS, Stage
from plastorch.experiments.ststdp.networks import multiply_accumulates
from plastorch.experiments.ststdp.screen import Screen
from plastorch.spiking.shortterm.recognition import Digits
from plastorch.spiking.shortterm.streams import Stream

EXPERIMENT = "ststdp-features"
SMALL = FeaturesConfig(
    transforms=("rotation",),
    train_digits=8,
    validation_digits=4,
    test_digits=4,
    streams=4,
)
MODELS = [
    *(f"{kind}-{model}" for kind in ("pixels", "features") for model in SETTINGS),
    *(f"{kind}-{model}" for kind in ("pixels", "features") for model in ("cnn", "lstm")),
    *(f"{kind}-{model}-smoothed" for kind in ("pixels", "features") for model in ("cnn", "static")),
]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuits, "NEURONS", 30)
    monkeypatch.setattr(contest, "RATES", (1e-3,))
    monkeypatch.setattr(encoder, "VIEWS", ((0.0, 1.0), (30.0, 1.0)))


def test_a_run_has_figures_and_costs_of_every_model(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    result = measure(SMALL, context(tmp_path))
    metrics = result["metrics"]
    assert result["complete"] and (result["data"]["n_train"], result["data"]["n_test"]) == (8, 4)
    for model in MODELS:
        assert 0 <= metrics[f"rotation_{model.replace('-', '_')}_accuracy"] <= 1
    assert metrics["test_accuracy"] == metrics["rotation_features_short_term_accuracy"]
    inputs = metrics["features_circuit_parameters"] / 30
    for kind, size in (("pixels", 784), ("features", inputs)):
        for model in ("short_term", "spiking"):
            assert metrics[f"rotation_{kind}_{model}_output_spikes"] == pytest.approx(10)
            assert metrics[f"rotation_{kind}_{model}_synaptic_updates"] == pytest.approx(10 * size)
            assert metrics[f"rotation_{kind}_{model}_input_spikes"] > 0
        assert metrics[f"rotation_{kind}_static_synaptic_updates"] == 0
        assert metrics[f"rotation_{kind}_cnn_macs"] > 0
    assert metrics["rotation_features_static_encoder_macs"] > 1e6
    assert metrics["rotation_pixels_static_encoder_macs"] == 0
    assert {claim["holds"] for claim in result["claims"]} == {None}
    arrays = load_tensors(tmp_path / "arrays.safetensors")
    assert arrays["curve_rotation_features-short-term"].shape == (32,)


def test_networks_can_be_left_out(tmp_path: Path, context: Callable[..., Context]) -> None:
    whole = measure(replace(SMALL, models=("cnn",)), context(tmp_path / "cnn"))["metrics"]
    metrics = measure(replace(SMALL, models=()), context(tmp_path / "none"))["metrics"]
    assert "rotation_pixels_cnn_accuracy" in whole and "rotation_pixels_lstm_accuracy" not in whole
    assert not [name for name in metrics if "cnn" in name or "lstm" in name]
    accuracies = {name for name in metrics if name.endswith("accuracy")}
    assert accuracies and all(whole[name] == metrics[name] for name in accuracies)


def test_what_was_stopped_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    measure(SMALL, context(tmp_path / "whole"))
    tried, count = features_jobs.tried, 0

    def stopping(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == 5:  # while settings are chosen
            raise KeyboardInterrupt
        return tried(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("plastorch.engine.loop.Loop.interval_s", 0.0)
        patch.setattr(features_jobs, "tried", stopping)
        with pytest.raises((KeyboardInterrupt, Interrupted)):
            measure(SMALL, context(tmp_path / "stopped"))
    measure(SMALL, context(tmp_path / "stopped"))
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert (whole / "metrics.jsonl").read_bytes() == (stopped / "metrics.jsonl").read_bytes()


def test_rivals_are_as_large_as_the_circuits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuits, "NEURONS", 400)
    sizes = FeatureNetworks(FeaturesConfig(), 28, 10, seed=0).sizes()
    for kind in ("pixels", "features"):
        for model in ("cnn", "lstm"):
            expected = sizes[f"{kind}_circuit_parameters"]
            assert sizes[f"{kind}_{model}_parameters"] == pytest.approx(expected, rel=0.1)


def test_products_of_networks_are_counted_per_frame() -> None:
    nets = FeatureNetworks(replace(FeaturesConfig(), transforms=("scale",)), 28, 10, seed=0)
    rivals, x = nets.rivals_of("scale"), torch.rand(2, 3, 784)
    convolved = 14 * 14 * 16 * 25 + 7 * 7 * 32 * 16 * 25
    assert multiply_accumulates(rivals["pixels-cnn"], x) == convolved + 1568 * 190 + 190 * 10
    lstm = 4 * 90 * (784 + 90) + 90 * 10
    assert multiply_accumulates(rivals["pixels-lstm"], x) == lstm


def test_films_are_the_same_frames_as_pixels_and_as_features() -> None:
    digits = Digits(torch.rand(6, 8, 8), torch.arange(6))
    sets = {Stream.TRAINING: digits, Stream.TEST: digits}
    screen = Screen(encoder=lambda x: x[..., :5], digits=sets, streams=3, seed=0)
    kept = screen.kept("rotation", Stream.TEST)
    assert kept is screen.kept("rotation", Stream.TEST) and len(kept) == 2
    for seen, labels in kept:
        assert seen["pixels"].shape == (32, 3, 64) and labels.shape == (3,)
        assert torch.equal(seen["features"], seen["pixels"][..., :5])
    frames = screen.frames("rotation", Stream.TEST, "features")
    assert torch.equal(frames[1][0], kept[1][0]["features"])
    one, other = (next(screen.films("rotation", Stream.TRAINING, 0, n))[0] for n in (1, 2))
    assert not torch.equal(one["pixels"], other["pixels"])


def test_validation_chooses_among_the_same_settings_for_both_inputs() -> None:
    rows = [
        {
            "transform": "scale",
            "model": f"{kind}-short-term",
            "kappa": one.kappa,
            "gamma": one.gamma,
            "tau": one.tau,
            "validation_accuracy": float(one == best),
        }
        for kind, best in (
            ("pixels", SETTINGS["short-term"][3]),
            ("features", SETTINGS["short-term"][-1]),
        )
        for one in SETTINGS["short-term"]
    ]
    stage = Stage(transform="scale", screen=None, circuits={}, nets={}, encoder_macs=0)  # type: ignore[arg-type]
    assert stage.chosen(rows, "pixels", "short-term") == SETTINGS["short-term"][3]
    assert stage.chosen(rows, "features", "short-term") == SETTINGS["short-term"][-1]


def test_the_best_spiking_settings_of_a_trial_are_tried_on_all_films(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    monkeypatch.setattr(features_jobs, "FINALISTS", 1)
    run = context(tmp_path)
    measure(replace(SMALL, models=(), validation_digits=8), run)
    for kind in ("pixels", "features"):
        rows = [r for r in run.run.records() if r.get("model") == f"{kind}-spiking"]
        trials = {_constants(r): float(r["trial_accuracy"]) for r in rows if "trial_accuracy" in r}
        finals = [_constants(r) for r in rows if "validation_accuracy" in r]
        assert len(trials) == 3 and finals == [max(trials, key=lambda row: trials[row])]


def _constants(row: Record) -> tuple[Any, ...]:
    return row["kappa"], row["gamma"], row["tau"]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"transforms": ("mixed",)}, "transforms are .'mixed'.; expected some of"),
        ({"transforms": ()}, "transforms are"),
        ({"models": ("gru",)}, "models are .'gru'.; expected some of"),
        ({"epochs": 0}, "epochs is 0"),
        ({"validation_digits": 10}, "validation_digits is 10; expected 20 or more: streams"),
    ],
)
def test_bad_settings(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        FeaturesConfig(**setting)
