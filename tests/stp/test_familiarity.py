"""Training on streams that ask at every step: updates, bounds, rates and going on from a state."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from plastorch.data.tasks.familiarity import FamiliarityStream, familiarity_stream
from plastorch.learning.phases import run_phase
from plastorch.stp import STPN, STPNState, unroll
from plastorch.stp.familiarity import (
    BoundedHebbFF,
    FamiliarityNet,
    FamiliarityTraining,
    rates,
    rates_on,
)


def stream(update: int) -> FamiliarityStream:
    return familiarity_stream(40, 2, 6, torch.Generator().manual_seed(update))


def net(core: type[STPN] = STPN, seed: int = 0) -> FamiliarityNet:
    torch.manual_seed(seed)
    return FamiliarityNet(core(6, 5), 5)


def training(
    model: FamiliarityNet, updates: int, learning_rate: float = 0.01, **settings: Any
) -> FamiliarityTraining:
    rate = learning_rate
    return FamiliarityTraining(
        "x", model, stream=stream, updates=updates, learning_rate=rate, **settings
    )


def test_an_update_is_adam_on_the_mean_cross_entropy_of_all_steps() -> None:
    learner, twin = net(), net()
    phase = training(learner, 2)
    optimizer = torch.optim.Adam(twin.parameters(), 0.01)
    cell = twin.core.cells[0]
    for update in range(2):
        phase.step()
        items, repeats = stream(update)
        start = STPNState(torch.zeros(1, 5), torch.zeros(1, 5, 11))
        output, _ = unroll(items.unsqueeze(1), start, cell.slow, cell.dynamics)
        found = torch.sigmoid(twin.readout(output)[:, 0, 0])
        loss = -torch.where(repeats, found, 1 - found).log().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for one, other in zip(learner.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_every_tenth_update_and_the_last_are_logged() -> None:
    phase = training(net(), 12, validation=stream(99))
    tenth, last = run_phase(phase)
    assert (tenth["step"], last["step"]) == (10, 12) and tenth["phase"] == "x"
    assert last["validation_accuracy"] == rates_on(phase.net, stream(99)).accuracy
    (alone,) = training(net(), 1).step()
    assert "validation_accuracy" not in alone
    assert alone["train_accuracy"] == rates_on(net(), stream(0)).accuracy


def test_going_on_from_a_state_gives_the_same_bits() -> None:
    whole = training(net(), 5)
    run_phase(whole)
    first = training(net(), 5)
    for _ in range(2):
        first.step()
    rest = training(net(seed=1), 5)
    rest.net.load_state_dict(first.net.state_dict())
    rest.load_state_dict(first.state_dict())
    rest.position = 2
    run_phase(rest)
    for one, other in zip(whole.net.parameters(), rest.net.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("start", [0.0, 1.0])
def test_hebbffs_retention_stays_in_bounds(start: float) -> None:
    """From a bound, large steps would carry λ over it sooner or later."""
    phase = training(net(BoundedHebbFF), 20, 0.3)
    cell = phase.net.core.cells[0]
    assert cell.weight_lambda.item() == pytest.approx(0.99)
    assert cell.weight_gamma.item() == pytest.approx(-5 / 6)
    nn.init.constant_(cell.weight_lambda, start)
    found = []
    for _ in range(20):
        phase.step()
        found.append(cell.weight_lambda.item())
    assert min(found) >= 0 and max(found) <= 1
    assert {0.0, 1.0} & set(found) and len(set(found)) > 1


def test_other_units_are_not_bounded() -> None:
    phase = training(net(), 5, 0.5)
    run_phase(phase)
    decay = phase.net.core.cells[0].weight_lambda.detach()
    assert float(decay.min()) < 0 or float(decay.max()) > 1


@settings(max_examples=50)
@given(st.integers(0, 2**31), st.integers(1, 30))
def test_rates_count(seed: int, size: int) -> None:
    random = torch.Generator().manual_seed(seed)
    scores, repeats = (
        torch.randn(size, generator=random),
        torch.rand(size, generator=random) < 0.3,
    )
    found = rates(scores, repeats)
    told = [(s > 0, truth) for s, truth in zip(scores.tolist(), repeats.tolist(), strict=True)]
    assert found.accuracy == sum(said == truth for said, truth in told) / size
    for share, kind in ((found.true_positive_rate, True), (found.false_positive_rate, False)):
        of_kind = [said for said, truth in told if truth == kind]
        assert share == (sum(of_kind) / len(of_kind) if of_kind else 0)


def test_readouts_start_as_in_the_papers_code() -> None:
    torch.manual_seed(0)
    readout = FamiliarityNet(nn.Identity(), 10_000).readout
    assert float(readout.weight.detach().std()) == pytest.approx(0.01, rel=0.05)
