"""Temporal MNIST: small whole runs, a stop and a restart, claims, and bad settings."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from plastorch.cli import main
from plastorch.engine.checkpoint import load_tensors
from plastorch.engine.errors import InputError, Interrupted
from plastorch.engine.run import RunFolder
from plastorch.engine.streams import stream
from plastorch.experiments.context import Context
from plastorch.experiments.rank import mnist as rank_mnist
from plastorch.experiments.rank.mnist import MODELS, Pictures, RankMnistConfig, measure
from plastorch.experiments.rank.mnist_claims import BETAS, _entropy_claims, claims
from plastorch.experiments.rank.timing_panels import panels
from plastorch.rank import RankTraining
from plastorch.report.load import load_run

EXPERIMENT = "rank-mnist"
SMALL = RankMnistConfig(models=("lstm-rank", "convolutional"), steps=4)


@pytest.fixture(autouse=True)
def few_images(monkeypatch: pytest.MonkeyPatch, no_root: None) -> None:
    """A smoke run on a tenth of its images, from inside the package."""
    monkeypatch.setattr(rank_mnist, "QUICK", (72, 30))


def test_a_run_has_accuracy_and_time_of_every_model(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    result = measure(replace(SMALL, models=tuple(MODELS)), context(tmp_path / "run"))
    assert result["complete"] and result["quick"] and result["data"]["n_train"] == 72
    metrics = result["metrics"]
    for name in MODELS:
        field = name.replace("-", "_")
        assert 0 <= metrics[f"{field}_accuracy"] <= 1
        steps = 5 if name == "convolutional-coarse" else 4
        assert 0 <= metrics[f"{field}_mean_step"] < steps
        assert 0 <= metrics[f"{field}_validation_mean_step"] < steps
        assert metrics[f"{field}_skipped"] == pytest.approx(
            1 - (metrics[f"{field}_mean_step"] + 1) / steps
        )
    assert metrics["test_accuracy"] == metrics["convolutional_accuracy"]
    assert 0 < metrics["lstm_rank_answer_steps"] <= 1 < 1 + metrics["convolutional_answer_time"]
    assert len(result["claims"]) >= 10
    assert all(claim["holds"] is None for claim in result["claims"])
    rows = RunFolder(tmp_path / "run").records()
    phases = list(dict.fromkeys(row["phase"] for row in rows))
    twice = {name: [f"{name}-first", name] for name in MODELS if name.startswith("convolutional")}
    assert phases == [phase for name in MODELS for phase in twice.get(name, [name])]
    first = [row for row in rows if str(row["phase"]).endswith("-first")]
    assert all(row["computed_steps"] == 1 for row in first)
    names = [panel.name for panel in panels(load_run(tmp_path / "run"))]
    assert names[:3] == ["accuracy-time", "decision-times", "fixed-time"]


def test_what_was_stopped_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    measure(SMALL, context(tmp_path / "whole"))
    step, count = RankTraining.step, 0

    def stopping(self: RankTraining) -> Any:
        nonlocal count
        count += 1
        if count == 4:  # at the beginning of the convolutional network's second phase
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr("plastorch.engine.loop.Loop.interval_s", 0.0)
    monkeypatch.setattr(RankTraining, "step", stopping)
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        measure(SMALL, context(tmp_path / "stopped"))
    measure(SMALL, context(tmp_path / "stopped"))
    weights, courses = [], []
    for folder in ("whole", "stopped"):
        (file,) = (tmp_path / folder / "checkpoint").glob("*.safetensors")
        weights.append(load_tensors(file))
        records = RunFolder(tmp_path / folder).records()
        courses.append([{k: v for k, v in row.items() if k != "seconds"} for row in records])
    assert courses[0] == courses[1]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_pictures_are_varied_as_spikes_with_background_around(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    when = torch.zeros(50, 1, 3, 3, dtype=torch.uint8)
    data = Pictures(when, torch.zeros(50).long(), 4)
    plain, moved = data.batch(), data.varied(1, stream(0)).batch()
    assert plain.x.shape == moved.x.shape == (4, 50, 9) and not plain.x.any()
    assert set(moved.x.unique().tolist()) == {0, 3}
    monkeypatch.setattr(rank_mnist, "DEGREES", 0.0)
    monkeypatch.setattr(rank_mnist, "SCALE", 0.0)
    dark = (data.varied(1, stream(0)).when == 3).flatten(1).sum(1)
    assert set(dark.tolist()) == {0, 3, 5}  # not moved, along one axis, along both


def test_early_answers_are_those_of_the_model_that_validation_chose() -> None:
    figures = {f"{name}_{part}early_accuracy": value for name, part, value in (
        ("lstm_rank", "validation_", 0.95), ("lstm_rank", "", 0.99),
        ("lstm_cost", "validation_", 0.96), ("lstm_cost", "", 0.964),
        ("lstm_hybrid", "validation_", 0.94), ("lstm_hybrid", "", 0.97),
    )}  # fmt: skip
    (claim,) = claims(figures, {}, [], 10_000, True)
    assert (claim.id, claim.measured, claim.holds) == ("early", 0.964, True)
    assert "lstm-cost" in claim.statement
    paper = {name: value for name, value in figures.items() if name.startswith("lstm_rank")}
    assert not claims(paper, {}, [], 10_000, True)


def test_claims_are_asserted_of_whole_runs_only() -> None:
    def curve(*points: tuple[float, float]) -> torch.Tensor:
        return torch.tensor([(*point, 0.5, 0.0) for point in points], dtype=torch.float64)

    figures = {
        f"{name.replace('-', '_')}_{kind}": value
        for name in MODELS
        for kind, value in (("accuracy", 0.96), ("mean_step", 0.3), ("first_accuracy", 0.5))
    }
    figures |= {"convolutional_accuracy": 0.996, "convolutional_first_accuracy": 0.98}
    figures |= {"convolutional_coarse_first_accuracy": 0.992}
    figures |= {"convolutional_answer_time": 0.2, "lstm_last_last_accuracy": 0.964}
    figures |= {"lstm_rank_first_accuracy": 0.9}
    arrays = {f"{name}.curve": curve((0.1, 0.9), (0.4, 0.96)) for name in MODELS}
    figures |= {"lstm_rank_answer_steps": 0.1, "lstm_rank_answer_time": 0.2}
    courses = {"lstm-rank": (20.0, 9.0, 2.0, 2.0), "lstm-last": (20.0, 20.0)}
    courses |= {"lstm-beta5": (20.0, 15.0), "lstm-beta10": (20.0, 18.0)}
    rows: list[Any] = [
        {
            "phase": phase,
            "batch": number,
            "computed_steps": steps,
            "seconds": steps,
            "mean_step": steps,
            "validation_mean_step": steps,
            "validation_accuracy": steps / 25,
        }
        for phase, course in courses.items()
        for number, steps in enumerate(course)
    ]
    held = {claim.id: claim.holds for claim in claims(figures, arrays, rows, 10_000, True)}
    unasserted = [held.pop(id_) for id_ in ("above-time", "above-rate-coded", "first-of-20")]
    assert unasserted == [None] * 3
    assert held.pop("first-of-20-paper") is False
    assert held == dict.fromkeys(held, True) and len(held) == 20
    assert {claim.holds for claim in claims(figures, arrays, rows, 10_000, False)} == {None}
    assert {c.id: c.origin for c in claims(figures, arrays, rows, 10_000, True)}["first-step"] == (
        "ours"
    )
    worse = figures | {"convolutional_mean_step": 1.5, "lstm_last_first_accuracy": 0.95}
    worse |= {"lstm_last_last_accuracy": 0.97}
    arrays["convolutional.curve"] = curve((0.1, 0.9), (0.1, 0.96))
    arrays["lstm-rank.curve"] = curve((0.1, 0.96), (0.4, 0.9))
    turned = [row | {"phase": "lstm-rank"} for row in rows[3::-1]]
    wrong = [c.id for c in claims(worse, arrays, turned, 10_000, True) if c.holds is False]
    assert wrong == [
        "crossing-time",
        "first-of-20-paper",
        "half-time-loss",
        "first-last",
        "lstm-rank-threshold-accuracy",
        "lstm-computed",
        "lstm-seconds",
    ]


def test_lstms_learn_as_long_and_all_answers_are_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    quick, timed = rank_mnist._quick, 0

    def longer(*given: Any) -> Any:
        config, images = quick(*given)
        return replace(config, epochs=3), images

    def counted(name: str, net: Any, batches: Any) -> dict[str, float]:
        nonlocal timed
        timed += len(batches)
        return {}

    monkeypatch.setattr(rank_mnist, "_quick", longer)
    monkeypatch.setattr(rank_mnist, "work", counted)
    monkeypatch.setattr(Pictures.batches, "__defaults__", (1,))
    names = ("lstm-rank", "lstm-last", "lstm-all")
    measure(replace(SMALL, models=names), context(tmp_path / "run"))
    rows = RunFolder(tmp_path / "run").records()
    assert {sum(row["phase"] == name for row in rows) for name in names} == {3}
    assert timed == 30


def test_settings_are_chosen_without_the_test_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    load, found = rank_mnist.load_images, []
    config = replace(SMALL, models=("lstm-rank",))
    for turn in range(2):

        def turned(name: str, data: Path | None, turn: int = turn) -> Any:
            images = load(name, data)
            return replace(images, test_labels=(images.test_labels + turn) % 10)

        monkeypatch.setattr(rank_mnist, "load_images", turned)
        metrics = measure(config, context(tmp_path / str(turn)))["metrics"]
        last = RunFolder(tmp_path / str(turn)).records()[-2:]
        assert metrics["lstm_rank_validation_accuracy"] == max(
            float(row["validation_accuracy"]) for row in last
        )
        kinds = [kind for kind in metrics if "_validation_" in kind]
        assert len(kinds) == 4
        found.append([metrics[kind] for kind in (*kinds, "lstm_rank_first_accuracy")])
    assert found[0][:4] == found[1][:4] and found[0][4] != found[1][4]


def test_rates_of_both_parts_of_the_convolutional_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    rates: list[tuple[str, float]] = []
    start = RankTraining.__init__

    def told(self: RankTraining, name: str, *given: Any, **named: Any) -> None:
        start(self, name, *given, **named)
        rates.append((name, self.training.learning_rate))

    monkeypatch.setattr(RankTraining, "__init__", told)
    config = replace(SMALL, models=("convolutional",), later_learning_rate=3e-4)
    measure(config, context(tmp_path / "run"))
    assert rates == [("convolutional-first", 2e-3), ("convolutional", 3e-4)]


def test_entropy_is_judged_on_images_held_out() -> None:
    rows: list[Any] = [
        {
            "phase": name,
            "mean_step": 3.0 - place,
            "train_accuracy": 1 - place / 10,
            "validation_mean_step": place,
            "validation_accuracy": 0.9 + place / 100,
        }
        for place, name in enumerate(BETAS)
        for _ in range(4)
    ]
    found = list(_entropy_claims(rows))
    assert [(claim.id, claim.holds) for claim in found] == [
        ("entropy-time", True),
        ("entropy-accuracy", True),
    ]
    assert found[1].measured == pytest.approx(0.02)


def test_the_command_line_runs_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--models", "lstm-rank", "--steps", "3", "--quick", "--out", str(tmp_path)]
    assert main(["run", "rank-mnist", *arguments]) == 0
    assert "test accuracy" in capsys.readouterr().out
    (report,) = tmp_path.glob("rank-mnist/*/report.html")
    assert "Accuracy against time" in report.read_text()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"models": ("gru",)}, "models are"),
        ({"steps": 1}, "steps is 1; expected 2 to 255"),
        ({"coarse_steps": 256}, "coarse_steps is 256; expected 2 to 255"),
        ({"threshold": 1.0}, r"threshold is 1\.0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"convolutional_learning_rate": -1.0}, "convolutional_learning_rate is -1"),
        ({"later_learning_rate": 0.0}, "later_learning_rate is 0"),
        ({"first_epochs": -1}, "first_epochs is -1; expected 0 to"),
        ({"shift": -2}, "shift is -2"),
    ],
)
def test_bad_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        RankMnistConfig(**settings)
