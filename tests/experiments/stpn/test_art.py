"""The retrieval experiment: small whole runs, a stop and a restart, claims, and bad settings."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from plastorch.cli import main
from plastorch.engine.checkpoint import load_tensors
from plastorch.engine.errors import InputError, Interrupted
from plastorch.engine.run import RunFolder
from plastorch.experiments.context import Context
from plastorch.experiments.models import networks
from plastorch.experiments.stpn import art as stpn_art
from plastorch.experiments.stpn.art import MODELS, ArtConfig, claims, measure
from plastorch.stp.train import AnswerTraining

EXPERIMENT = "stpn-art"
SMALL = ArtConfig(models=("stpn", "lstm", "fast-weights"), train_sequences=300)
PARAMETERS = {
    "stpn": 2039,
    "stpn-scalar": 1939,
    "stpnf": 1974,
    "stpnf-scalar": 1989,
    "hebbff": 1989,
    "rnn": 1937,
    "rnn-normalized": 1937,
    "lstm": 2062,
    "fast-weights": 1977,
    "modulated": 1908,
}
"""As published."""


def models_of(config: ArtConfig, seed: int) -> nn.ModuleDict:
    return networks(config.models, MODELS, (seed,), config.network)


@pytest.fixture(autouse=True)
def few_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    """A smoke run on a tenth of its sequences."""
    whole = stpn_art.retrieval_sets

    def fewer(seed: int, sizes: tuple[int, ...], pairs: int) -> Any:
        return whole(seed, tuple(size // 10 for size in sizes), pairs)

    monkeypatch.setattr(stpn_art, "retrieval_sets", fewer)


def test_a_run_has_accuracy_energy_and_size_of_every_model(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    result = measure(ArtConfig(), context(tmp_path))
    assert result["complete"] and result["quick"] and result["data"]["n_train"] == 200
    metrics = result["metrics"]
    for name in MODELS:
        field = name.replace("-", "_")
        assert 0 <= metrics[f"{field}_accuracy"] <= 1 and metrics[f"{field}_energy"] > 0
        assert metrics[f"{field}_parameters"] == PARAMETERS[name]
    assert metrics["test_accuracy"] == metrics["stpn_accuracy"]
    ids = ["accuracy-best", "accuracy-ablations", "accuracy-solved"]
    ids += ["energy-lowest", "energy-ablations", "energy-plasticity"]
    assert [claim["id"] for claim in result["claims"]] == ids
    assert all(claim["holds"] is None for claim in result["claims"])
    rows = RunFolder(tmp_path).records()
    assert list(dict.fromkeys(row["phase"] for row in rows)) == list(MODELS)
    lstm = [row for row in rows if row["phase"] == "lstm"]
    assert [row["epoch"] for row in lstm] == [1, 2, 3, 4] and result["tuning"] == []
    assert metrics["lstm_validation_accuracy"] == lstm[-1]["validation_accuracy"]
    assert metrics["lstm_learning_rate"] == 0.01


def test_each_model_learns_with_the_rate_that_is_best_on_validation_sequences(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    rates = (1e-9, 0.05)
    result = measure(replace(SMALL, learning_rates=rates), context(tmp_path))
    trials, metrics = result["tuning"], result["metrics"]
    assert [trial["model"] for trial in trials] == [name for name in SMALL.models for _ in rates]
    for name in SMALL.models:
        own = [trial for trial in trials if trial["model"] == name]
        assert [trial["learning_rate"] for trial in own] == list(rates)
        first, second = (trial["validation_accuracy"] for trial in own)
        chosen = metrics[f"{name.replace('-', '_')}_learning_rate"]
        assert chosen == rates[second > first]
    rows = RunFolder(tmp_path).records()
    phases = list(dict.fromkeys(row["phase"] for row in rows))
    assert phases[:3] == ["tuning-stpn-0", "tuning-stpn-1", "stpn"] and len(phases) == 9


def test_the_training_after_the_choice_is_one_without_it(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    config = replace(SMALL, models=("stpn",))
    tuned = measure(replace(config, learning_rates=(0.02,)), context(tmp_path / "tuned"))
    plain = measure(replace(config, learning_rate=0.02), context(tmp_path / "plain"))
    for kind in ("accuracy", "energy", "validation_accuracy"):
        assert tuned["metrics"][f"stpn_{kind}"] == plain["metrics"][f"stpn_{kind}"]


@pytest.mark.parametrize("rates", [(), (1e-3, 0.05)], ids=["one-rate", "tuned"])
def test_what_was_stopped_goes_on_to_the_same_bits(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rates: tuple[float, ...],
    context: Callable[..., Context],
) -> None:
    small = replace(SMALL, learning_rates=rates, schedule="linear" if rates else "constant")
    whole = measure(small, context(tmp_path / "whole"))
    step, count = AnswerTraining.step, 0

    def stopping(self: AnswerTraining) -> Any:
        nonlocal count
        count += 1
        if count == (6 if rates else 4):  # the second model's second rate, or second epoch
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr("plastorch.engine.loop.Loop.interval_s", 0.0)
    monkeypatch.setattr(AnswerTraining, "step", stopping)
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        measure(small, context(tmp_path / "stopped"))
    again = context(tmp_path / "stopped")
    stopped = measure(replace(small, models=list(SMALL.models)), again)  # type: ignore[arg-type]
    assert stopped["tuning"] == whole["tuning"] and len(whole["tuning"]) == 3 * len(rates)
    for name in ("metrics.jsonl",):
        assert (tmp_path / "whole" / name).read_bytes() == (
            tmp_path / "stopped" / name
        ).read_bytes()
    weights = []
    for folder in ("whole", "stopped"):
        checkpoint = tmp_path / folder / "checkpoint"
        (file,) = checkpoint.glob("*.safetensors")
        weights.append(load_tensors(file))
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_faithful_and_corrected_models_have_the_same_size() -> None:
    for variant in ("faithful", "corrected"):
        for name, net in models_of(ArtConfig(variant=variant), 0).items():  # type: ignore[arg-type]
            count = sum(p.numel() for p in net.parameters() if p.requires_grad)
            unused = {"stpnf": 13, "stpnf-scalar": 26}.get(name, 0) * (variant == "faithful")
            assert count + unused == PARAMETERS[name]


def test_a_model_starts_the_same_whichever_others_learn() -> None:
    alone, among = models_of(replace(SMALL, models=("lstm",)), 3), models_of(SMALL, 3)
    for one, other in zip(alone["lstm"].parameters(), among["lstm"].parameters(), strict=True):
        assert torch.equal(one, other)
    assert "rnn" not in among


def test_claims_are_asserted_of_whole_runs_only() -> None:
    metrics = {f"{name.replace('-', '_')}_accuracy": 0.4 for name in MODELS}
    metrics |= {f"{name.replace('-', '_')}_energy": 3.0 for name in MODELS}
    metrics |= {"stpn_accuracy": 0.995, "stpn_energy": 1.0, "lstm_accuracy": 0.5, "rnn_energy": 2.0}
    held = {claim.id: claim.holds for claim in claims(ArtConfig(), metrics, False)}
    assert held == dict.fromkeys(held, True) and len(held) == 6
    named = {
        claim.id: (claim.target, claim.statement) for claim in claims(ArtConfig(), metrics, False)
    }
    assert named["accuracy-best"][0] == 0.5 and named["accuracy-best"][1].endswith("lstm")
    simpler = claims(ArtConfig(), metrics | {"stpnf_accuracy": 0.995}, False)
    assert [claim.id for claim in simpler if not claim.holds] == ["accuracy-ablations"]
    assert named["energy-lowest"][0] == 2.0 and named["energy-lowest"][1].endswith("rnn")
    worse = claims(ArtConfig(), metrics | {"stpn_accuracy": 0.45, "stpn_energy": 4.0}, False)
    assert [claim.holds for claim in worse] == [False, True, False, False, False, False]
    for config, quick in ((ArtConfig(), True), (ArtConfig(epochs=3), False)):
        assert {claim.holds for claim in claims(config, metrics, quick)} == {None}
    tuned = ArtConfig(pairs=5, epochs=50, learning_rates=(1e-3, 3e-3))
    assert claims(tuned, metrics, False)[0].holds is True
    assert claims(replace(tuned, schedule="linear"), metrics, False)[0].holds is True
    for setting in (
        {"epochs": 49},
        {"learning_rates": ()},
        {"learning_rates": (3e-3,)},
        {"tuning_epochs": 1},
        {"learning_rates": (), "schedule": "linear"},
        {"train_sequences": 1000},
        {"models": tuple(MODELS)[:-1]},
    ):
        found = claims(replace(tuned, **setting), metrics, False)  # type: ignore[arg-type]
        assert {claim.holds for claim in found} == {None}
    harder = {c.id: c.holds for c in claims(ArtConfig(pairs=5), metrics, False)}
    assert harder["accuracy-best"] is True and harder["accuracy-solved"] is None
    assert (
        claims(replace(SMALL, models=("stpn",)), {"stpn_accuracy": 1, "stpn_energy": 1}, False)
        == []
    )


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"models": ("gru",)}, "models are .'gru'.; expected some of"),
        ({"models": ()}, "models are"),
        ({"variant": "paper"}, "variant is 'paper'"),
        ({"pairs": 0}, "pairs is 0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"learning_rates": (1e-3, 0.0)}, "one of learning_rates is 0.0; expected more than 0"),
        ({"learning_rates": ("fast",)}, "one of learning_rates is 'fast'; expected a number"),
        ({"tuning_epochs": 0}, "tuning_epochs is 0"),
        ({"schedule": "cosine"}, "schedule is 'cosine'; expected one of constant, linear"),
    ],
)
def test_bad_settings(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ArtConfig(**setting)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", "stpn-art", "--quick", "--models", "stpn", "rnn", "--out", str(tmp_path)]
    assert main(command) == 0
    (folder,) = (tmp_path / "stpn-art").iterdir()
    assert json.loads((folder / "result.json").read_text())["config"]["models"] == ["stpn", "rnn"]
    assert "STPN answers better" in (folder / "result.json").read_text()
    assert "claim" not in capsys.readouterr().out
    drawn = {path.stem for path in (folder / "figures").glob("*.png")}
    assert {"validation-accuracy", "energy"} <= drawn
