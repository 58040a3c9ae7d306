"""Hourly rain at stations in the USA: real records, and a labeled synthetic substitute."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from plastorch.data.catalog import CATALOG
from plastorch.data.images.formats import MOST_BYTES
from plastorch.data.locate import located
from plastorch.engine.errors import InputError

NAME = "us-precipitation"
HOURS_OF_YEAR = 8760
EARTH_KM = 6371.0
_KINDS = {
    "precip": ("i", 32767, np.int16),
    "utc_offset": ("i", 24, np.int64),
    "lat": ("f", 90, np.float64),
    "lon": ("f", 180, np.float64),
    "station": ("U", 0, np.str_),
    "state": ("U", 0, np.str_),
}
"""Letter for the type of each array, its largest value, and the type that it gets."""
ARRAYS = (*_KINDS, "start")


@dataclass(frozen=True)
class Precipitation:
    """Hourly precipitation of S stations, all in universal time.

    Attributes:
        amount: precipitation in each hour, 1/100 inch, -1 where missing, int16 [S, T].
        state: state of each station, two letters.
        latitude: latitudes in degrees, float64 [S].
        longitude: longitudes in degrees, float64 [S].
        start: universal time at the start of the first hour.
    """

    amount: Tensor
    station: tuple[str, ...]
    state: tuple[str, ...]
    latitude: Tensor
    longitude: Tensor
    start: np.datetime64
    source: str
    sha256: str

    def year(self, year: int, missing: float = 0.05) -> "Precipitation":
        """Returns the first 365 days of a year, at the stations that miss few of its hours.

        Each of them misses less than the share ``missing``. A year begins with its first hour or,
        if later, the record's first hour in it. Raises InputError if the record has no such year,
        or no such station.
        """
        first = int((np.datetime64(f"{year}-01-01T00", "h") - self.start).astype(int))
        first = max(first, 0) if first > -24 else first
        if first < 0 or first + HOURS_OF_YEAR > self.amount.shape[1]:
            raise InputError(f"year is {year}; expected one that the record covers completely")
        amount = self.amount[:, first : first + HOURS_OF_YEAR]
        kept = ((amount < 0).double().mean(dim=1) < missing).nonzero()[:, 0].tolist()
        if not kept:
            raise InputError(f"missing is {missing}; expected a share that some station is below")
        return replace(
            self,
            amount=amount[kept],
            station=tuple(self.station[i] for i in kept),
            state=tuple(self.state[i] for i in kept),
            latitude=self.latitude[kept],
            longitude=self.longitude[kept],
            start=self.start + np.timedelta64(first, "h"),
        )

    def distances(self) -> Tensor:
        """Returns great-circle distances between the stations, km [S, S]."""
        return great_circle(self.latitude, self.longitude)


class StandIn(NamedTuple):
    """Synthetic rain with known clusters of stations."""

    rain: Tensor
    """Whether it rains in each hour, bool [T, S]."""
    cluster: Tensor
    """Cluster of each station, int64 [S]; 0 is strongly correlated, and rain is rare there."""
    frequency: Tensor
    """Expected share of hours with rain at each station [S]."""


def load_precipitation(data: str | Path | None = None) -> Precipitation:
    """Loads the hourly records of 2014 to 2018 from the data root; there is no download.

    The file is ``us-precipitation/noaa_hpd_hourly_2014_2018.npz``, made from the Hourly
    Precipitation Data network, version 2, of NOAA's National Centers for Environmental Information
    (public domain). Its arrays: ``precip``, int16 [S, T], 1/100 inch, -1 missing; ``station``,
    ``state``, texts [S]; ``lat``, ``lon``, degrees [S]; ``utc_offset``, hours from universal to
    local standard time [S]; ``start``, local standard time of the first hour. Records are cut to
    the hours that all stations have. Raises InputError if the file is missing or damaged.
    """
    entry = CATALOG[NAME]
    path = located(entry, data) / entry.files[0]
    if not path.is_file():
        raise InputError(f"{path} is missing; to get it: {entry.how_to_get(data)}")
    arrays = _read(path)
    amount = torch.from_numpy(arrays["precip"])
    offset = torch.from_numpy(arrays["utc_offset"])
    first, last = -int(offset.min()), amount.shape[1] - int(offset.max())
    hour = torch.arange(first, last) + offset[:, None]
    return Precipitation(
        amount=amount.gather(1, hour),
        station=tuple(str(text) for text in arrays["station"]),
        state=tuple(str(text) for text in arrays["state"]),
        latitude=torch.from_numpy(arrays["lat"]),
        longitude=torch.from_numpy(arrays["lon"]),
        start=np.datetime64(str(arrays["start"]), "h") + np.timedelta64(first, "h"),
        source=f"data root: {path.parent.name}",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def rain_hours(amount: Tensor) -> Tensor:
    """Returns which hours have rain, bool [T, S]; where amounts [S, T] are missing, none."""
    return (amount > 0).T


def rain_onsets(amount: Tensor) -> Tensor:
    """Returns which hours begin a rain event, bool [T, S], from amounts [S, T].

    It rains in these hours, and is known to have been dry the hour before; negative amounts are
    missing.
    """
    onset = amount > 0
    onset[:, 1:] &= amount[:, :-1] == 0
    onset[:, 0] = False
    return onset.T


def great_circle(latitude: Tensor, longitude: Tensor) -> Tensor:
    """Computes distances on the earth by the haversine formula, km [S, S], from degrees [S]."""
    phi, theta = torch.deg2rad(latitude), torch.deg2rad(longitude)
    chord = torch.sin((phi[:, None] - phi) / 2) ** 2
    chord = chord + phi.cos()[:, None] * phi.cos() * torch.sin((theta[:, None] - theta) / 2) ** 2
    return 2 * EARTH_KM * chord.sqrt().clamp(max=1).asin()


def stand_in_world(
    generator: torch.Generator,
    stations: int = 100,
    clusters: int = 5,
    hours: int = HOURS_OF_YEAR,
    strong: float = 0.6,
    weak: float = 0.2,
) -> StandIn:
    """Generates rain where a smooth random field, partly shared within a cluster, is high.

    Fields are autoregressive with a memory of six hours. Rain is rare in the strongly correlated
    first cluster (2 to 8 % of the hours) and falls in 2 to 30 % of the hours elsewhere, so that the
    frequency of rain is misleading. ``strong`` and ``weak`` are the shares of a station's variance
    that the first cluster and each other one have in common; clusters are of equal size.
    """
    cluster = torch.arange(stations) * clusters // stations
    share = torch.where(cluster == 0, strong, weak).double()
    common = _field(clusters, hours, generator)[:, cluster]
    own = _field(stations, hours, generator)
    field = share.sqrt() * common + (1 - share).sqrt() * own
    most = torch.where(cluster == 0, 0.08, 0.30)
    uniform = torch.rand(stations, generator=generator)
    frequency = (0.02 + (most - 0.02) * uniform).double()
    return StandIn(field > torch.special.ndtri(1 - frequency), cluster, frequency)


def _field(count: int, hours: int, generator: torch.Generator) -> Tensor:
    from scipy.signal import lfilter

    kept = np.exp(-1 / 6)
    noise = torch.randn(hours, count, generator=generator, dtype=torch.float64).numpy()
    noise[1:] *= np.sqrt(1 - kept**2)
    return torch.from_numpy(lfilter([1.0], [1.0, -kept], noise, axis=0))


def _read(path: Path) -> dict[str, np.ndarray]:
    """Reads a file's arrays, and checks that their shapes and values are valid."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as contents:
            if sum(part.file_size for part in contents.zip.infolist()) > MOST_BYTES:
                raise ValueError(f"more than {MOST_BYTES:,} bytes in it")
            arrays = {name: contents[name] for name in ARRAYS}
        if arrays["start"].dtype.kind != "U":
            raise ValueError("start is not text")
        arrays["start"] = np.array(np.datetime64(str(arrays["start"]), "h"))
    except Exception as error:  # numpy, zipfile and zlib raise many kinds
        raise InputError(f"{path} is damaged: {error}; expected arrays {ARRAYS}") from None
    stations = len(arrays["station"]) if arrays["station"].ndim else 0
    for name, shape in ((n, a.shape) for n, a in arrays.items() if n != "start"):
        if not stations or shape[:1] != (stations,) or len(shape) != 1 + (name == "precip"):
            raise InputError(f"{path}: {name} has shape {shape}; expected {stations} stations")
    for name, (kind, most, dtype) in _KINDS.items():
        array = arrays[name]
        if array.dtype.kind != kind or not (kind == "U" or (abs(array) <= most).all()):
            raise InputError(f"{path}: {name} holds {array.dtype}, or impossible values")
        arrays[name] = array.astype(dtype)
    if arrays["precip"].shape[1] <= 2 * _KINDS["utc_offset"][1] or np.isnat(arrays["start"]):
        raise InputError(f"{path}: it has {arrays['precip'].shape[1]} hours; expected years")
    return arrays
