"""Encoders: rates and correlations within confidence limits, spike times as naive loops say."""

from math import floor, inf, log, nan, sqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream as generator
from plastorch.spiking import Events, to_raster
from plastorch.spiking.encode import bernoulli, correlated, frame_events, latency, poisson, rank
from plastorch.spiking.events import check_events, network_of

LIMIT = 4.5
"""Standard deviations: one of a hundred thousand normal numbers is farther out."""
NOBODY = torch.zeros(4, dtype=torch.bool)


def assert_share(hits: Tensor, chance: float) -> None:
    """The share of coin flips, of which neighbors may share a step, is as expected."""
    error = sqrt(3 * chance * (1 - chance) / len(hits))
    assert abs(float(hits.double().mean()) - chance) <= LIMIT * error


def test_spikes_in_steps_are_independent_coin_flips() -> None:
    """Counts in steps and of inputs within confidence limits, as are pairs of successive steps."""
    chances, steps = [0.0, 1.0, 0.3, 0.007, 0.95], 20_000
    rates, duration = 1000 * torch.tensor([chances]), steps * 1e-3
    events = bernoulli(rates, duration, generator=generator(0))
    raster = to_raster(events, 5, 1e-3, steps)[:, 0]
    assert int(raster.sum()) == len(events.times)  # at most one spike in a step
    for j, p in enumerate(chances):
        half = steps // 2
        for hits, chance in (
            (raster[:, j], p),
            (raster[:-1, j] & raster[1:, j], p * p),
            (raster[:half, j], p),
            (raster[:, j] & raster[:, 2], p * 0.3 if j != 2 else p),
        ):
            assert_share(hits, chance)
    again = bernoulli(rates, duration, generator=generator(0))
    other = bernoulli(rates, duration, generator=generator(1))
    assert torch.equal(events.times, again.times)
    assert not torch.equal(events.times[:999], other.times[:999])


def test_patterns_in_steps_follow_one_another() -> None:
    rates = torch.zeros(3, 2, 4)
    rates[0, 0, 1] = rates[2, 0, 3] = rates[1, 1, 2] = 1000.0
    events = bernoulli(rates, 0.05, generator=generator(2))
    raster = torch.zeros(150, 2, 4, dtype=torch.bool)
    raster[:50, 0, 1] = raster[100:, 0, 3] = raster[50:100, 1, 2] = True
    assert torch.equal(to_raster(events, 4, 1e-3, 150), raster)
    check_events(events, 4)


@pytest.mark.parametrize(
    ("rates", "duration", "words"),
    [
        (torch.zeros(3), 0.1, r"rates are torch.float32 \[3\]; expected numbers \(S, B, N\)"),
        (torch.full((1, 3), -1.0), 0.1, r"rates hold -1\.0; expected 0 Hz or more"),
        (torch.full((1, 3), nan), 0.1, "rates hold nan"),
        (torch.full((1, 3), 1001.0), 0.1, r"up to 1001\.0 Hz; expected at most 1000 Hz, one spike"),
        (torch.zeros(1, 3), 1e300, r"duration is 1e\+300 s; expected less than 2147483648 steps"),
        (torch.zeros(1, 3), -0.1, r"duration is -0\.1"),
        (torch.zeros(1, 3), 0.0015, r"duration is 0\.0015 s; expected a multiple of dt, 0\.001 s"),
        (torch.zeros(1, 3), 0.0004, "expected a multiple of dt"),
    ],
)
def test_bad_rates_in_steps(rates: Tensor, duration: float, words: str) -> None:
    with pytest.raises(InputError, match=words):
        bernoulli(rates, duration)


def counts_of(events: Events, inputs: int) -> Tensor:
    """Spikes of each input of each network [B, N]."""
    place = network_of(events) * inputs + events.source
    return torch.bincount(place, minlength=events.networks * inputs).view(-1, inputs).double()


def correlations(raster: Tensor, pairs: list[tuple[int, int]]) -> Tensor:
    """Pearson's correlation of pairs of inputs in each network of [T, B, N]: [B, pairs]."""
    centered = raster.double() - raster.double().mean(dim=0)
    scaled = centered / centered.norm(dim=0)
    found = [(scaled[:, :, i] * scaled[:, :, j]).sum(dim=0) for i, j in pairs]
    return torch.stack(found, dim=1)


def assert_mean(samples: Tensor, expected: float) -> None:
    """The mean of independent samples is as expected, within confidence limits."""
    error = float(samples.std() / sqrt(len(samples)))
    assert abs(float(samples.mean()) - expected) < LIMIT * error


def test_poisson_rates_and_counts() -> None:
    """Counts have the mean and the variance of a Poisson distribution."""
    rates, duration = torch.tensor([[0.0, 1.0, 20.0, 200.0]]).expand(500, 4), 2.0
    counts = counts_of(poisson(rates, duration, generator(0)), 4)
    assert not counts[:, 0].any()
    for i in (1, 2, 3):
        mean = float(rates[0, i]) * duration
        assert_mean(counts[:, i], mean)
        assert_mean((counts[:, i] - mean).square(), mean)


def test_poisson_intervals_are_exponential_and_times_uniform() -> None:
    """Kolmogorov-Smirnov statistics below their limit for a chance of 1e-5, 2.47 / sqrt(n)."""
    events = poisson(torch.full((1, 1), 50.0), 400.0, generator(1))
    intervals = events.times.diff().sort().values
    for sample, distribution in (
        (intervals, lambda s: 1 - torch.exp(-50.0 * s)),
        (events.times, lambda t: t / 400.0),
    ):
        n = len(sample)
        expected = distribution(sample)
        ranks = torch.arange(n, dtype=torch.float64)
        gap = torch.maximum((ranks + 1) / n - expected, expected - ranks / n).max()
        assert float(gap) < 2.47 / sqrt(n)


def test_poisson_processes_are_independent() -> None:
    events = poisson(torch.full((40, 3), 50.0), 5.0, generator(2))
    raster = to_raster(events, 3, 0.01, 500)
    for pair in ((0, 1), (0, 2), (1, 2)):
        assert_mean(correlations(raster, [pair])[:, 0], 0.0)
    neighbors = torch.stack([raster[:, :-1, 0], raster[:, 1:, 0]], dim=2)
    assert_mean(correlations(neighbors, [(0, 1)])[::2, 0], 0.0)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.9, 1.0])
def test_rates_tell_nothing_of_correlation(correlation: float) -> None:
    """Every input's count is binomial, whether it is a member or not."""
    rates, members = torch.tensor([5.0, 5.0, 40.0, 40.0]), torch.tensor([True, False] * 2)
    events = correlated(rates, correlation, members, 10.0, networks=20, generator=generator(3))
    counts, chance = counts_of(events, 4), rates.double() * 1e-3
    deviation = (1e4 * chance * (1 - chance)).sqrt()
    assert float(((counts - 1e4 * chance) / deviation).abs().max()) < LIMIT
    for i in range(4):
        assert_mean((counts[:, i] - 1e4 * chance[i]).square(), float(deviation[i] ** 2))


def test_correlation_of_equal_and_unequal_rates() -> None:
    """c for equal rates; else c (p - p q) / sqrt(p (1 - p) q (1 - q)), p < q, about
    c sqrt(p / q)."""
    rates, c = torch.tensor([20.0, 20.0, 5.0, 80.0, 20.0]), 0.4
    members = torch.tensor([True, True, True, True, False])
    events = correlated(rates, c, members, 20.0, networks=30, generator=generator(4))
    raster = to_raster(events, 5, 1e-3, 20_000)
    pairs = [(0, 1), (0, 2), (0, 3), (2, 3), (0, 4), (3, 4)]
    found = correlations(raster, pairs)
    for place, (i, j) in enumerate(pairs):
        p, q = sorted((float(rates[i]) * 1e-3, float(rates[j]) * 1e-3))
        exact = c * (p - p * q) / sqrt(p * (1 - p) * q * (1 - q)) if j < 4 else 0.0
        assert_mean(found[:, place], exact)
        if j < 4:
            assert exact == pytest.approx(c * sqrt(p / q), rel=0.05)


def test_full_correlation_is_one_process() -> None:
    rates = torch.tensor([30.0, 30.0, 60.0])
    events = correlated(rates, 1.0, torch.ones(3, dtype=torch.bool), 5.0, generator=generator(5))
    raster = to_raster(events, 3, 1e-3, 5000)[:, 0]
    assert torch.equal(raster[:, 0], raster[:, 1])
    assert not (
        raster[:, 0] & ~raster[:, 2]
    ).any()  # the slow one's spikes are among the fast one's


def test_networks_have_processes_of_their_own() -> None:
    members = torch.tensor([True, True])
    events = correlated(
        torch.full((2,), 50.0), 1.0, members, 10.0, networks=30, generator=generator(6)
    )
    raster = to_raster(events, 2, 1e-3, 10_000)
    across = torch.stack([raster[:, 0::2, 0], raster[:, 1::2, 0]], dim=2)
    assert_mean(correlations(across, [(0, 1)])[:, 0], 0.0)


def test_jitter_moves_shared_spikes_by_its_standard_deviation() -> None:
    """Distances of two copies of a slow process, of which each was moved: sd sqrt(2) sigma."""
    sigma, dt = 5e-3, 1e-3
    events = correlated(
        torch.full((2,), 0.5),
        1.0,
        torch.tensor([True, True]),
        2000.0,
        jitter=sigma,
        generator=generator(7),
    )
    first, second = (events.times[events.source == i] for i in (0, 1))
    nearest = (first.unsqueeze(1) - second).abs().argmin(dim=1)
    distance = first - second[nearest]
    distance = distance[distance.abs() < 10 * sigma]
    assert len(distance) > 900
    assert_mean(distance, 0.0)
    # Two normal numbers, each rounded to steps.
    assert_mean(distance.square(), 2 * (sigma**2 + dt**2 / 12))


def test_jitter_leaves_others_alone_and_keeps_spikes_in_the_film() -> None:
    rates = torch.full((4,), 100.0)
    still = correlated(rates, 0.5, NOBODY, 1.0, generator=generator(8))
    moved = correlated(rates, 0.5, NOBODY, 1.0, jitter=0.1, generator=generator(8))
    assert torch.equal(still.times, moved.times) and torch.equal(still.source, moved.source)
    wild = correlated(rates, 1.0, ~NOBODY, 1.0, jitter=10.0, generator=generator(9))
    check_events(wild, 4)
    assert float(wild.times.min()) >= 0 and float(wild.times.max()) < 1


def test_jitter_leaves_the_rate_the_same_at_all_times() -> None:
    """Counts in each step of 30 ms are those of 20 Hz within errors."""
    events = correlated(
        torch.full((5,), 20.0),
        0.5,
        ~NOBODY[:1].expand(5),
        0.03,
        networks=2000,
        jitter=0.01,
        generator=generator(10),
    )
    raster = to_raster(events, 5, 1e-3, 30)
    for counts in raster.sum(dim=2):
        assert_mean(counts.double(), 5 * 0.02)


def test_jitter_loses_no_spikes_to_meetings() -> None:
    """4,000 s of 40 Hz, of which four in five spikes move by 5 ms: 1.9 % would meet another spike
    of their input. Three standard errors of a binomial count are 0.7 %."""
    rates, seconds = torch.tensor([40.0]), 4000.0
    events = correlated(rates, 0.64, ~NOBODY[:1], seconds, jitter=5e-3, generator=generator(11))
    steps = (events.times / 1e-3).round()
    assert len(steps.unique()) == len(steps)
    expected = 40 * seconds
    assert abs(len(steps) - expected) < 3 * sqrt(expected * (1 - 0.04))


def test_jitter_of_an_input_that_spikes_in_all_steps_ends() -> None:
    rates = torch.full((1,), 1000.0)
    events = correlated(rates, 0.25, ~NOBODY[:1], 0.1, jitter=5e-3, generator=generator(12))
    steps = (events.times / 1e-3).round()
    assert 90 < len(steps) == len(steps.unique()) <= 100


def test_equal_generators_give_equal_spikes() -> None:
    rates = torch.full((2, 3), 40.0)
    members = torch.tensor([True, True, False])
    for one, other in (
        (poisson(rates, 1.0, generator(1)), poisson(rates, 1.0, generator(1))),
        (
            correlated(rates[0], 0.5, members, 1.0, generator=generator(1)),
            correlated(rates[0], 0.5, members, 1.0, generator=generator(1)),
        ),
    ):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@given(st.integers(0, 10**6))
def test_latency_equals_a_loop(seed: int) -> None:
    values = torch.randint(5, (3, 6), generator=torch.Generator().manual_seed(seed)) / 4
    events = latency(values, 0.1)
    for b in range(3):
        expected = sorted(
            (0.1 * (1 - value), i) for i, value in enumerate(values[b].tolist()) if value > 0
        )
        part = slice(int(events.offsets[b]), int(events.offsets[b + 1]))
        assert events.source[part].tolist() == [i for _, i in expected]
        assert events.times[part].tolist() == pytest.approx([time for time, _ in expected])


@given(st.integers(0, 10**6))
def test_rank_equals_a_loop(seed: int) -> None:
    values = torch.randint(9, (3, 6), generator=torch.Generator().manual_seed(seed)).float()
    events = rank(values, 0.02)
    for b in range(3):
        active = [(-value, i) for i, value in enumerate(values[b].tolist()) if value > 0]
        part = slice(int(events.offsets[b]), int(events.offsets[b + 1]))
        assert events.source[part].tolist() == [i for _, i in sorted(active)]
        assert events.times[part].tolist() == pytest.approx([0.02 * k for k in range(len(active))])


@given(st.integers(0, 10**6), st.floats(0.1, 100))
def test_rank_sees_the_order_only(seed: int, factor: float) -> None:
    values = torch.rand(2, 5, generator=torch.Generator().manual_seed(seed))
    one, other = rank(values, 0.001), rank((factor * values).square(), 0.001)
    assert torch.equal(one.source, other.source) and torch.equal(one.times, other.times)


def loop_over_pixels(frames: list[list[float]], interval: float, threshold: float) -> list:
    """Spikes (time, input) of one network: a pixel's level goes straight from frame to frame, and
    at each threshold since its last spike it spikes."""
    found = []
    pixels = len(frames[0])
    for j in range(pixels):
        levels = [log(frame[j] + 0.01) / threshold for frame in frames]
        reference = levels[0]
        for t in range(len(levels) - 1):
            start, end = levels[t], levels[t + 1]
            for _ in range(floor(abs(end - reference) + 1e-12)):
                reference += 1 if end > reference else -1
                fraction = (reference - start) / (end - start)
                source = j if end > start else pixels + j
                found.append(((t + fraction) * interval, source))
    return sorted(found)


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.sampled_from([0.1, 0.15, 0.7]))
def test_frame_events_equal_a_loop(seed: int, threshold: float) -> None:
    frames = torch.rand(6, 2, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    events = frame_events(frames, 0.02, threshold)
    check_events(events, 6)
    for b in range(2):
        expected = loop_over_pixels(frames[:, b].tolist(), 0.02, threshold)
        part = slice(int(events.offsets[b]), int(events.offsets[b + 1]))
        found = sorted(zip(events.times[part].tolist(), events.source[part].tolist(), strict=True))
        assert [source for _, source in found] == [source for _, source in expected]
        assert [time for time, _ in found] == pytest.approx([time for time, _ in expected])


def test_a_still_film_has_no_events() -> None:
    assert len(frame_events(torch.full((9, 2, 3), 0.4), 0.01).times) == 0


def test_frame_events_count_the_change() -> None:
    """Brighter minus darker, times the threshold, is the change of the logarithm."""
    frames = torch.rand(30, 1, 8, generator=generator(3), dtype=torch.float64)
    events = frame_events(frames, 0.01, threshold=0.02)
    counts = torch.bincount(events.source, minlength=16).view(2, 8)
    change = ((frames[-1, 0] + 0.01) / (frames[0, 0] + 0.01)).log()
    torch.testing.assert_close(0.02 * (counts[0] - counts[1]).double(), change, atol=0.02, rtol=0)


RATES = torch.full((4,), 10.0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: poisson(torch.tensor([[1.0, -2.0]]), 1.0), r"rates hold -2\.0; expected 0 Hz"),
        (lambda: poisson(torch.tensor([[nan]]), 1.0), "rates hold nan"),
        (lambda: poisson(torch.tensor([[inf]]), 1.0), "rates hold inf"),
        (lambda: poisson(RATES, 1.0), r"rates are torch.float32 \[4\]; expected numbers \(B, N\)"),
        (lambda: poisson(torch.ones(1, 1), 0.0), "duration is 0"),
        (lambda: poisson(torch.ones(1, 1), nan), "duration is nan"),
        (lambda: correlated(RATES, 1.1, NOBODY, 1.0), r"correlation is 1\.1; expected 0 to 1"),
        (lambda: correlated(RATES, -0.1, NOBODY, 1.0), "correlation is -0.1"),
        (lambda: correlated(RATES, nan, NOBODY, 1.0), "correlation is nan"),
        (lambda: correlated(-RATES, 0.5, NOBODY, 1.0), "rates hold -10"),
        (
            lambda: correlated(RATES.view(2, 2), 0.5, NOBODY, 1.0),
            r"rates are torch.float32 \[2, 2\]",
        ),
        (lambda: correlated(RATES, 0.5, NOBODY[:3], 1.0), r"members are torch.bool of .* \(3,\)"),
        (lambda: correlated(RATES, 0.5, RATES, 1.0), "members are torch.float32"),
        (lambda: correlated(1000 * RATES, 0.5, NOBODY, 1.0), "go up to 10000.0 Hz; expected at mo"),
        (lambda: correlated(RATES, 0.5, NOBODY, 1.0, dt=0.0), "dt is 0"),
        (lambda: correlated(RATES, 0.5, NOBODY, 1.0, jitter=-1.0), "jitter is -1"),
        (lambda: correlated(RATES, 0.5, NOBODY, 1.0, jitter=nan), "jitter is nan"),
        (lambda: correlated(RATES, 0.5, NOBODY, 1.0, networks=0), "networks is 0"),
        (lambda: latency(torch.tensor([[1.5]]), 0.1), r"values hold 1\.5; expected 0 to 1"),
        (lambda: latency(torch.tensor([[nan]]), 0.1), "values hold nan"),
        (lambda: latency(torch.ones(3), 0.1), r"values have shape \(3,\)"),
        (lambda: latency(torch.ones(1, 1), 0.0), "window is 0"),
        (lambda: rank(torch.tensor([[-1.0]]), 0.1), "values have shape"),
        (lambda: rank(torch.tensor([[nan]]), 0.1), "values have shape"),
        (lambda: rank(torch.ones(1, 1), -0.1), "interval is -0.1"),
        (lambda: frame_events(torch.full((2, 1, 1), 2.0), 0.1), r"values hold 2\.0"),
        (lambda: frame_events(torch.ones(1, 1, 1), 0.1), r"frames have shape \(1, 1, 1\)"),
        (lambda: frame_events(torch.ones(2, 1), 0.1), r"frames have shape \(2, 1\)"),
        (lambda: frame_events(torch.ones(2, 1, 1), 0.1, 0.0), "threshold is 0"),
    ],
)
def test_bad_input(call: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()  # type: ignore[operator]
