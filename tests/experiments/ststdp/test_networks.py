"""Networks that learn from streams by backpropagation, and what needs no learning."""

import copy
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.data.tasks.streams import TRANSFORMS, Transforms, film, presentations
from plastorch.engine.streams import stream
from plastorch.experiments.ststdp.networks import cnn, mlp, nearest, recurrent
from plastorch.experiments.ststdp.training import StreamTraining, TrainingCourse
from plastorch.learning.phases import run_phase
from plastorch.spiking.shortterm.recognition import Digits, recognize, shown, smoothed
from plastorch.stp import STPN

QUICK = Transforms(occlusion=0.5, frames=4)


def nets() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "mlp": mlp(20, 8, 4),
        "cnn": cnn(20, 8, 4),
        "rnn": recurrent(nn.RNN, 20, 8, 4),
        "gru": recurrent(nn.GRU, 20, 8, 4),
        "lstm": recurrent(nn.LSTM, 20, 8, 4),
        "stpn": recurrent(STPN, 20, 8, 4),
    }


def training(net: nn.Module, digits: Digits, **changes: Any) -> StreamTraining:
    given = {"epochs": 3, "streams": 4, "window": 2, "learning_rate": 1e-2, "path": (0,)}
    course = TrainingCourse(train=digits, validation=digits, transforms=QUICK, **(given | changes))
    return StreamTraining("test", net, course)


@pytest.mark.parametrize("name", ["mlp", "cnn", "rnn", "gru", "lstm", "stpn"])
def test_networks_take_streams_and_learn(
    name: str, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plastorch.experiments.ststdp.training.PATIENCE", 8)
    net = nets()[name]
    scores, state = net(torch.rand(5, 3, 64), None)
    assert scores.shape == (5, 3, 4)
    again, _ = net(torch.rand(5, 3, 64), state)
    assert again.shape == (5, 3, 4)
    records = run_phase(training(net, digits, epochs=8))
    assert float(records[-1]["loss"]) < float(records[0]["loss"])
    assert max(float(record["validation_accuracy"]) for record in records) > 0.8
    assert records[0]["frames"] == 160


@pytest.mark.parametrize("name", ["mlp", "gru"])
def test_an_epoch_is_the_loop_written_out(name: str, digits: Digits) -> None:
    net = nets()[name]
    twin = copy.deepcopy(net)
    training(net, digits).step()
    optimizer = torch.optim.Adam(twin.parameters(), 1e-2)
    order = presentations(40, 4, stream(0, 1, 0))
    frames = list(film(digits.images, order, QUICK, stream(0, 1, 1)))
    state = None
    for first in range(0, 10, 2):
        x = torch.cat(frames[first : first + 2]).flatten(2)
        labels = digits.labels[order[first : first + 2].repeat_interleave(4, dim=0)]
        scores, state = twin(x, state)
        loss = F.cross_entropy(scores.flatten(0, 1), labels.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(net.state_dict(), twin.state_dict())


def test_any_stop_and_restart_gives_the_same_bits(digits: Digits) -> None:
    whole = training(nets()["gru"], digits)
    rows = run_phase(whole)
    net, state, found = nets()["gru"], None, []
    for position in range(3):
        phase = training(copy.deepcopy(net), digits)
        phase.position = position
        if state is not None:
            phase.load_state_dict({key: value.clone() for key, value in state.items()})
        found += phase.step()
        net, state = phase.net, phase.state_dict()
    assert found == rows
    for key, value in whole.net.state_dict().items():
        assert torch.equal(value, net.state_dict()[key])


def test_the_best_epoch_counts_and_patience_ends(digits: Digits) -> None:
    """A learning rate that only spoils: the first epoch is the best."""
    phase = training(nets()["mlp"], digits, epochs=9, learning_rate=1e-2)
    phase.step()
    best = copy.deepcopy(phase.net.state_dict())
    phase.best_accuracy = torch.tensor(2.0)
    assert len(run_phase(phase)) == 2
    torch.testing.assert_close(phase.net.state_dict(), best)


def test_recognition_is_scored_frame_by_frame(digits: Digits) -> None:
    """A network that always says 2 is right where a 2 is shown; its state goes on."""
    calls = []

    def two(x: Tensor, state: int | None) -> tuple[Tensor, int]:
        calls.append(state)
        scores = torch.zeros(*x.shape[:2], 4)
        scores[..., 2] = 1
        return scores, (state or 0) + 1

    right = recognize(two, digits, QUICK, streams=4, path=(5,))
    labels = torch.stack([labels for _, labels in shown(digits, QUICK, streams=4, path=(5,))])
    assert torch.equal(right, (labels == 2).unsqueeze(1).expand(-1, 4, -1))
    assert calls == [None, *range(1, 10)]
    assert torch.equal(labels.flatten().bincount(), torch.full((4,), 10))


def test_average_forgets_exponentially() -> None:
    logits = torch.randn(6, 2, 3, generator=stream(0)).double()
    classify = smoothed(lambda x, state: (x, state), tau=2.0)
    first, state = classify(logits[:4], None)
    second, _ = classify(logits[4:], state)
    found = torch.cat([first, second])
    mean = logits[0].softmax(1)
    for t in range(1, 6):
        mean = math.exp(-0.5) * mean + (1 - math.exp(-0.5)) * logits[t].softmax(1)
        torch.testing.assert_close(found[t], mean)


def test_nearest_digits_vote() -> None:
    images, labels = torch.rand(30, 4, 4, generator=stream(1)), torch.arange(30) % 3
    x = torch.rand(5, 2, 16, generator=stream(2))
    scores, _ = nearest(Digits(images, labels), 3, neighbors=7)(x, None)
    for t in range(5):
        for s in range(2):
            angles = F.cosine_similarity(images.flatten(1), x[t, s], dim=1)
            votes = labels[angles.argsort(descending=True)[:7]].bincount(minlength=3)
            assert torch.equal(scores[t, s], votes.float())


@pytest.mark.parametrize("name", sorted(TRANSFORMS))
def test_shown_digits_are_those_of_the_path(name: str, digits: Digits) -> None:
    first, again, other = (
        torch.stack([x for x, _ in shown(digits, TRANSFORMS[name], streams=20, path=path)])
        for path in ((1,), (1,), (2,))
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == (2, 32, 20, 64)
