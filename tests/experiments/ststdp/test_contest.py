"""Networks that learn side by side: each as if alone, the best learning rate, and stops."""

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from plastorch.data.tasks.streams import Transforms
from plastorch.experiments.ststdp import contest
from plastorch.experiments.ststdp.contest import Contest, Films, Seen
from plastorch.experiments.ststdp.networks import mlp, recurrent
from plastorch.experiments.ststdp.training import StreamTraining, TrainingCourse
from plastorch.learning.phases import run_phase
from plastorch.spiking.shortterm.recognition import Digits, shown

MOVING = Transforms(occlusion=0.5, frames=4)
WINDOWS = {"pixels-mlp": 1, "half-mlp": 1, "pixels-gru": 2}


def nets() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "pixels-mlp": mlp(20, 8, 4),
        "half-mlp": mlp(20, 8, 4),
        "pixels-gru": recurrent(nn.GRU, 20, 8, 4),
    }


def films(digits: Digits, epochs: int = 6) -> Films:
    def of(epoch: int) -> Iterator[Seen]:
        for x, labels in shown(digits, MOVING, streams=4, path=(0, epoch)):
            yield {"pixels": x, "half": 0.5 * x}, labels

    return Films(shown=of, epochs=epochs)


@pytest.mark.parametrize("name", ["pixels-mlp", "pixels-gru"])
def test_each_learns_as_if_alone(
    name: str, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contest, "RATES", (1e-2,))
    course = TrainingCourse(
        train=digits,
        validation=digits,
        transforms=MOVING,
        epochs=2,
        streams=4,
        window=WINDOWS[name],
        learning_rate=1e-2,
        path=(0,),
    )
    own, alone = nets(), nets()[name]
    records = run_phase(Contest("contest", own, WINDOWS, films(digits, 2)))
    expected = run_phase(StreamTraining("alone", alone, course))
    torch.testing.assert_close(own[name].state_dict(), alone.state_dict())
    found = [row["validation_accuracy"] for row in records if row["net"] == name]
    assert found == [row["validation_accuracy"] for row in expected]


def test_the_best_rate_goes_on_until_nothing_comes_of_it(
    digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contest, "RATES", (1e-9, 1e-2))
    own = nets()
    phase = Contest("contest", own, WINDOWS, films(digits, 30))
    records = run_phase(phase)
    for net in own:
        rows = [row for row in records if row["net"] == net]
        assert [row["rate"] for row in rows[:4]] == [1e-9, 1e-2] * 2
        assert {row["rate"] for row in rows[4:]} == {1e-2}
        right = [row["validation_accuracy"] for row in rows if row["rate"] == 1e-2]
        best = right.index(max(right))
        assert len(right) == best + 1 + contest.PATIENCE < 30
        assert max(right) > 0.8
    assert phase.position == phase.total and not any(phase.learning().values())


def test_any_stop_and_restart_gives_the_same_bits(digits: Digits) -> None:
    whole = nets()
    rows = run_phase(Contest("contest", whole, WINDOWS, films(digits, 4)))
    own, state, found, position = nets(), None, [], 0
    while position < 4:
        phase = Contest("contest", own, WINDOWS, films(digits, 4))
        phase.position = position
        if state is not None:
            phase.load_state_dict(state)
        found += phase.step()
        position, state = phase.position, copy.deepcopy(phase.state_dict())
    assert found == rows
    for name, net in whole.items():
        for key, value in net.state_dict().items():
            assert torch.equal(value, own[name].state_dict()[key])
