"""Learning static digits by spikes: what spikes teach, that it works, and goes on after stops."""

import pytest
import torch
from torch import Tensor

from plastorch.data import load_images
from plastorch.data.tasks.streams import Transforms, film
from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream
from plastorch.learning.phases import run_phase
from plastorch.spiking.naming import name_neurons
from plastorch.spiking.shortterm.course import SpikeTiming, encode
from plastorch.spiking.shortterm.events import learn
from plastorch.spiking.shortterm.layer import ShortTermWTA
from plastorch.spiking.shortterm.learning import SpikeLearning
from plastorch.spiking.shortterm.longterm import LongTerm, LongTermState
from plastorch.spiking.shortterm.rule import ShortTerm

LEARNING, TIMING = LongTerm(rate=0.1, homeostasis=0.2), SpikeTiming()


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    images = load_images("mnist")
    return images.train_images[:600, 0].float() / 255, images.train_labels[:600]


def phase(images: Tensor, neurons: int = 20, passes: int = 2, together: int = 50) -> SpikeLearning:
    random, short_term = stream(3, 0), ShortTerm(site="none")
    net = ShortTermWTA(
        images[0].numel(), neurons, short_term=short_term, long_term=LEARNING, generator=random
    )
    return SpikeLearning(net, images, passes=passes, path=(3,), together=together)


def test_training_is_what_spikes_of_the_pictures_teach(digits: tuple[Tensor, Tensor]) -> None:
    training = phase(digits[0][:60], passes=1)
    learned = LongTermState(*(part[None].clone() for part in training.net.parameters()))
    trace = torch.zeros(1, 784)
    records = run_phase(training)
    order = torch.randperm(60, generator=stream(3, 1, 0))
    for number, rows in enumerate((order[:50], order[50:])):
        random = stream(3, 2, number)
        frames = film(digits[0][:60], rows.unsqueeze(1), Transforms(frames=1), random)
        course = encode(torch.cat(list(frames)).flatten(2), TIMING, random)
        _, trace, learned = learn(course, trace, learned, LEARNING, TIMING)
    for own, expected in zip(training.net.parameters(), learned, strict=True):
        torch.testing.assert_close(own.data, expected[0], rtol=0, atol=1e-6)
    assert len(records) == 1 and records[0]["spikes"] == float(learned.spikes.sum())
    assert training.position == training.total == 2


def test_features_of_pictures_teach_as_their_own_spikes(digits: tuple[Tensor, Tensor]) -> None:
    """The inputs are means of pairs of pixels."""

    def encoder(x: Tensor) -> Tensor:
        return x.unflatten(2, (392, 2)).mean(3)

    net = ShortTermWTA(392, 9, long_term=LEARNING, generator=stream(3, 0))
    learned = LongTermState(*(part[None].clone() for part in net.parameters()))
    images = digits[0][:30]
    records = run_phase(
        SpikeLearning(net, images, passes=1, path=(3,), encoder=encoder, name="features")
    )
    rows, random = torch.randperm(30, generator=stream(3, 1, 0)), stream(3, 2, 0)
    frames = film(images, rows.unsqueeze(1), Transforms(frames=1), random)
    course = encode(encoder(torch.cat(list(frames)).flatten(2)), TIMING, random)
    _, _, expected = learn(course, torch.zeros(1, 392), learned, LEARNING, TIMING)
    torch.testing.assert_close(net.weight.data, expected.weight[0], rtol=0, atol=1e-6)
    assert records[0]["phase"] == "features"


def test_any_stop_and_restart_gives_the_same_bits(digits: tuple[Tensor, Tensor]) -> None:
    whole = phase(digits[0][:120])
    rows = run_phase(whole)
    net, state, found = phase(digits[0][:120]).net, None, []
    for position in range(whole.total):
        training = phase(digits[0][:120])
        training.net.load_state_dict(net.state_dict())
        training.position = position
        if state is not None:
            training.load_state_dict({name: part.clone() for name, part in state.items()})
        found += training.step()
        net, state = training.net, training.state_dict()
    assert torch.equal(net.weight, whole.net.weight) and found == rows


def test_digits_are_told_apart_without_labels(digits: tuple[Tensor, Tensor]) -> None:
    """Named by 400 digits that it learned from, tested on 200 others."""
    images, labels = digits
    training = phase(images[:400], neurons=60, passes=6, together=400)
    records = run_phase(training)
    assert float(records[-1]["neurons_in_use"]) > 50
    posteriors, _ = training.net(images.flatten(1).unsqueeze(1))
    names = name_neurons(posteriors[:400, 0], labels[:400], 10)
    winners = posteriors[400:, 0].argmax(1)
    assert float((names[winners] == labels[400:]).float().mean()) > 0.6


def test_bad_settings(digits: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(InputError, match="passes is 0"):
        phase(digits[0], passes=0)
    with pytest.raises(InputError, match="images have shape"):
        SpikeLearning(ShortTermWTA(64, 5), digits[0], passes=1, path=(0,))


def test_a_state_of_another_circuit_is_refused(digits: tuple[Tensor, Tensor]) -> None:
    training, other = phase(digits[0][:60]), phase(digits[0][:60, :9, :9])
    with pytest.raises(InputError, match=r"trace is \[1, 81\]; expected \[1, 784\]"):
        training.load_state_dict(other.state_dict())
    assert training.state.trace.shape == (1, 784)
