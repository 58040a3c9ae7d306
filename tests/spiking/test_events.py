"""Lists of spikes and rasters say the same."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.spiking import Events, from_raster, to_raster
from plastorch.spiking.events import check_events, gather, network_of, step_of


def random_raster(seed: int, steps: int = 7, networks: int = 3, inputs: int = 4) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.rand(steps, networks, inputs, generator=random) < 0.3


@given(st.integers(0, 10**6), st.sampled_from([1e-4, 1e-3, 0.05, 0.1, 1.0]))
def test_rasters_come_back(seed: int, dt: float) -> None:
    raster = random_raster(seed)
    events = from_raster(raster, dt)
    check_events(events, 4)
    assert events.networks == 3 and len(events.times) == int(raster.sum())
    assert torch.equal(to_raster(events, 4, dt, 7), raster)


def test_events_of_a_raster_are_those_of_a_loop() -> None:
    raster = random_raster(1)
    events = from_raster(raster, 0.01)
    found = []
    for b in range(3):
        for t in range(7):
            for i in range(4):
                if raster[t, b, i]:
                    found.append((t * 0.01, i, b))
    expected = [list(part) for part in zip(*found, strict=True)]
    assert [events.times.tolist(), events.source.tolist(), network_of(events).tolist()] == expected


def test_spikes_within_a_step_are_one_and_later_ones_are_left_out() -> None:
    times = torch.tensor([0.0101, 0.0109, 0.02, 0.05], dtype=torch.float64)
    events = Events(times, torch.tensor([1, 1, 0, 0]), torch.tensor([0, 4]))
    raster = to_raster(events, 2, 0.01, 4)
    assert raster.nonzero().tolist() == [[1, 0, 1], [2, 0, 0]]


@given(st.integers(0, 10**6))
def test_gather_sorts_by_network_time_and_input(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    times = torch.randint(4, (20,), generator=random).double() / 10
    source = torch.randint(3, (20,), generator=random)
    network = torch.randint(5, (20,), generator=random)
    events = gather(times, source, network, networks=6)
    check_events(events, 3)
    rows = zip(network.tolist(), times.double().tolist(), source.tolist(), strict=True)
    found = (network_of(events).tolist(), events.times.tolist(), events.source.tolist())
    assert list(zip(*found, strict=True)) == sorted(rows)
    assert events.offsets.diff().tolist() == [network.tolist().count(b) for b in range(6)]


def test_microseconds_stay_apart_for_days() -> None:
    """The recipe of the page for neuromorphic users."""
    microseconds = torch.tensor([10**12, 10**12 - 1])
    events = gather(microseconds.double() / 1e6, torch.tensor([0, 1]), torch.zeros(2).long(), 1)
    assert events.source.tolist() == [1, 0]
    assert (events.times * 1e6).round().tolist() == [10**12 - 1, 10**12]


ZEROS = torch.zeros(2, dtype=torch.int64)


@pytest.mark.parametrize(
    ("times", "source", "network", "words"),
    [
        (torch.zeros(2), ZEROS, ZEROS, r"times are torch\.float32; expected torch\.float64"),
        (ZEROS, ZEROS, ZEROS, r"times are torch\.int64; expected torch\.float64"),
        (ZEROS.double(), ZEROS[:1], ZEROS, r"source is torch\.int64 \[1\]; .* as many as times"),
        (ZEROS.double(), ZEROS, ZEROS.float(), r"network is torch\.float32 \[2\]; expected whole"),
        (ZEROS.double(), ZEROS, ZEROS + 3, "network goes from 3 to 3; expected 0 to 2"),
        (ZEROS.double(), ZEROS, ZEROS - 1, "network goes from -1 to -1"),
    ],
)
def test_what_can_not_be_gathered(
    times: Tensor, source: Tensor, network: Tensor, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        gather(times, source, network, networks=3)


def test_a_time_that_division_rounds_down_belongs_to_its_step() -> None:
    assert step_of(torch.tensor([0.15], dtype=torch.float64), 0.05).item() == 3  # 0.15 / 0.05 < 3


def test_no_spikes_at_all() -> None:
    empty = from_raster(torch.zeros(5, 2, 3), 0.1)
    check_events(empty, 3)
    assert empty.networks == 2 and len(empty.times) == 0
    assert not to_raster(empty, 3, 0.1, 5).any()


def events_of(times: list[float], source: list[int], offsets: list[int]) -> Events:
    return Events(
        torch.tensor(times, dtype=torch.float64), torch.tensor(source), torch.tensor(offsets)
    )


@pytest.mark.parametrize(
    ("events", "words"),
    [
        (
            events_of([0.1, 0.2, 0.15], [0, 1, 0], [0, 3]),
            r"times fall from 0\.2 to 0\.15 at ev.* 2",
        ),
        (events_of([0.1, 0.2], [0, 3], [0, 2]), "source goes from 0 to 3; expected 0 to 2"),
        (events_of([0.1, 0.2], [-1, 0], [0, 2]), "source goes from -1"),
        (
            events_of([-0.1, 0.2], [0, 1], [0, 2]),
            r"times go from -0\.1 to 0\.2; expected 0 or more",
        ),
        (events_of([0.1, float("nan")], [0, 1], [0, 2]), "times go from nan"),
        (events_of([0.1, 0.2], [0], [0, 2]), "2 times, 1 inputs and offsets from 0 to 2"),
        (events_of([0.1, 0.2], [0, 1], [0, 3]), "offsets from 0 to 3"),
        (events_of([0.1, 0.2], [0, 1], [0, 3, 2]), "offsets fall from 3 to 2; expected them to"),
        (
            events_of([0.1, 0.2], [0, 1], [0, 2])._replace(offsets=torch.tensor([]).long()),
            "from -1",
        ),
        (events_of([0.1, math.inf], [0, 1], [0, 2]), "times go from 0.1 to inf"),
        (events_of([0.1], [0], [0, 1])._replace(source=torch.zeros(1)), "source are torch.float32"),
        (
            events_of([0.1], [0], [0, 1])._replace(times=torch.ones(1, 1)),
            r"\[1, 1\]; expected a row",
        ),
        (events_of([0.1, 0.2], [0, 1], [1, 2]), "offsets from 1 to 2"),
        (
            events_of([0.7], [0], [0, 1])._replace(times=torch.tensor([0.7])),
            r"times are torch\.float32 \[1\]; expected a row of torch\.float64",
        ),
    ],
)
def test_bad_events(events: Events, words: str) -> None:
    with pytest.raises(InputError, match=words):
        to_raster(events, 3, 0.1, 5)


def test_times_start_anew_in_each_network() -> None:
    check_events(events_of([0.1, 0.2, 0.0], [0, 1, 0], [0, 2, 3]), 3)


def test_bad_steps() -> None:
    for dt in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="dt is"):
            from_raster(torch.zeros(1, 1, 1), dt)
    with pytest.raises(InputError, match=r"raster has shape \(2, 3\); expected \(T, B, N\)"):
        from_raster(torch.zeros(2, 3), 0.1)
    with pytest.raises(InputError, match="raster holds other numbers; expected spikes, 0 or 1"):
        from_raster(torch.full((1, 1, 1), math.nan), 0.1)
    with pytest.raises(InputError, match="steps is 0"):
        to_raster(from_raster(torch.zeros(1, 1, 1), 0.1), 1, 0.1, 0)
