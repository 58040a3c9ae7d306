"""The toy experiment: small whole runs, a stop and a restart, what is measured, claims."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from plastorch.cli import main
from plastorch.data.tasks.evidence import Runs
from plastorch.engine.checkpoint import load_tensors
from plastorch.engine.errors import InputError, Interrupted
from plastorch.engine.run import Record, RunFolder
from plastorch.engine.streams import stream
from plastorch.experiments.context import Context
from plastorch.experiments.rank import toy as rank_toy
from plastorch.experiments.rank.reading import Measured
from plastorch.experiments.rank.toy import MODELS, RankToyConfig, _headline, measure
from plastorch.experiments.rank.toy_claims import claims
from plastorch.experiments.rank.toy_figures import beyond_observers, measured_runs, timing_loss
from plastorch.rank import Batch, RankTraining
from plastorch.rank.evaluate import read

EXPERIMENT = "rank-toy"
SMALL = RankToyConfig(models=("signal-rank", "runs-last", "runs-stpn"), hidden_size=9, stpn_size=5)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A smoke run on fewer sequences, with a record for every four batches."""
    sizes = {"validation": 20, "signal": 200, "runs": 200, "rule": 200}
    monkeypatch.setattr(rank_toy, "QUICK", sizes)
    monkeypatch.setattr(rank_toy, "EVERY", 4)


def test_a_run_has_figures_of_every_model(tmp_path: Path, context: Callable[..., Context]) -> None:
    result = measure(RankToyConfig(hidden_size=9, stpn_size=5, batch_size=8), context(tmp_path))
    metrics, arrays = result["metrics"], load_tensors(tmp_path / "arrays.safetensors")
    assert result["complete"] and result["data"]["n_test"] == 400
    for name in (*MODELS, "signal-observer", "runs-observer"):
        field = name.replace("-", "_")
        assert 0 <= metrics[f"{field}_accuracy"] <= 1 and 0 <= metrics[f"{field}_skipped"] < 1
        steps = 40 if name.startswith("signal") else 25
        assert arrays[f"{name}.fixed"].shape == (steps,)
        assert arrays[f"{name}.steps"].sum() == 200
        assert arrays[f"{name}.curve"].shape == (12, 4)
        kind, shape = ("noise", (10, 3)) if steps == 40 else ("lag", (25,))
        assert arrays[f"{name}.{kind}"].shape == shape
    for name in MODELS:
        whole, used = (metrics[f"{name.replace('-', '_')}_macs{end}"] for end in ("", "_to_answer"))
        size, steps = 9 * 4 * 10 + 9, 40 if name.startswith("signal") else 25
        assert whole == steps * (size if "stpn" not in name else 3 * 5 * 6 + 5) >= used > 0
    assert metrics["test_accuracy"] == metrics["signal_rank_accuracy"]
    assert metrics["beyond_best"] < 0.1 and metrics["beyond_threshold"] < 0.1
    assert metrics["runs_observer_lag"] == 0.0 == metrics["runs_observer_early"]
    assert len(result["claims"]) == 19
    assert all(claim["holds"] is None for claim in result["claims"])
    assert all(math.isfinite(claim["measured"]) for claim in result["claims"])
    rows = RunFolder(tmp_path).records()
    assert list(dict.fromkeys(row["phase"] for row in rows)) == list(MODELS)
    assert [row["batch"] for row in rows if row["phase"] == "runs-rank"] == [*range(4, 81, 4)]


def test_no_stream_of_random_numbers_is_drawn_from_for_two_purposes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    """Initial weights, sequences, and what training draws."""
    drawn: dict[str, set[tuple[int, ...]]] = {}
    for name in ("experiments.models", "experiments.rank.toy", "rank.train"):
        paths = drawn.setdefault(name, set())

        def recorded(*path: int, paths: set[tuple[int, ...]] = paths) -> torch.Generator:
            paths.add(path)
            return stream(*path)

        monkeypatch.setattr(f"plastorch.{name}.stream", recorded)
    measure(SMALL, context(tmp_path))
    assert all(drawn.values())
    assert len(set.union(*drawn.values())) == sum(map(len, drawn.values()))


def test_what_was_stopped_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    measure(SMALL, context(tmp_path / "whole"))
    step, count = RankTraining.step, 0

    def stopping(self: RankTraining) -> Any:
        nonlocal count
        count += 1
        if count == 9:  # in the third model's third record
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr("plastorch.engine.loop.Loop.interval_s", 0.0)
    monkeypatch.setattr(RankTraining, "step", stopping)
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        measure(SMALL, context(tmp_path / "stopped"))
    again = context(tmp_path / "stopped")
    measure(replace(SMALL, models=list(SMALL.models)), again)  # type: ignore[arg-type]
    logs, weights = [], []
    for folder in ("whole", "stopped"):
        rows = RunFolder(tmp_path / folder).records()
        logs.append([{k: v for k, v in row.items() if k != "seconds"} for row in rows])
        (file,) = (tmp_path / folder / "checkpoint").glob("*.safetensors")
        weights.append(load_tensors(file))
    assert logs[0] == logs[1]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_models_of_a_task_learn_from_the_same_sequences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    seen: dict[str, list[Batch]] = {}
    update = RankTraining._update

    def watching(self: RankTraining, number: int) -> torch.Tensor:
        seen.setdefault(self.name, []).append(self.batch(number))
        return update(self, number)

    monkeypatch.setattr(RankTraining, "_update", watching)
    measure(SMALL, context(tmp_path))
    for one, other in zip(seen["runs-last"], seen["runs-stpn"], strict=True):
        assert torch.equal(one.x, other.x)
    first, second = seen["signal-rank"][:2]
    assert not torch.equal(first.x, second.x)


def test_models_of_a_task_that_differ_in_what_is_trained_alone_have_equal_updates() -> None:
    config = RankToyConfig(signal_batches=7, runs_batches=5, other_batches=3)
    updates = {name: config.training(name).batches for name in MODELS}
    for task, count in (("signal", 7), ("runs", 5)):
        assert {updates[f"{task}-{name}"] for name in ("rank", "last", "all")} == {count}
    assert updates["signal-beta10"] == updates["runs-stpn"] == 3


def test_lag_luck_and_loss_by_hand() -> None:
    """Six sequences of bits: right in time, 3 steps late, lucky, wrong, never sure; a right 0."""
    known = torch.tensor([4, 10, 20, 7, 15, 22])
    labels = torch.tensor([1, 1, 1, 1, 1, 0])
    answers = [(4, 9.0), (13, 9.0), (11, 9.0), (3, -9.0), (None, 1.0), (22, -9.0)]
    odds = torch.zeros(25, 6, 1)
    for sample, (step, value) in enumerate(answers):
        odds[24 if step is None else step :, sample, 0] = value
    data = Runs(torch.zeros(25, 6, 1), labels, known)
    readings = read([(odds, Batch(data.x, labels))], (0.95,))
    losses = [0, 3 / 20, 1, 1, (25 - 15) / 20, 0]
    assert timing_loss(readings, data, 0.95) == pytest.approx(sum(losses) / 6)
    metrics = measured_runs("runs-rank", readings, data, 0.95).metrics
    assert metrics["runs_rank_early"] == pytest.approx(2 / 6)  # by luck or wrong
    assert metrics["runs_rank_missed"] == pytest.approx(1 / 5)
    assert metrics["runs_rank_lag"] == pytest.approx((0 + 3 + 9) / 3)


def test_no_network_no_comparison_with_observers() -> None:
    curves = {
        name: Measured({}, {f"{name}.curve": torch.tensor([[0.0, 0.5], [4.0, 0.9]])})
        for name in ("signal-observer", "signal-best", "runs-last")
    }
    assert beyond_observers(curves) == {}
    better = {"signal-last.curve": torch.tensor([[4.0, 0.95]])}
    for right, beyond in ((0.5, 0.05), (1.0, 0.2)):  # at a crossing; if all are read at step 3
        better["signal-last.fixed"] = torch.tensor([0.5, 0.5, 0.5, right, 0.9])
        found = beyond_observers(curves | {"signal-last": Measured({}, dict(better))})
        assert found == {k: pytest.approx(beyond) for k in ("beyond_best", "beyond_threshold")}


def test_a_run_is_known_by_what_is_rank_coded() -> None:
    assert _headline(tuple(MODELS)) == "signal-rank"
    assert _headline(("runs-last", "runs-stpn", "signal-beta10")) == "runs-stpn"
    assert _headline(("runs-last", "runs-all")) == "runs-last"


def course(phase: str, step: float, accuracy: float, last: int = 100) -> list[Record]:
    """A training in which t* falls, and so does what is computed."""
    return [
        {
            "phase": phase,
            "batch": batch,
            "mean_step": step + 10 / batch,
            "train_accuracy": accuracy,
            "computed_steps": 20 + 100 / batch,
            "seconds": 1 + 10 / batch,
        }
        for batch in range(5, last + 1, 5)
    ]


GOOD = {
    "signal_last_last_accuracy": 0.97,
    "signal_rank_accuracy": 0.952,
    "signal_rank_mean_step_crossed": 12.7,
    "signal_rank_noise_rank": 0.4,
    "signal_rank_threshold_time": 0.5,
    "signal_rank_threshold_gain": -0.0001,
    "signal_beta10_accuracy": 0.96,
    "signal_beta30_accuracy": 0.969,
    "signal_beta40_uncrossed": 1.0,
    "beyond_best": -0.001,
    "runs_rank_accuracy": 0.97,
    "runs_rank_lag": 0.9,
    "runs_rank_early": 0.01,
    "runs_last_accuracy": 0.58,
    "runs_last_last_accuracy": 1.0,
}
LOG = [
    *course("signal-rank", 15.0, 0.95, last=200),
    *course("signal-beta10", 18.0, 0.96),
    *course("signal-beta30", 30.0, 0.968),
    *course("runs-rank", 12.0, 0.97),
]


def test_claims_hold_of_what_the_paper_found() -> None:
    held = {claim.id: claim.holds for claim in claims(GOOD, LOG, 100_000, True)}
    assert held == dict.fromkeys(held, True) and len(held) == 19
    assert {claim.holds for claim in claims(GOOD, LOG, 100_000, False)} == {None}
    ours = {claim.id for claim in claims(GOOD, LOG, 100_000, True) if claim.origin == "ours"}
    assert {"runs-accuracy", "runs-lag", "runs-early", "signal-noise"} <= ours
    fewer = {name: value for name, value in GOOD.items() if name.startswith("runs_last")}
    assert [claim.id for claim in claims(fewer, [], 100_000, True)] == [
        "runs-last",
        "runs-untrained",
    ]


@pytest.mark.parametrize(
    ("figures", "wrong"),
    [
        ({"signal_last_last_accuracy": 0.965}, ["signal-last", "entropy-limit"]),
        ({"signal_rank_accuracy": 0.965}, ["signal-accuracy"]),
        ({"signal_rank_mean_step_crossed": 13.5}, ["signal-time"]),
        ({"signal_rank_noise_rank": 0.1}, ["signal-noise"]),
        ({"signal_rank_threshold_gain": -0.01}, ["threshold-accuracy"]),
        ({"beyond_best": 0.003}, ["signal-frontier"]),
        ({"signal_beta30_accuracy": 0.975}, ["entropy-limit"]),
        ({"signal_beta40_uncrossed": 0.9}, ["entropy-bound"]),
        ({"runs_rank_accuracy": 0.94}, ["runs-accuracy"]),
        ({"runs_rank_lag": 1.6}, ["runs-lag"]),
        ({"runs_rank_early": 0.04}, ["runs-early"]),
        ({"runs_last_accuracy": 0.7}, ["runs-untrained"]),
        ({"runs_last_last_accuracy": 0.99}, ["runs-last"]),
    ],
)
def test_each_claim_can_fail(figures: dict[str, float], wrong: list[str]) -> None:
    found = claims(GOOD | figures, LOG, 100_000, True)
    assert [claim.id for claim in found if not claim.holds] == wrong


def test_rewards_for_entropy_are_compared_after_as_many_updates() -> None:
    """The first of the models is trained for longer, and answers earlier in the end."""
    late = [{**row, "mean_step": 25.0} if int(row["batch"]) < 100 else row for row in LOG]
    found = {claim.id: claim for claim in claims(GOOD, late, 100_000, True)}
    assert found["entropy-time"].holds is True
    swapped = [
        {**row, "train_accuracy": 0.99} if row["phase"] == "signal-rank" else row for row in LOG
    ]
    held = {claim.id: claim.holds for claim in claims(GOOD, swapped, 100_000, True)}
    assert held["entropy-accuracy"] is False and held["entropy-time"] is True


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"models": ("signal-gru",)}, "models are .'signal-gru'.; expected some of"),
        ({"threshold": 0.4}, "threshold is 0.4; expected at least 0.5 and below 1"),
        ({"threshold": 1.0}, "threshold is 1.0"),
        ({"signal_batches": 0}, "signal_batches is 0"),
        ({"other_batches": -1}, "other_batches is -1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
    ],
)
def test_bad_settings(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        RankToyConfig(**setting)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", "rank-toy", "--quick", "--models", "signal-rank", "runs-rank"]
    assert main([*command, "--hidden-size", "7", "--out", str(tmp_path)]) == 0
    (folder,) = (tmp_path / "rank-toy").iterdir()
    result = json.loads((folder / "result.json").read_text())
    assert result["config"]["models"] == ["signal-rank", "runs-rank"]
    assert "noisier signals are answered later" in (folder / "result.json").read_text()
    assert "claim" not in capsys.readouterr().out
