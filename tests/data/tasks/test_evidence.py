"""The toy tasks and their ideal observers, against enumeration, integration and published ones."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from plastorch.data.tasks.evidence import (
    noisy_signals,
    run_chances,
    run_lengths,
    run_log_odds,
    runs_of_bits,
    signal_log_odds,
)
from plastorch.engine.errors import InputError
from plastorch.rank import first_crossing


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_signals_have_their_mean_and_their_noise() -> None:
    x, labels, sigma = noisy_signals(20_000, random())
    assert x.shape == (40, 20_000, 1) and labels.sum() == 10_000
    assert 0.05 <= sigma.min() < 0.051 and 0.249 < sigma.max() <= 0.25
    assert abs(float(sigma.mean()) - 0.15) < 4 * 0.2 / 12**0.5 / 20_000**0.5
    signal = x[..., 0] * (2 * labels - 1)
    # Noise of standard deviation 0.161 on average, over 800,000 values.
    assert abs(float(signal.mean()) - 0.05) < 4 * 0.161 / 800_000**0.5
    scaled = (signal - 0.05) / sigma
    assert abs(float(scaled.var()) - 1) < 4 * (2 / 800_000) ** 0.5
    assert noisy_signals(5, random()).labels.sum() == 3


def test_observer_of_signals_is_bayes_rule() -> None:
    """Against numeric integration over the same σ, of products of densities."""
    x = noisy_signals(5, random(1)).x
    sigmas = np.linspace(0.05, 0.25, 41)
    found = signal_log_odds(x)[..., 0]
    for sample in range(5):
        for steps in (1, 7, 40):
            values = x[:steps, sample, 0].double().numpy()[:, None]
            both = [norm.pdf(values, mean, sigmas).prod(axis=0).sum() for mean in (0.05, -0.05)]
            expected = np.log(both[0] / both[1])
            assert float(found[steps - 1, sample]) == pytest.approx(expected, rel=1e-9)


def test_grid_of_noise_is_fine_enough() -> None:
    """A hundred times as many σ make hardly a difference."""
    x = noisy_signals(20, random(2)).x
    fine = np.linspace(0.05, 0.25, 4001)
    values = x[:, :, 0].double().numpy()
    logs = [norm.logpdf(values[:, :, None], mean, fine).sum(axis=0) for mean in (0.05, -0.05)]
    both = [np.logaddexp.reduce(each, axis=-1) for each in logs]
    odds = torch.from_numpy(both[0] - both[1])
    coarse = signal_log_odds(x)[-1, :, 0]
    assert float((coarse.sigmoid() - odds.sigmoid()).abs().max()) < 0.01


@pytest.mark.parametrize(
    ("threshold", "accuracy", "time", "uncrossed"),
    [(0.90, 0.917, 10.6, 0.022), (0.95, 0.949, 15.1, 0.066), (0.99, 0.967, 22.6, 0.194)],
)
def test_observer_of_signals_decides_as_well_as_known(
    threshold: float, accuracy: float, time: float, uncrossed: float
) -> None:
    """Figures of a simulation elsewhere, to what both may differ by chance."""
    count = 10_000
    signals = noisy_signals(count, random(3))
    odds = torch.cat([signal_log_odds(x) for x in torch.split(signals.x, 2000, dim=1)], dim=1)
    step, crossed = first_crossing(odds, threshold)
    right = (odds[step, torch.arange(count), 0] > 0).long() == signals.labels
    assert abs(float(right.double().mean()) - accuracy) < 4 * (0.05 / count) ** 0.5
    assert abs(float(step.double().mean()) + 1 - time) < 4 * 11 / count**0.5
    assert abs(1 - float(crossed.double().mean()) - uncrossed) < 4 * 0.4 / count**0.5


def test_observer_of_signals_is_calibrated() -> None:
    """Of what it gives 70 to 80 %, so many are right."""
    signals = noisy_signals(4000, random(4))
    chance = signal_log_odds(signals.x)[9, :, 0].sigmoid()
    some = (chance > 0.7) & (chance < 0.8)
    share = float(signals.labels[some].double().mean())
    assert abs(share - float(chance[some].mean())) < 4 * (0.19 / int(some.sum())) ** 0.5


def test_how_often_there_is_a_run() -> None:
    """All 2²⁵ sequences: their 24 pairs of neighbors are equal or not, independently."""
    equal = np.arange(2**24, dtype=np.int32)
    four_in_a_row = equal & equal >> 1 & equal >> 2 & equal >> 3
    exact = np.count_nonzero(four_in_a_row) / 2**24
    assert float(run_chances()[25, 0]) == pytest.approx(exact, abs=1e-12)
    assert exact == pytest.approx(0.5496, abs=5e-5)
    labels = runs_of_bits(20_000, random()).labels
    assert abs(float(labels.double().mean()) - exact) < 4 * 0.5 / 20_000**0.5


def test_chances_of_a_run_by_drawing() -> None:
    """Three equal bits behind, ten to come."""
    bits = torch.randint(0, 2, (13, 20_000), generator=random(5))
    bits[:3] = 1
    share = float((run_lengths(bits) >= 5).any(dim=0).double().mean())
    assert abs(float(run_chances()[10, 3]) - share) < 4 * 0.5 / 20_000**0.5


def test_labels_and_first_certain_steps_of_runs() -> None:
    """Against strings, and all that could still come, tried out."""
    x, labels, known = runs_of_bits(40, random(6))
    assert x.shape == (25, 40, 1) and set(x.unique().tolist()) == {0.0, 1.0}  # type: ignore[no-untyped-call]
    for sample in range(40):
        text = "".join(str(int(bit)) for bit in x[:, sample, 0])
        places = [text.find(run) for run in ("00000", "11111") if run in text]
        assert int(labels[sample]) == bool(places)
        if places:
            assert int(known[sample]) == min(places) + 4
            continue
        open_at = [any(f"{text[:t]}{b * 9}"[:25].find(b * 5) >= 0 for b in "01") for t in range(26)]
        assert int(known[sample]) + 1 == open_at.index(False)


def test_observer_of_runs_is_certain_when_it_can_be() -> None:
    x, labels, known = runs_of_bits(500, random(7))
    odds = run_log_odds(x)[..., 0]
    steps = torch.arange(25)[:, None]
    assert torch.equal(odds.isinf(), steps >= known)
    assert torch.equal(odds[-1] > 0, labels == 1)
    middle = odds[12].sigmoid()
    some = (middle > 0.3) & (middle < 0.5)
    share = float(labels[some].double().mean())
    assert abs(share - float(middle[some].mean())) < 4 * (0.25 / int(some.sum())) ** 0.5


def test_no_sequences() -> None:
    for make in (noisy_signals, runs_of_bits):
        with pytest.raises(InputError, match="count is 0"):
            make(0, random())
