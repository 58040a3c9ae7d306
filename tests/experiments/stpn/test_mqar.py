"""The recall experiment: equal sizes, small whole runs, a stop and a restart, claims, settings."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.engine.loop import Loop
from plastorch.engine.run import RunFolder
from plastorch.experiments.context import Context
from plastorch.experiments.stpn.mqar import MqarConfig, claims, measure, named, parts
from plastorch.experiments.stpn.mqar_models import (
    GROWS,
    MODELS,
    block_parameters,
    nearest,
    state_size,
    width_of_parameters,
    width_of_state,
)
from plastorch.stp.recall import RecallBlock, RecallTraining

EXPERIMENT = "stpn-mqar"
SMALL = MqarConfig(
    models=("stpn", "lstm", "delta-net"),
    state_sizes=(40, 24),
    vocabulary=16,
    steps=16,
    pairs=(2, 4),
    width=8,
    batch_size=4,
    learning_rates=(0.01, 1e-5),
)


def elements(state: Any) -> list[int]:
    """Returns the numbers of elements of each tensor in a state."""
    return [state.numel()] if isinstance(state, Tensor) else [t.numel() for t in state]


@pytest.mark.parametrize("name", MODELS)
def test_the_state_is_all_that_is_carried(name: str) -> None:
    """Elements of the returned state, per sample; going on from these alone gives the same."""
    torch.manual_seed(0)
    core = MODELS[name](6, 5)
    x = torch.randn(7, 3, 6)
    whole, _ = core(x)
    _, state = core(x[:4])
    assert sum(elements(state)) == 3 * state_size(name, 6, 5, steps=4)
    assert torch.allclose(core(x[4:], state)[0], whole[4:], atol=1e-5)
    known = {
        **dict.fromkeys(("stpn", "stpn-factored", "stpn-scalar"), 5 * 2 * 5 + 5),
        "lstm": 10,
        "gru": 5,
        "attention": 4 * 10,
        "linear-attention": 5 * 5 + 5,
    }
    assert state_size(name, 6, 5, steps=4) == known.get(name, 25)


@pytest.mark.parametrize("name", MODELS)
def test_widths_are_the_nearest(name: str) -> None:
    """Against a search of all widths, and a block of the real model."""
    state = "linear-attention" if name == GROWS else name
    found = width_of_state(name, 6, 60)
    assert found == min(range(1, 80), key=lambda width: abs(state_size(state, 6, width) - 60))
    stpn = block_parameters("stpn", 6, width_of_state("stpn", 6, 60))
    counts = {width: block_parameters(name, 6, width) for width in range(1, 80)}
    found = width_of_parameters(name, 6, 60)
    assert found == min(counts, key=lambda width: abs(counts[width] - stpn))
    block = RecallBlock(MODELS[name](6, found), 6)
    assert counts[found] == sum(p.numel() for p in block.parameters() if p.requires_grad)


def test_nearest_takes_the_smallest_if_all_are_too_large() -> None:
    assert nearest(lambda width: 10 * width, 2) == 1


def test_a_run_tests_every_model_at_every_size(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    result = measure(
        replace(SMALL, models=tuple(MODELS), learning_rates=(0.01,)), context(tmp_path)
    )
    assert result["complete"] and result["quick"]
    metrics, rows = result["metrics"], RunFolder(tmp_path).records()
    for name in MODELS:
        field = name.replace("-", "_")
        tests = [row for row in rows if row["phase"] == f"recall-{name}"]
        assert [row["pairs"] for row in tests] == [2, 4]
        for row in tests:
            assert metrics[f"{field}_accuracy_{row['pairs']}_pairs"] == row["accuracy"]
        assert metrics[f"{field}_accuracy"] == tests[1]["accuracy"]
        own = [trial for trial in result["tuning"] if trial["model"] == name]
        top = max(own, key=lambda trial: trial["validation_accuracy"])
        assert metrics[f"{field}_learning_rate"] == top["learning_rate"]
        (course,) = [row for row in rows if row["phase"] == name]
        assert course["step"] == 10
        assert metrics[f"{field}_validation_accuracy"] == course["validation_accuracy"]
    assert metrics["test_accuracy"] == metrics["stpn_accuracy"]
    assert metrics["attention_state"] == 2 * 16 * metrics["attention_units"]
    assert all(claim["holds"] is None for claim in result["claims"])


def test_other_sizes_take_the_rate_of_the_first(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    config = replace(SMALL, models=("delta-net",), updates=3, tuning_updates=2)
    result = measure(config, replace(context(tmp_path), quick=False))
    metrics, rows = result["metrics"], RunFolder(tmp_path).records()
    assert metrics["delta_net_s24_learning_rate"] == metrics["delta_net_learning_rate"]
    assert (metrics["delta_net_state"], metrics["delta_net_s24_state"]) == (36, 25)
    of_sizes = [row for row in rows if row["phase"] == "states-delta-net"]
    assert [(row["state"], row["accuracy"]) for row in of_sizes] == [
        (25, metrics["delta_net_s24_accuracy"]),
        (36, metrics["delta_net_accuracy"]),
    ]


def test_what_was_stopped_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    config = replace(SMALL, models=("lstm", "delta-net"))
    measure(config, context(tmp_path / "whole"))
    step, count = RecallTraining.step, 0

    def dying(self: RecallTraining) -> Any:
        nonlocal count
        count += 1
        if count == 24:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(Loop, "interval_s", 0.0)
    monkeypatch.setattr(RecallTraining, "step", dying)
    with pytest.raises(KeyboardInterrupt):
        measure(config, context(tmp_path / "stopped"))
    measure(config, context(tmp_path / "stopped"))
    assert count == 1 + 2 * (2 * 5 + 10)
    log = "metrics.jsonl"
    assert (tmp_path / "whole" / log).read_bytes() == (tmp_path / "stopped" / log).read_bytes()


def test_claims_are_asserted_of_the_defaults_only() -> None:
    metrics = {
        "stpn_accuracy": 0.8,
        "lstm_accuracy": 0.1,
        "linear_attention_accuracy": 0.75,
        "delta_net_accuracy": 0.81,
        "stpn_factored_accuracy": 0.7,
        "stpn_scalar_accuracy": 0.8,
    }

    def holds(config: MqarConfig, quick: bool = False) -> dict[str, bool | None]:
        return {claim.id: claim.holds for claim in claims(config, metrics, quick)}

    expected = {
        "above-lstm": True,
        "above-linear-attention": False,
        "level-with-delta-net": True,
        "constants-of-synapses": False,
    }
    assert holds(MqarConfig()) == expected
    assert holds(MqarConfig(state_sizes=(256,), updates=9000)) == expected
    assert set(holds(MqarConfig(), quick=True).values()) == {None}
    for config in (
        MqarConfig(updates=10),
        MqarConfig(match="parameters"),
        MqarConfig(steps=256),
        MqarConfig(state_sizes=(128, 256)),
    ):
        assert set(holds(config).values()) == {None}
    assert list(holds(MqarConfig(models=("stpn", "lstm")))) == ["above-lstm"]
    assert holds(MqarConfig(models=("lstm",))) == {}
    targets = [round(claim.target, 3) for claim in claims(MqarConfig(), metrics, False)]
    assert targets == [0.2, 0.85, 0.81, 0.8]


def test_names_of_networks() -> None:
    sizes = (512, 64)
    for model in MODELS:
        for size in sizes:
            assert parts(named(model, size, sizes), sizes) == (model, size)
    assert named("gru", 64, sizes) == "gru-s64" and named("gru", 512, sizes) == "gru"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"models": ("rnn",)}, "models are .'rnn'.; expected some of"),
        ({"match": "time"}, "match is 'time'; expected one of state, parameters"),
        ({"state_sizes": ()}, "state_sizes are .*; expected one or more, each once"),
        ({"state_sizes": (64, 64)}, "state_sizes are .*; expected one or more, each once"),
        ({"state_sizes": (7,)}, "one of state_sizes is 7; expected 8 to"),
        ({"pairs": ()}, "pairs are .*; expected one or more"),
        ({"pairs": (0,)}, "one of pairs is 0"),
        ({"pairs": (33,)}, "steps is 128; expected at least 132"),
        ({"vocabulary": 63}, "vocabulary is 63; expected an even number of at least"),
        ({"learning_rates": ()}, "learning_rates are .*; expected one or more"),
        ({"updates": 0}, "updates is 0"),
    ],
)
def test_bad_settings(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        MqarConfig(**setting)


@pytest.mark.parametrize("name", ["stpn", "stpn-factored", "stpn-scalar"])
@torch.no_grad()
def test_stpn_starts_with_the_delta_rule(name: str) -> None:
    """For small weights, at which tanh is linear, against the rule with a target of -W z."""
    torch.manual_seed(0)
    core: Any = MODELS[name](6, 5).double()
    cell = core.core.cells[0]
    torch.nn.init.zeros_(cell.bias)
    cell.weight *= 1e-4
    x = torch.randn(8, 1, 6, dtype=torch.float64)
    memory = torch.zeros(5, 10, dtype=torch.float64)
    for z in core.project(x)[:, 0]:
        memory = memory + 5 / 10 * torch.outer(-cell.weight @ z - memory @ z, z)
    _, state = core(x)
    assert torch.allclose(state.F[0], memory, rtol=0, atol=1e-6 * float(memory.abs().max()))
