"""FSTDP on weather: small runs on made-up records, stops and restarts, claims, bad input."""

import json
import signal
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plastorch.data.tables import weather
from plastorch.data.tables.weather import stand_in_world
from plastorch.engine.checkpoint import load_tensors
from plastorch.engine.errors import InputError, Interrupted
from plastorch.engine.loop import Jobs
from plastorch.engine.run import Record
from plastorch.experiments.context import Context
from plastorch.experiments.fstdp import weather as fstdp_weather
from plastorch.experiments.fstdp.stations import Reference, judge, learn, mean_distance, selected
from plastorch.experiments.fstdp.weather import FstdpWeatherConfig, measure
from plastorch.experiments.fstdp.weather_claims import claims, metrics
from plastorch.experiments.registry import find, resolved
from plastorch.spiking.fatigue.covariance import normalized_covariance
from plastorch.spiking.fatigue.rule import FatiguingSTDP, initial_state, run_raster

EXPERIMENT = "fstdp-weather"
CONFIG = FstdpWeatherConfig(pairs=2)
HOURS = 1500


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of 2017 at 40 stations, clusters of which lie in places of their own."""
    world = stand_in_world(torch.Generator().manual_seed(0), 40, 4, HOURS)
    place = np.random.default_rng(0).normal(size=(2, 40)) + 8 * np.array([[0], [2]])
    folder = tmp_path_factory.mktemp("data") / "us-precipitation"
    folder.mkdir()
    np.savez(
        folder / "noaa_hpd_hourly_2014_2018.npz",
        precip=world.rain.T.numpy().astype(np.int16),
        station=np.array([f"S{i}" for i in range(40)]),
        state=np.array(["NY"] * 40),
        lat=(35 + place[0] + 3 * world.cluster.numpy()).astype(np.float32),
        lon=(-90 + place[1]).astype(np.float32),
        utc_offset=np.zeros(40, np.int8),
        start=np.array("2017-01-01T00"),
    )
    return folder.parent


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes years short, and random selections few."""
    monkeypatch.setattr(fstdp_weather, "DRAWS", 20)
    monkeypatch.setattr(weather, "HOURS_OF_YEAR", HOURS)


def test_a_run_stopped_in_every_part_ends_as_if_it_never_was(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    whole = measure(CONFIG, context(tmp_path / "whole", data=root))
    assert whole["complete"] and whole["data"]["name"] == "US precipitation"
    assert whole["data"]["n_train"] == 40 and len(whole["data"]["sha256"]) == 64
    assert all(claim["holds"] is None for claim in whole["claims"])
    ids = {claim["id"] for claim in whole["claims"]}
    assert {"near-hours", "near-onsets", "near-k-means", "memristive-one-pair", "stand-in"} <= ids
    figures = whole["metrics"]
    assert figures["hours_random_nearest"] < figures["hours_random_distance"]
    assert figures["hours_covariance_rank_with_covariance"] == 1.0
    step, stops = Jobs.step, {"stations", "map", "stand-in"}

    def stopping(phase: Jobs) -> list[Record]:
        if phase.name in stops and phase.position == phase.total - 1:
            stops.remove(phase.name)
            signal.raise_signal(signal.SIGINT)
        return step(phase)

    monkeypatch.setattr(Jobs, "step", stopping)
    for _ in range(3):
        with pytest.raises(Interrupted):
            measure(CONFIG, context(tmp_path / "stopped", data=root))
        assert not json.loads((tmp_path / "stopped" / "result.json").read_text())["complete"]
    measure(CONFIG, context(tmp_path / "stopped", data=root))
    logs = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "stopped")]
    assert logs[0] == logs[1]
    arrays = [load_tensors(tmp_path / n / "arrays.safetensors") for n in ("whole", "stopped")]
    assert arrays[0].keys() == arrays[1].keys() and arrays[0]["latitude"].shape == (40,)
    assert all(torch.equal(value, arrays[1][name]) for name, value in arrays[0].items())
    named = {"weights_fstdp", "weights_stdp", "weights_memristive", "covariance_sums", "rain"}
    assert named <= arrays[0].keys()
    assert arrays[0]["clusters"].dtype == torch.int64 and int(arrays[0]["clusters"].min()) == -1


def test_the_stand_in_world_needs_no_records_and_says_what_it_is(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    config = FstdpWeatherConfig(world="stand-in")
    found = measure(config, context(tmp_path / "run", data=tmp_path))
    assert (
        found["data"]["name"] == "stand-in world of rain" and "made-up" in found["data"]["notice"]
    )
    assert [claim["id"] for claim in found["claims"]] == [
        "stand-in",
        "stand-in-stdp",
        "stand-in-rain",
    ]
    assert found["metrics"]["stand_in_fstdp_precision"] > 0.8
    assert found["metrics"]["stand_in_stdp_precision"] < 0.1


def test_missing_records_are_named_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    monkeypatch.setattr(Jobs, "step", lambda self: pytest.fail("it began to work"))
    with pytest.raises(InputError, match=r"us-precipitation; to get it"):
        measure(CONFIG, context(tmp_path / "run", data=tmp_path))
    assert not list((tmp_path / "run").iterdir())


def test_selection_and_its_mean_distance() -> None:
    weight = torch.tensor([0.1, 0.9, 0.5, 0.5, 0.3])
    chosen = selected(weight, 2)
    assert chosen.tolist() == [False, True, True, False, False]
    distances = torch.rand(5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    distances = distances + distances.T
    distances.fill_diagonal_(0)
    some = torch.tensor([0, 2, 3])
    pairs = [(0, 2), (0, 3), (2, 3)]
    expected = sum(float(distances[i, j]) for i, j in pairs) / 3
    assert mean_distance(distances, some) == pytest.approx(expected)
    assert mean_distance(distances, (torch.arange(5)[:, None] == some).any(1)) == pytest.approx(
        expected
    )


def test_clusters_are_of_stations_that_rain_together() -> None:
    random = torch.Generator().manual_seed(0)
    rain = torch.rand(3000, 40, generator=random) < 0.05
    rain[:, :12] = (rain[:, :1] & (torch.rand(3000, 12, generator=random) < 0.9)) | rain[:, :12]
    found = Reference.of(rain, random)
    assert len(found.clusters) == 1 and found.clusters[0].nonzero()[:, 0].tolist() == list(
        range(12)
    )
    torch.testing.assert_close(found.covariance, normalized_covariance(rain.double()))
    assert found.labels.tolist() == [0] * 12 + [-1] * 28


def test_agreement_is_that_of_the_selection_with_the_clusters() -> None:
    """The adjusted Rand index from all pairs of stations; those in no cluster are one group."""
    stations, random = 24, torch.Generator().manual_seed(0)
    rain = torch.rand(50, stations, generator=random) < 0.3
    parts = [torch.arange(stations) // 8 == number for number in range(2)]
    reference = Reference(normalized_covariance(rain.double()), parts)
    weight = torch.where(torch.arange(stations) % 3 == 0, 0.9, 0.1) + 0.05 * parts[1]
    found = judge(weight, rain, torch.ones(stations, stations), reference)
    label = [0] * 8 + [1] * 8 + [2] * 8
    chosen = selected(weight, 6).tolist()
    pairs = list(combinations(range(stations), 2))
    same_label = [label[i] == label[j] for i, j in pairs]
    same_choice = [chosen[i] == chosen[j] for i, j in pairs]
    both = sum(a and b for a, b in zip(same_label, same_choice, strict=True))
    chance = sum(same_label) * sum(same_choice) / len(pairs)
    most = (sum(same_label) + sum(same_choice)) / 2
    assert found["agreement"] == pytest.approx((both - chance) / (most - chance))


def test_an_hour_is_a_step_of_ten_milliseconds() -> None:
    rain = torch.rand(800, 12, generator=torch.Generator().manual_seed(0)) < 0.2
    rule = FatiguingSTDP(initial_theta=0.5, learning_rate=0.02)
    course, state = run_raster(rain[:, None], initial_state(rule, 1, 12), rule, dt=0.01)
    assert int(course.spikes.sum()) > 20
    torch.testing.assert_close(learn(rain, rule), state.synapses.weight[0])


def test_figures_are_means_by_kind_of_spikes_and_rule() -> None:
    rows: list[Record] = [
        {"phase": "stations", "step": 1, "year": y, "spikes": k, "by": b, "distance": d}
        for y, k, b, d in (
            (2014, "hours", "fstdp", 500.0),
            (2015, "hours", "fstdp", 700.0),
            (2014, "onsets", "fstdp", 10.0),
            (2014, "hours", "k-means", 900.0),
        )
    ]
    rows.append({"phase": "stand-in", "step": 1, "by": "fstdp", "precision": 0.9})
    assert metrics(rows) == {
        "hours_fstdp_distance": 600.0,
        "onsets_fstdp_distance": 10.0,
        "hours_k_means_distance": 900.0,
        "stand_in_fstdp_precision": 0.9,
    }


def test_claims_compare_with_stdp_chance_and_k_means() -> None:
    found = {f"{kind}_fstdp_distance": 500.0 for kind in ("hours", "onsets")}
    found |= {f"{kind}_stdp_distance": 900.0 for kind in ("hours", "onsets")}
    found |= {"hours_random_nearest": 1300.0, "hours_k_means_distance": 1100.0}
    found |= {"hours_several_pairs_distance": 600.0, "hours_one_pair_distance": 950.0}
    for name in ("rank_with_covariance", "agreement", "covariance_inside", "cluster"):
        found |= {f"hours_fstdp_{name}": 0.6, f"hours_stdp_{name}": 0.1}
    found |= {"hours_fstdp_rank_with_rain": -0.1, "hours_stdp_rank_with_rain": 0.7}
    found |= {"stand_in_fstdp_precision": 0.95, "stand_in_stdp_precision": 0.0}
    found["stand_in_stdp_rank_with_rain"] = 0.97
    rows = {claim.id: claim for claim in claims(found, 5, 20, 7, True)}
    assert [name for name, row in rows.items() if not row.holds] == ["memristive-one-pair"]
    assert {name for name, row in rows.items() if row.origin == "paper"} == {
        "memristive-several-pairs"
    }
    assert (rows["near-hours"].target, rows["near-hours"].measured) == (900.0, 500.0)
    assert rows["rain"].measured == pytest.approx(0.1)
    found["hours_fstdp_distance"] = 1200.0
    worse = {claim.id: claim.holds for claim in claims(found, 5, 20, 7, True)}
    assert worse["near-hours"] is worse["near-k-means"] is False and worse["near-random"]
    assert all(c.holds is None for c in claims(found, 5, 20, 7, False))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"fatigue": 2.0}, r"fatigue is 2\.0"),
        ({"tau_fatigue": -1.0}, r"tau_fatigue is -1\.0"),
    ],
)
def test_bad_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        FstdpWeatherConfig(**settings)


def test_it_is_registered() -> None:
    experiment = find("fstdp-weather")
    assert resolved(experiment.config).__name__ == "FstdpWeatherConfig"
    assert experiment.data == "us-precipitation"
