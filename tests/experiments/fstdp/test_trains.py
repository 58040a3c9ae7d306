"""Spike trains of the FSTDP experiments: rates, who is correlated, rhythms; and their measures."""

from math import sqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from plastorch.experiments.fstdp.trains import (
    Condition,
    Trains,
    area_under_roc,
    common_events,
    make_trains,
    modulated,
    precision,
    selection,
)
from plastorch.spiking.encode import poisson
from plastorch.spiking.events import from_raster
from plastorch.spiking.fatigue.covariance import normalized_covariance, spike_counts


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("place", "slow"), [("slow", 40), ("fast", 0), ("both", 20)])
def test_members_are_where_they_should_be_and_rates_hint_at_nothing(place, slow: int) -> None:
    trains = make_trains(Condition(place, 0.8), 20.0, random())
    assert int(trains.members.sum()) == 40 and int(trains.members[:100].sum()) == slow
    assert trains.rates.unique().tolist() == [10.0, 40.0] and not trains.distractors.any()
    counts = torch.bincount(trains.events.source, minlength=200).double()
    for group in (trains.members, ~trains.members):
        expected = 20 * float(trains.rates[group].sum())
        shared = 40 if group is trains.members else 1  # events of members come together
        assert float(counts[group].sum()) == pytest.approx(
            expected, abs=5 * sqrt(shared * expected)
        )
    sums = normalized_covariance(spike_counts(trains.events, 200, 1e-3, 20.0)).sum(1)
    assert area_under_roc(sums, trains.members) > 0.99


def test_graded_rates_are_log_uniform_and_members_any() -> None:
    trains = make_trains(Condition("graded", 0.5, members=100), 1.0, random(1))
    assert 2 <= float(trains.rates.min()) < 3 and 60 < float(trains.rates.max()) <= 80
    assert abs(int((trains.rates < sqrt(160)).sum()) - 100) < 30
    assert int(trains.members.sum()) == 100 and 30 < int(trains.members[:100].sum()) < 70
    other = make_trains(Condition("graded", 0.5, members=100), 1.0, random(2))
    assert not torch.equal(trains.members, other.members)


def test_distractors_keep_their_mean_rate_and_share_a_rhythm() -> None:
    trains = make_trains(Condition("slow", 0.0, frequency=1.0), 40.0, random())
    assert trains.distractors.nonzero()[:, 0].tolist() == list(range(160, 200))
    assert not (trains.distractors & trains.members).any()
    times = trains.events.times[trains.distractors[trains.events.source]]
    assert len(times) == pytest.approx(40 * 40 * 40, abs=5 * sqrt(64_000))
    phase = 2 * torch.pi * times
    # The first harmonic of a rate 1 + 0.8 sin.
    assert float(phase.sin().mean()) == pytest.approx(0.4, abs=5 * sqrt(0.5 / 64_000))
    assert float(phase.cos().mean()) == pytest.approx(0.0, abs=5 * sqrt(0.5 / 64_000))
    others = trains.events.times[~trains.distractors[trains.events.source]]
    assert abs(float((2 * torch.pi * others).sin().mean())) < 5 * sqrt(0.5 / len(others))


def test_modulation_leaves_other_inputs_alone() -> None:
    events = poisson(torch.full((1, 4), 50.0), 2.0, random())
    which = torch.tensor([False, True, True, False])
    after = modulated(events, which, 0.5, random(1))
    for i in range(4):
        before, now = (e.times[e.source == i] for e in (events, after))
        assert torch.equal(before, now) != bool(which[i])


def test_common_events_are_the_steps_in_which_many_members_spike() -> None:
    raster = torch.zeros(50, 1, 200)
    raster[7, 0, :5] = 1
    raster[20, 0, :4] = 1
    raster[20, 0, 60:90] = 1
    raster[30, 0, :40] = 1
    members = torch.arange(200) < 40
    trains = Trains(from_raster(raster, 1e-3), torch.ones(200), members, ~members)
    torch.testing.assert_close(
        common_events(trains, 0.05), torch.tensor([0.007, 0.03], dtype=torch.float64)
    )
    spikes = torch.tensor([0.006, 0.007, 0.012, 0.0171, 0.031], dtype=torch.float64)
    assert precision(spikes, common_events(trains, 0.05)) == pytest.approx(3 / 5)
    assert precision(spikes[:0], spikes) == precision(spikes, spikes[:0]) == 0.0


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=40).filter(
        lambda rows: len({positive for _, positive in rows}) == 2
    )
)
def test_area_is_scikit_learns(rows: list[tuple[int, bool]]) -> None:
    scores = torch.tensor([float(score) for score, _ in rows])
    positive = torch.tensor([p for _, p in rows])
    expected = roc_auc_score(positive.numpy(), scores.numpy())
    assert area_under_roc(scores, positive) == pytest.approx(expected)


def test_selection_is_told_against_each_group() -> None:
    trains = make_trains(Condition("slow", 0.5, frequency=1.0), 0.1, random())
    weight = torch.where(trains.members, 0.5, torch.where(trains.rates > 10, 0.9, 0.1))
    found = selection(trains, weight)
    assert found["auc_slow"] == 1.0 and found["auc_fast"] == found["auc_distractors"] == 0.0
    assert found["auc"] == pytest.approx(60 / 160)
    assert found["weight_members"] == pytest.approx(0.5)
    assert found["weight_others"] == pytest.approx((60 * 0.1 + 100 * 0.9) / 160)
    plain = make_trains(Condition("slow", 0.5, ratio=1.0), 0.1, random())
    assert "auc_fast" not in selection(plain, torch.rand(200)) and plain.rates.max() == 10
