"""The familiarity experiment: small whole runs, a stop and a restart, claims, and bad settings."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from plastorch.cli import main
from plastorch.engine.checkpoint import load_tensors
from plastorch.engine.errors import InputError
from plastorch.engine.loop import Loop
from plastorch.engine.run import RunFolder
from plastorch.experiments.context import Context
from plastorch.experiments.models import networks
from plastorch.experiments.stpn.familiarity import (
    MODELS,
    TESTED,
    FamiliarityConfig,
    claims,
    measure,
    network,
)
from plastorch.stp.familiarity import FamiliarityTraining

EXPERIMENT = "stpn-familiarity"
SMALL = FamiliarityConfig(models=("stpn", "lstm"), steps=60, updates=12)
PARAMETERS = {
    "stpn": 10342,
    "stpnf": 10269,
    "stpn-scalar": 10171,
    "stpnf-scalar": 10203,
    "hebbff": 10203,
    "lstm": 10354,
}
"""As published."""


def models_of(config: FamiliarityConfig, seed: int) -> nn.ModuleDict:
    return networks(config.models, MODELS, (seed, 0), network)


def final(folder: Path) -> dict[str, torch.Tensor]:
    (file,) = (folder / "checkpoint").glob("*.safetensors")
    return load_tensors(file)


@pytest.mark.parametrize("mode", ["dat", "inf"])
def test_a_run_tests_every_model_on_every_distance(
    tmp_path: Path, mode: Any, context: Callable[..., Context]
) -> None:
    config = FamiliarityConfig(mode=mode, steps=40, updates=2)
    result = measure(config, context(tmp_path))
    assert result["complete"] and result["quick"] and result["config"]["mode"] == mode
    assert result["data"]["n_train"] == (40 if mode == "dat" else 80)
    metrics, rows = result["metrics"], RunFolder(tmp_path).records()
    for name in MODELS:
        field = name.replace("-", "_")
        assert metrics[f"{field}_parameters"] == PARAMETERS[name]
        tests = [row for row in rows if row["phase"] == f"generalisation-{name}"]
        assert [row["repeat"] for row in tests] == list(TESTED)
        for kind in ("accuracy", "true_positive_rate", "false_positive_rate"):
            assert all(0 <= row[kind] <= 1 for row in tests)
            assert metrics[f"{field}_{kind}"] == tests[2][kind]
        (course,) = [row for row in rows if row["phase"] == name]
        assert course["step"] == metrics[f"{field}_updates"] == 2
        assert course["validation_accuracy"] == metrics[f"{field}_validation_accuracy"]
    assert metrics["majority_accuracy"] == metrics["novel_share"] >= 0.5
    assert metrics["test_accuracy"] == metrics["stpn_accuracy"]
    named = [claim["id"] for claim in result["claims"]]
    assert named == ["above-chance", "above-lstm", "above-hebbff"]
    assert all(claim["holds"] is None for claim in result["claims"])


def test_each_model_takes_the_rate_and_length_that_are_best_on_validation_items(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    config = replace(SMALL, updates=20, learning_rates=(0.5, 1e-4))
    result = measure(config, context(tmp_path))
    metrics, trials = result["metrics"], result["tuning"]
    for name in SMALL.models:
        own = [trial for trial in trials if trial["model"] == name]
        top = max(own, key=lambda trial: trial["validation_accuracy"])
        assert [trial["learning_rate"] for trial in own] == [0.5, 1e-4]
        assert all(trial["steps"] in (10, 20) for trial in own)
        assert metrics[f"{name}_learning_rate"] == top["learning_rate"]
        assert metrics[f"{name}_updates"] == top["steps"]
        assert metrics[f"{name}_validation_accuracy"] == top["validation_accuracy"]
    ids = [claim["id"] for claim in result["claims"]]
    assert ids == ["above-chance", "above-tuned-lstm"]


def test_each_update_sees_the_same_stream_or_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    step, seen = FamiliarityTraining.step, []

    def watched(self: FamiliarityTraining) -> Any:
        seen.append(self.stream(self.position).items)
        return step(self)

    monkeypatch.setattr(FamiliarityTraining, "step", watched)
    for mode in ("dat", "inf"):
        config = replace(SMALL, mode=mode, updates=3)  # type: ignore[arg-type]
        measure(config, context(tmp_path / mode))
    dat, inf = seen[:6], seen[6:]  # of two models each
    assert all(torch.equal(dat[0], other) for other in dat)
    assert not torch.equal(inf[0], inf[1]) and not torch.equal(inf[1], inf[2])
    assert all(torch.equal(one, two) for one, two in zip(inf[:3], inf[3:], strict=True))


@pytest.mark.parametrize("at", [5, 16])
def test_what_was_stopped_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, context: Callable[..., Context]
) -> None:
    """In the first and in the second model's training, of streams that are new each time."""
    config = replace(SMALL, mode="inf")
    measure(config, context(tmp_path / "whole"))
    step, count = FamiliarityTraining.step, 0

    def dying(self: FamiliarityTraining) -> Any:
        nonlocal count
        count += 1
        if count == at:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(Loop, "interval_s", 0.0)
    monkeypatch.setattr(FamiliarityTraining, "step", dying)
    with pytest.raises(KeyboardInterrupt):
        measure(config, context(tmp_path / "stopped"))
    again = replace(config, models=list(config.models))  # type: ignore[arg-type]
    measure(again, context(tmp_path / "stopped"))
    assert count == 1 + 2 * 12  # no update was repeated
    log = "metrics.jsonl"
    assert (tmp_path / "whole" / log).read_bytes() == (tmp_path / "stopped" / log).read_bytes()
    whole, stopped = final(tmp_path / "whole"), final(tmp_path / "stopped")
    assert whole.keys() == stopped.keys()
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)


def test_units_start_as_in_the_papers_code() -> None:
    nets = models_of(FamiliarityConfig(), 0)
    for name, bound in (
        ("stpn", 0.001 / math.sqrt(27)),
        ("stpnf", 0.001 / math.sqrt(34)),
        ("stpn-scalar", 0.001 / 62),
        ("stpnf-scalar", 0.0001),
    ):
        cell = nets[name].core.cells[0]
        assert cell.weight_gamma.abs().max() <= bound
        assert cell.weight_lambda.min() >= 0 and cell.weight_lambda.max() <= 1
        deviation = cell.weight.shape[1] ** -0.5
        assert float(cell.weight.detach().std()) == pytest.approx(deviation, rel=0.05)
        if name in ("stpn", "stpnf"):
            assert cell.weight_gamma.abs().max() > 0.99 * bound
    hebbian = nets["hebbff"].core.cells[0]
    assert hebbian.weight_gamma.item() == pytest.approx(-0.05)
    assert float(hebbian.weight.detach().std()) == pytest.approx(0.1, rel=0.05)
    assert float(hebbian.bias.detach().std()) == pytest.approx(1, rel=0.3)


def test_a_model_starts_the_same_whichever_others_learn() -> None:
    alone, among = models_of(replace(SMALL, models=("lstm",)), 3), models_of(SMALL, 3)
    for one, other in zip(alone["lstm"].parameters(), among["lstm"].parameters(), strict=True):
        assert torch.equal(one, other)


def test_claims_are_asserted_of_published_settings_only() -> None:
    metrics = {"stpn_accuracy": 0.9, "lstm_accuracy": 0.7, "hebbff_accuracy": 0.95}

    def holds(config: FamiliarityConfig, quick: bool = False) -> dict[str, bool | None]:
        return {claim.id: claim.holds for claim in claims(config, metrics, 0.667, quick)}

    tuned = {"above-chance": True, "above-tuned-lstm": True, "above-tuned-hebbff": False}
    assert holds(FamiliarityConfig(learning_rates=(1e-3, 1e-2))) == tuned
    assert holds(FamiliarityConfig(mode="inf", learning_rates=(1e-3, 1e-2))) == tuned
    found = {"above-chance": True, "above-lstm": True, "above-hebbff": False}
    assert holds(FamiliarityConfig()) == found
    assert holds(FamiliarityConfig(mode="inf")) == holds(FamiliarityConfig(mode="inf", repeat=6))
    assert holds(FamiliarityConfig(mode="inf")) == found
    for config in (
        FamiliarityConfig(updates=10),
        FamiliarityConfig(mode="inf", repeat=4, updates=1600),
        FamiliarityConfig(steps=100),
    ):
        assert set(holds(config).values()) == {None}
    assert set(holds(FamiliarityConfig(), quick=True).values()) == {None}
    targets = [claim.target for claim in claims(FamiliarityConfig(), metrics, 0.667, False)]
    assert targets == [0.667, 0.7, 0.95]
    alone = FamiliarityConfig(models=("stpn",))
    (only,) = claims(alone, {"stpn_accuracy": 0.6}, 0.667, False)
    assert only.id == "above-chance"
    assert claims(FamiliarityConfig(models=("lstm",)), {"lstm_accuracy": 1}, 0.667, False) == []


@pytest.mark.parametrize(
    ("mode", "repeat", "updates"), [("dat", 3, 3000), ("inf", 3, 1600), ("inf", 6, 3500)]
)
def test_updates_are_the_published_ones(mode: Any, repeat: int, updates: int) -> None:
    assert FamiliarityConfig(mode=mode, repeat=repeat).length == updates
    assert FamiliarityConfig(mode=mode, repeat=repeat, updates=7).length == 7


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"models": ("gru",)}, "models are .'gru'.; expected some of"),
        ({"models": ()}, "models are"),
        ({"mode": "both"}, "mode is 'both'; expected one of dat, inf"),
        ({"repeat": 0}, "repeat is 0; expected 1 to 19"),
        ({"repeat": 20, "updates": 5}, "repeat is 20"),
        ({"steps": 19}, "steps is 19; expected 20 to"),
        ({"updates": 0}, "updates is 0"),
        ({"mode": "inf", "repeat": 4}, "updates is None; expected a number"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"learning_rates": (0.0,)}, "one of learning_rates is 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
    ],
)
def test_bad_settings(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        FamiliarityConfig(**setting)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", "stpn-familiarity", "--quick", "--models", "stpn", "--steps", "50"]
    assert main([*command, "--updates", "2", "--out", str(tmp_path)]) == 0
    (folder,) = (tmp_path / "stpn-familiarity").iterdir()
    assert json.loads((folder / "result.json").read_text())["config"]["updates"] == 2
    assert "all items are new" in (folder / "result.json").read_text()
    assert "claim" not in capsys.readouterr().out
