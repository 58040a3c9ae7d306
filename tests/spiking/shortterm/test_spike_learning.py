"""Learning static digits by spikes: what spikes teach, that it works, and goes on after stops."""

import copy

import pytest
import torch
from torch import Tensor

from plastorch.data import load_images
from plastorch.data.tasks.streams import Transforms, film
from plastorch.engine.device import generator
from plastorch.engine.errors import InputError
from plastorch.spiking.shortterm.events import Timing, encode, learn
from plastorch.spiking.shortterm.learning import SpikeLearning
from plastorch.spiking.shortterm.longterm import LongTerm, initial_state
from plastorch.spiking.shortterm.rule import ShortTerm, ShortTermWTA, name_neurons

LEARNING, TIMING = LongTerm(rate=0.1, homeostasis=0.2), Timing()


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    images = load_images("mnist")
    return images.train_images[:600, 0].float() / 255, images.train_labels[:600]


def phase(images: Tensor, neurons: int = 20, passes: int = 2, together: int = 50) -> SpikeLearning:
    net = ShortTermWTA(images[0].numel(), neurons)
    return SpikeLearning(net, images, LEARNING, TIMING, passes, (3,), together=together)


def test_training_is_what_spikes_of_the_pictures_teach(digits: tuple[Tensor, Tensor]) -> None:
    training = phase(digits[0][:60], passes=1)
    records = [training.step() for _ in range(2)]
    learned, trace = initial_state(1, 20, 784, generator(3, 0)), torch.zeros(1, 784)
    order = torch.randperm(60, generator=generator(3, 1, 0))
    for number, rows in enumerate((order[:50], order[50:])):
        random = generator(3, 2, number)
        frames = film(digits[0][:60], rows.unsqueeze(1), Transforms(frames=1), random)
        course = encode(torch.cat(list(frames)).flatten(2), TIMING, random)
        _, trace, learned = learn(course, trace, learned, LEARNING, TIMING)
    assert torch.equal(training.net.weight, learned.weight[0])
    assert not training.net.bias.any()
    assert records[0] == [] and records[1][0]["spikes"] == float(learned.spikes.sum())
    assert training.position == training.total == 2


def test_any_stop_and_restart_gives_the_same_bits(digits: tuple[Tensor, Tensor]) -> None:
    whole = phase(digits[0][:120])
    rows = [record for _ in range(whole.total) for record in whole.step()]
    net, state, found = phase(digits[0][:120]).net, None, []
    for position in range(whole.total):
        training = phase(digits[0][:120])
        training.net, training.position = copy.deepcopy(net), position
        if state is not None:
            training.load_state_dict({name: part.clone() for name, part in state.items()})
        found += training.step()
        net, state = training.net, training.state_dict()
    assert torch.equal(net.weight, whole.net.weight) and found == rows


def test_digits_are_told_apart_without_labels(digits: tuple[Tensor, Tensor]) -> None:
    """Named by 400 digits that it learned from, tested on 200 others."""
    images, labels = digits
    training = phase(images[:400], neurons=60, passes=6, together=400)
    while training.position < training.total:
        records = training.step()
    assert float(records[0]["neurons_in_use"]) > 50
    net = training.net
    net.constants = ShortTerm(site="none")
    posteriors, _ = net(images.flatten(1).unsqueeze(1))
    names = name_neurons(posteriors[:400, 0], labels[:400], 10)
    winners = posteriors[400:, 0].argmax(1)
    assert float((names[winners] == labels[400:]).float().mean()) > 0.6


def test_bad_settings(digits: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(InputError, match="passes is 0"):
        phase(digits[0], passes=0)
    with pytest.raises(InputError, match="images have shape"):
        SpikeLearning(ShortTermWTA(64, 5), digits[0], LEARNING, TIMING, 1, (0,))


def test_a_state_of_another_circuit_is_refused(digits: tuple[Tensor, Tensor]) -> None:
    training, other = phase(digits[0][:60]), phase(digits[0][:60], neurons=1)
    with pytest.raises(InputError, match=r"weight is \[1, 1, 784\]; expected \[1, 20, 784\]"):
        training.load_state_dict(other.state_dict())
    assert training.learned.weight.shape == (1, 20, 784)
