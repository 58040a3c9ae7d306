"""A network that sees pixels fire: frames made inside equal those made outside, in parts or not."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from plastorch.data.tasks.temporal import spike_steps, spikes
from plastorch.rank import RankCoder
from plastorch.rank.pictures import PictureLSTM, convolutions

STEPS = 6


def pictures(count: int = 5, side: int = 8, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, side**2), dtype=torch.uint8, generator=random)
    return spike_steps(images, STEPS)


def network(convolutional: bool, seed: int = 0) -> PictureLSTM:
    torch.manual_seed(seed)
    front, features = convolutions(8, (4, 6), 0.0) if convolutional else (None, None)
    return PictureLSTM(64, 7, front=front, features=features, lasting=convolutional)


@pytest.mark.parametrize("convolutional", [False, True])
def test_it_sees_each_step_s_frame(convolutional: bool) -> None:
    net, when = network(convolutional), pictures()
    found, state = net(when.expand(STEPS, 5, 64))
    frames = spikes(when, STEPS).float()
    frames = frames.cumsum(0) if convolutional else frames
    features = torch.stack([net.front(frame) for frame in frames])
    expected, (hidden, cell) = net.lstm(features)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(state.hidden, hidden[0])
    torch.testing.assert_close(state.cell, cell[0])
    assert state.step.tolist() == [STEPS] * 5


@settings(max_examples=15)
@given(st.integers(1, 4), st.floats(0.05, 0.6), st.booleans())
def test_stopping_early_equals_the_whole_sequence(
    chunk: int, threshold: float, convolutional: bool
) -> None:
    net = network(convolutional)
    readout = nn.Linear(7, 3)
    with torch.no_grad():
        readout.weight.mul_(20)
    coder = RankCoder(net, readout, threshold=threshold, chunk=chunk)
    x = pictures().expand(STEPS, 5, 64)
    decision = coder(x)
    whole = coder.all_steps(x)
    probability = whole.softmax(-1).amax(-1)
    for sample in range(5):
        hits = (probability[:, sample] > threshold).nonzero()[:, 0].tolist()
        step = hits[0] if hits else STEPS - 1
        assert int(decision.step[sample]) == step
        torch.testing.assert_close(decision.logits[sample], whole[step, sample])


def test_a_stream_of_the_same_picture_gives_the_same_answer() -> None:
    coder = RankCoder(network(True), nn.Linear(7, 3), threshold=0.36)
    when = pictures(count=1)
    decision, stream = coder(when.expand(STEPS, 1, 64)), coder.stream()
    for _ in range(STEPS):
        stream.feed(when)
    answer = stream.finish()
    assert (answer.step, answer.label) == (int(decision.step), int(decision.label))


def test_each_frame_is_normalized_by_itself() -> None:
    front, features = convolutions(8, (4, 6), 0.0)
    frames = torch.rand(6, 64)
    assert features == 24
    torch.testing.assert_close(front(frames)[2:3], front(frames[2:3]))


def test_dropout_is_for_training_only() -> None:
    front, _ = convolutions(8, (4,), 0.5)
    frames = torch.rand(3, 64)
    assert not torch.equal(front.train()(frames), front(frames))
    assert torch.equal(front.eval()(frames), front(frames))
