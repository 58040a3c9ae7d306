"""Hourly precipitation: the file's form, time zones, rain events, distances, the stand-in world."""

import os
from collections.abc import Callable
from math import exp, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plastorch.data import load_images
from plastorch.data.tables.weather import (
    great_circle,
    load_precipitation,
    rain_hours,
    rain_onsets,
    stand_in_world,
)
from plastorch.engine.errors import InputError

HOURS = 8760 + 48


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a small file of three stations of which each has one hour of rain."""

    def write(**changes: Any) -> Path:
        precip = np.zeros((3, HOURS), np.int16)
        precip[0, 30], precip[1, 33], precip[2, 2000:6000] = 7, 8, -1
        arrays = {
            "precip": precip,
            "station": np.array(["A", "B", "C"]),
            "state": np.array(["NY", "CA", "HI"]),
            "lat": np.array([40.7, 34.1, 21.3], np.float32),
            "lon": np.array([-74.0, -118.2, -157.9], np.float32),
            "utc_offset": np.array([-5, -8, -10], np.int8),
            "start": np.array("2017-01-01T00"),
        }
        folder = tmp_path / "us-precipitation"
        folder.mkdir(exist_ok=True)
        kept = {name: a for name, a in (arrays | changes).items() if a is not None}
        np.savez(folder / "noaa_hpd_hourly_2014_2018.npz", **kept)
        return tmp_path

    return write


def test_all_stations_are_moved_to_universal_time(write: Callable[..., Path]) -> None:
    found = load_precipitation(write())
    # 30 h local time in New York are 35 h universal, 33 h in Los Angeles are 41 h.
    assert found.start == np.datetime64("2017-01-01T10", "h")
    assert found.amount.shape == (3, HOURS - 5)
    wet = found.amount.clamp(min=0).nonzero().tolist()
    assert wet == [[0, 35 - 10], [1, 41 - 10]]
    assert found.station == ("A", "B", "C") and found.state == ("NY", "CA", "HI")
    assert found.source == "data root: us-precipitation" and len(found.sha256) == 64


def test_a_year_has_the_stations_that_miss_little(write: Callable[..., Path]) -> None:
    record = load_precipitation(write())
    year = record.year(2017)
    assert year.station == ("A", "B") and year.amount.shape == (2, 8760)
    assert len(year.latitude) == 2 and year.distances().shape == (2, 2)
    assert record.year(2017, missing=0.5).station == ("A", "B", "C")
    for wrong in (2016, 2018):
        with pytest.raises(InputError, match=f"year is {wrong}"):
            record.year(wrong)
    with pytest.raises(InputError, match=r"missing is 0\.0"):
        record.year(2017, missing=0.0)


def test_distances_are_those_of_the_globe(write: Callable[..., Path]) -> None:
    found = load_precipitation(write()).distances()
    assert float(found[0, 1]) == pytest.approx(3936, abs=15)  # New York - Los Angeles
    y, x = np.radians([[40.7, 34.1, 21.3], [-74.0, -118.2, -157.9]])
    place = np.array([np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), np.sin(y)])
    angle = np.arccos((place.T @ place).clip(-1, 1))
    np.testing.assert_allclose(found, 6371 * angle, atol=0.2)
    assert torch.equal(found, found.T) and (found.diagonal() == 0).all()
    poles = great_circle(torch.tensor([90.0, -90.0]), torch.tensor([0.0, 0.0]))
    assert float(poles[0, 1]) == pytest.approx(np.pi * 6371, rel=1e-5)


def test_rain_and_its_beginnings() -> None:
    amount = torch.tensor([[2, 0, 1, 3, -1, 4, 0, 0, 5], [0, -1, 1, 0, 1, 0, 1, 1, 0]])
    assert rain_hours(amount).T.int().tolist() == [
        [1, 0, 1, 1, 0, 1, 0, 0, 1],
        [0, 0, 1, 0, 1, 0, 1, 1, 0],
    ]
    assert rain_onsets(amount).T.int().tolist() == [
        [0, 0, 1, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1, 0, 1, 0, 0],
    ]


def test_stand_in_world_has_its_clusters_frequencies_and_memory() -> None:
    hours = 60_000
    world = stand_in_world(torch.Generator().manual_seed(0), 20, 2, hours)
    assert world.rain.shape == (hours, 20) and world.cluster.tolist() == [0] * 10 + [1] * 10
    strong = world.cluster == 0
    assert 0.02 <= float(world.frequency.min()) <= float(world.frequency.max()) <= 0.3
    assert float(world.frequency[strong].max()) <= 0.08
    rain = world.rain.double()
    # Correlated for about six hours: so many fewer independent ones.
    error = 5 * (world.frequency * (1 - world.frequency) * 13 / hours).sqrt()
    assert ((rain.mean(0) - world.frequency).abs() < error).all()
    correlation = torch.corrcoef(rain.T)
    inside, other = correlation[:10, :10], correlation[10:, 10:]
    across = correlation[:10, 10:]
    off = ~torch.eye(10, dtype=torch.bool)
    assert float(inside[off].mean()) > 2 * float(other[off].mean()) > 0.1
    assert abs(float(across.mean())) < 5 * sqrt(13 / hours)


def test_fields_forget_in_six_hours() -> None:
    from plastorch.data.tables.weather import _field

    field = _field(5, 50_000, torch.Generator().manual_seed(1))
    assert float(field.std()) == pytest.approx(1, abs=0.03)
    for lag in (1, 6, 12):
        found = float((field[lag:] * field[:-lag]).mean())
        assert found == pytest.approx(exp(-lag / 6), abs=0.04)


def test_missing_files_say_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not in .*us-precipitation; to get it: .*NOAA"):
        load_precipitation(tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lat": None}, "damaged"),
        ({"lat": np.zeros(2, np.float32)}, r"lat has shape \(2,\); expected 3 stations"),
        ({"precip": np.zeros(3, np.int16)}, r"precip has shape \(3,\)"),
    ],
)
def test_damaged_files(write: Callable[..., Path], changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_precipitation(write(**changes))


def test_truncated_files(write: Callable[..., Path]) -> None:
    path = write() / "us-precipitation" / "noaa_hpd_hourly_2014_2018.npz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="is damaged"):
        load_precipitation(path.parent.parent)


def test_it_is_no_image_set(write: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="US precipitation holds no images"):
        load_images("us-precipitation", write())


def test_real_stations_rain_together_where_they_are_near() -> None:
    root = os.environ.get("PLASTORCH_DATA")
    if not root or not (Path(root) / "us-precipitation").is_dir():
        pytest.skip("us-precipitation is not in $PLASTORCH_DATA")
    record = load_precipitation()
    assert record.amount.shape[0] == 851 and len(set(record.state)) == 45
    year = record.year(2016)
    assert len(year.station) > 690
    rain, distances = rain_hours(year.amount).double(), year.distances()
    assert 0.05 < float(rain.mean()) < 0.1
    correlation = torch.corrcoef(rain.T)
    off = ~torch.eye(len(distances), dtype=torch.bool)
    near = float(correlation[(distances < 50) & off].mean())
    far = float(correlation[distances > 2000].mean())
    assert near > 0.4 and abs(far) < 0.02
