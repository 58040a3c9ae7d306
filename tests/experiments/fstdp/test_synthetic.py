"""FSTDP on synthetic streams: small runs, stops and restarts, what a log comes to, claims."""

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from plastorch.engine.checkpoint import load_tensors
from plastorch.engine.errors import InputError, Interrupted
from plastorch.engine.loop import Jobs
from plastorch.engine.run import Record
from plastorch.experiments.context import Context
from plastorch.experiments.fstdp import bench_cost, parts
from plastorch.experiments.fstdp import synthetic as fstdp_synthetic
from plastorch.experiments.fstdp.claims import claims
from plastorch.experiments.fstdp.metrics import boundary_arrays, metrics
from plastorch.experiments.fstdp.parts import STRENGTHS, learn
from plastorch.experiments.fstdp.synthetic import (
    KINDS,
    FstdpSyntheticConfig,
    conditions,
    measure,
)
from plastorch.experiments.fstdp.trains import Condition, make_trains, selection
from plastorch.experiments.registry import find, resolved

EXPERIMENT = "fstdp-synthetic"
PARTS = ["theory", "streams", "boundary", "grid", "memristive", "agreement"]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a smoke run of the last jobs of each part, whose figures make no claims."""
    phases, agreement = fstdp_synthetic._phases, parts.agreement_jobs

    def some(config: FstdpSyntheticConfig, seed: int) -> dict[str, list[parts.Job]]:
        found = phases(config, seed)
        return {
            name: jobs[-2 if name in ("streams", "boundary") else -1 :]
            for name, jobs in found.items()
        }

    monkeypatch.setattr(fstdp_synthetic, "_phases", some)
    short = parts.Plan(0, 0.5)
    monkeypatch.setattr(parts, "agreement_jobs", lambda rules, _: agreement(rules, short))
    monkeypatch.setattr(fstdp_synthetic, "metrics", lambda records: {"lines": len(records)})
    monkeypatch.setattr(fstdp_synthetic, "claims", lambda *_: [])
    monkeypatch.setattr(fstdp_synthetic, "PIECES", 2)
    monkeypatch.setattr(bench_cost, "cost", lambda duration: {"cost_misfits": [0.1, duration]})


def test_a_run_stopped_in_every_part_ends_as_if_it_never_was(
    few: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    config = FstdpSyntheticConfig()
    whole = measure(config, context(tmp_path / "whole"))
    assert whole["complete"] and whole["config"]["quick"] and whole["metrics"]["lines"] > 20
    step, stops = Jobs.step, {*PARTS, "example"}

    def stopping(phase: Jobs) -> list[Record]:
        if phase.name in stops and phase.position == phase.total - 1:
            stops.remove(phase.name)
            signal.raise_signal(signal.SIGINT)
        return step(phase)

    monkeypatch.setattr(Jobs, "step", stopping)
    for left in range(len(stops), 0, -1):
        assert len(stops) == left
        with pytest.raises(Interrupted):
            measure(config, context(tmp_path / "stopped"))
        assert not json.loads((tmp_path / "stopped" / "result.json").read_text())["complete"]
    measure(config, context(tmp_path / "stopped"))
    logs = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "stopped")]
    assert logs[0] == logs[1]
    arrays = [load_tensors(tmp_path / n / "arrays.safetensors") for n in ("whole", "stopped")]
    assert arrays[0].keys() == arrays[1].keys()
    for name, value in arrays[0].items():
        torch.testing.assert_close(value, arrays[1][name], rtol=0, atol=0, equal_nan=True)
    assert arrays[0]["weights_fstdp"].shape == (101, 200)
    assert whole["metrics"]["spike_cost_misfit"] == pytest.approx(2.0)
    assert arrays[0]["raster"].shape == (500, 200)
    assert len(arrays[0]["output"]) == len(arrays[0]["membrane"]) == len(arrays[0]["theta"]) == 500
    crossed = arrays[0]["membrane"] > arrays[0]["theta"]
    assert torch.equal(crossed, arrays[0]["output"])


def test_seeds_differ_and_equal_seeds_dont() -> None:
    config = replace(FstdpSyntheticConfig(), duration=10.0)
    for name in PARTS[:5]:
        if name != "memristive":
            one, same, other = (
                fstdp_synthetic._phases(config, seed)[name][-1]() for seed in (0, 0, 1)
            )
            assert one == same != other


def test_fatigue_finds_what_rates_hide() -> None:
    """40 s of the adverse set: the paper's claim in small."""
    rules = FstdpSyntheticConfig().rules()
    trains = make_trains(Condition("slow", 0.5), 40.0, torch.Generator().manual_seed(0))
    found = {name: selection(trains, learn(trains, rules[name], 40.0)[0][-1]) for name in KINDS}
    assert found["fstdp"]["auc"] > 0.99
    assert found["stdp"]["auc"] < 0.5 and found["efficacy"]["auc"] < 0.5
    assert found["stdp"]["auc_fast"] == 0.0


def test_parts_cover_what_the_claims_are_about() -> None:
    names = set(conditions())
    for c in (0.05, 0.1, 0.2, 0.5, 0.8):
        assert {f"slow-{c}", f"equal-{c}"} <= names
    assert {"fast", "both", "graded-few", "graded-half", "jitter-0.01"} <= names
    rules = set(FstdpSyntheticConfig().rules())
    for _, chosen in conditions().values():
        assert set(chosen) <= rules
    grid = parts.grid_jobs({}, parts.Plan(0, 1.0, 2))
    assert len(grid) == 3 * 5 * 4 * 4 * 2
    assert len(parts.boundary_jobs(parts.Plan(0, 1.0))) == 3 * 5


RowMaker = Callable[[float, float, float], dict[str, float]]


def boundary(rows: RowMaker) -> list[Record]:
    """Lines of the boundary part, as some law of ratio, correlation and strength has them."""
    return [
        {
            "phase": "boundary",
            "ratio": ratio,
            "correlation": c,
            "strength": x,
            "auc": 0.5,
            **rows(ratio, c, x),
        }
        for ratio in (2.0, 4.0, 8.0)
        for c in (0.1, 0.5)
        for x in STRENGTHS
    ]


def test_thresholds_are_found_where_curves_cross() -> None:
    def law(ratio: float, c: float, x: float) -> dict[str, float]:
        threshold = 0.06 * ratio / c**0.5
        return {"auc_fast": float(x > threshold), "margin": x - threshold}

    found = metrics(boundary(law))
    assert found["condition_agreement"] == 1.0 and found["thresholds"] == 6
    assert found["threshold_8_0.5_predicted"] == pytest.approx(0.06 * 8 / 0.5**0.5, rel=0.1)
    assert found["threshold_rank_correlation"] > 0.9 and found["threshold_factor"] < 1.5

    def shifted(ratio: float, c: float, x: float) -> dict[str, float]:
        return {"auc_fast": law(ratio, c, 4 * x)["auc_fast"], "margin": law(ratio, c, x)["margin"]}

    wrong = metrics(boundary(shifted))
    assert wrong["condition_agreement"] < 0.9 and wrong["threshold_factor"] > 2


def test_figures_are_means_over_seeds_and_worst_cases() -> None:
    rows: list[Record] = [
        {"phase": "streams", "condition": "slow-0.5", "rule": rule, "seed": s, "auc": auc, **more}
        for rule, s, auc, more in (
            ("fstdp", 0, 1.0, {"time_to_95": 10.0}),
            ("fstdp", 1, 0.9, {}),
            ("stdp", 0, 0.3, {}),
            ("stdp", 1, 0.4, {}),
        )
    ]
    found = metrics(rows)
    assert found["slow_0.5_fstdp_auc"] == pytest.approx(0.95)
    assert found["slow_0.5_fstdp_auc_worst"] == 0.9 and found["slow_0.5_stdp_auc_worst"] == 0.4
    assert found["slow_0.5_fstdp_time_to_95"] == 10.0


def test_figures_of_theory_devices_and_engines() -> None:
    rows: list[Record] = [
        {"phase": "theory", "rate": r, "tau_fatigue": t, "resource": m, "expected": e}
        for r, t, m, e in (
            (10.0, 0.5, 0.29, 0.2857),
            (40.0, 0.5, 0.0909, 0.0909),
            (10.0, 2.0, 0.0909, 0.0909),
            (40.0, 2.0, 0.0244, 0.0244),
        )
    ]
    rows += [
        {"phase": "theory", "drift": d, "drift_expected": e, "theta": 7.0, "theta_expected": 7.0}
        for d, e in ((3.0, 3.5), (-4.0, -4.0))
    ]
    rows += [
        {"phase": "memristive", "correlation": c, "pairs": p, "ideal": 1.0, "auc": auc}
        for c, p, auc in ((0.05, 1, 0.5), (0.1, 1, 0.8), (0.05, 7, 0.9), (0.1, 7, 0.99))
    ]
    rows += [
        {"phase": "agreement", "rule": "stdp", "same_spikes": 1, "weight_difference": 1e-15},
        {"phase": "agreement", "rule": "pair", "same_spikes": 0, "weight_difference": 1e-16},
    ]
    found = metrics(rows)
    assert found["resource_error"] == pytest.approx(0.29 / 0.2857 - 1)
    assert found["drive_ratio_most_fatigued"] == pytest.approx(4 * 0.0244 / 0.0909)
    assert found["drift_error"] == pytest.approx(0.5 / 5)
    assert found["one_pair_loss"] == pytest.approx(0.2)
    assert found["several_pairs_loss"] == pytest.approx(0.01)
    assert found["engines_same_spikes"] == 0 and found["engines_weight_difference"] == 1e-15


def test_arrays_of_the_boundary() -> None:
    rows = boundary(lambda ratio, c, x: {"auc_fast": ratio + c + x, "margin": 0.0})
    arrays = boundary_arrays(rows + rows)
    assert arrays["boundary_auc_fast"].shape == (3, 2, len(STRENGTHS))
    assert float(arrays["boundary_auc_fast"][2, 1, 3]) == pytest.approx(8 + 0.5 + STRENGTHS[3])
    assert arrays["boundary_correlations"].tolist() == pytest.approx([0.1, 0.5])
    assert torch.isnan(boundary_arrays(rows[1:])["boundary_margin"][0, 0, 0])


class Figures(dict[str, float]):
    """Any figure that is asked for, as some rule has it."""

    def __init__(self, value: Callable[[str], float]) -> None:
        super().__init__({"thresholds": 9.0, "threshold_4_0.5": 0.14})
        self.value = value

    def __missing__(self, name: str) -> float:
        return self.value(name)


GOOD: dict[str, float] = {
    "efficacy": 0.75,
    "loss": 0.001,
    "misfit": 0.05,
    "error": 0.005,
    "strength_0.1": 0.4,
    "drive": 1.05,
    "factor": 1.1,
    "predicted": 0.11,
    "difference": 1e-15,
    "pair_auc": 0.3,
}


def good(name: str) -> float:
    if "stdp_auc" in name and "fstdp" not in name and "equal" not in name:
        return 0.375
    return next((value for part, value in GOOD.items() if part in name), 1.0)


def test_claims_hold_where_figures_are_as_they_should_be() -> None:
    rows = claims(Figures(good), 20, 2, evidence=True)
    assert all(row.holds for row in rows), [row.id for row in rows if not row.holds]
    assert len({row.id for row in rows}) == len(rows) >= 20
    assert {"fstdp-finds", "stdp-fooled", "condition", "memristive", "engines"} <= {
        row.id for row in rows
    }
    bad = claims(Figures(lambda name: 2.0 - good(name)), 20, 2, evidence=True)
    assert not any(row.holds for row in bad if row.id in ("stdp-fooled", "efficacy-only", "drift"))
    assert all(row.holds is None for row in claims(Figures(good), 20, 2, evidence=False))


def test_claims_about_fewer_spike_trains_say_about_how_many() -> None:
    """Those of the log: a claim's own number, or the run's if it has none."""
    config = FstdpSyntheticConfig()
    plan = parts.Plan(0, config.duration, config.grid_seeds)
    per_point = len(parts.boundary_jobs(plan)) // (3 * 5)
    runs = {row.id: row.runs for row in claims(Figures(good), config.seeds, per_point, True)}
    named = ("condition", "condition-moves", "condition-exact", "step-at", "drift", "resource")
    assert [runs[name] for name in named] == [2, 2, 2, 2, 4, 1]
    assert runs["fstdp-finds"] is runs["memristive"] is runs["step-above"] is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"seeds": 0}, "seeds is 0"),
        ({"grid_seeds": -1}, "grid_seeds is -1"),
        ({"duration": float("nan")}, "duration is nan; expected 10"),
        ({"duration": 9.0}, "duration is 9"),
        ({"pairs": 0}, "pairs is 0"),
        ({"fatigue": 1.5}, "fatigue is 1.5"),
        ({"tau_fatigue": 0.0}, r"tau_fatigue is 0\.0"),
    ],
)
def test_bad_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        FstdpSyntheticConfig(**settings)


def test_it_is_registered() -> None:
    assert resolved(find("fstdp-synthetic").config).__name__ == "FstdpSyntheticConfig"
