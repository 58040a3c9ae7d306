"""Training on whitened patches, against whitening by numpy."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream
from plastorch.experiments.softhebb.bench import natural_like
from plastorch.hebbian import SoftHebbNet, WhitenedTraining, preset, whitened_training
from plastorch.hebbian.networks import blocks_of
from plastorch.hebbian.presets import Rule
from plastorch.hebbian.sampling import input_patches
from plastorch.hebbian.streams import Stream
from plastorch.learning.phases import run_phase

IMAGES = natural_like(100, 16)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whitened_training, "PATCHES", 3000)


def network(first: int = 0) -> SoftHebbNet:
    spec = preset("cifar10", depth=2, width="quarter")
    return SoftHebbNet(spec, 3, 16, 10, generator=torch.Generator().manual_seed(first))


def trained(rule: Rule, seed: int = 0, images: Tensor = IMAGES) -> SoftHebbNet:
    net = network()
    run_phase(WhitenedTraining(net, images, rule=rule, seed=seed))
    return net


def weight_of(net: SoftHebbNet) -> Tensor:
    return blocks_of(net)[1].conv.weight.detach().flatten(1)


def seen_by_numpy() -> tuple[np.ndarray, np.ndarray]:
    """Returns whitened patches of length 1, and the matrix that whitens."""
    random = stream(0, Stream.WHITENED, 0)
    seen = torch.randperm(len(IMAGES), generator=random)
    patches = input_patches(network(), 1, IMAGES[seen], 3000, random).flatten(1).double().numpy()
    values, vectors = np.linalg.eigh(np.cov(patches.T))
    matrix = vectors / np.sqrt(values + 5 * values.mean()) @ vectors.T
    white = (patches - patches.mean(axis=0)) @ matrix
    return white / np.linalg.norm(white, axis=1, keepdims=True), matrix


def test_a_sampled_neuron_responds_to_the_whitened_patch_that_it_was_set_to() -> None:
    white, matrix = seen_by_numpy()
    neurons = weight_of(trained("sampled")).double().numpy() @ np.linalg.inv(matrix)
    np.testing.assert_allclose((neurons @ white.T).max(axis=1), 1, atol=1e-4)


def test_learned_neurons_are_nearer_to_what_they_see_than_sampled_or_random_ones() -> None:
    white, matrix = seen_by_numpy()
    nearest = []
    for rule in ("soft", "sampled", "random"):
        neurons = weight_of(trained(rule)).double().numpy() @ np.linalg.inv(matrix)
        cosines = neurons @ white.T / np.linalg.norm(neurons, axis=1, keepdims=True)
        nearest.append(np.partition(cosines.max(axis=0), 100)[100:].mean())
    assert nearest == sorted(nearest, reverse=True)


def test_only_blocks_from_the_first_on_change() -> None:
    before, after = (blocks_of(net)[0] for net in (network(), trained("soft")))
    for name, value in before.state_dict().items():
        assert torch.equal(value, after.state_dict()[name])


def test_a_seed_decides_and_first_weights_of_the_block_do_not() -> None:
    other = network(first=1)
    other.blocks[0].load_state_dict(network().blocks[0].state_dict())
    run_phase(WhitenedTraining(other, IMAGES))
    assert torch.equal(weight_of(other), weight_of(trained("soft")))
    assert not torch.equal(weight_of(other), weight_of(trained("soft", seed=1)))


def test_images_of_floats_are_those_of_whole_numbers() -> None:
    floats = trained("soft", images=IMAGES.float() / 255)
    assert torch.equal(weight_of(floats), weight_of(trained("soft")))


def test_a_record_tells_how_long_weights_are() -> None:
    (record,) = run_phase(WhitenedTraining(network(), IMAGES))
    assert record["layer"] == 1
    assert abs(record["radius_mean"] - 1) < 0.1


def test_bad_input() -> None:
    with pytest.raises(InputError, match="images"):
        WhitenedTraining(network(), IMAGES[:0])
    with pytest.raises(InputError, match=re.escape("regularization is 0; expected more than 0")):
        WhitenedTraining(network(), IMAGES, regularization=0)
    with pytest.raises(InputError, match=re.escape("first is 2; expected 0 to 1")):
        WhitenedTraining(network(), IMAGES, first=2)
    with pytest.raises(InputError, match="rule"):
        WhitenedTraining(network(), IMAGES, rule="best")  # type: ignore[arg-type]
    first, second = preset("cifar10", depth=2, width="quarter").blocks
    grouped = replace(
        preset("cifar10", depth=2, width="quarter"),
        blocks=(first, replace(second, groups=2, pre_triangle=False)),
    )
    with pytest.raises(InputError, match=re.escape("groups of block 2 is 2; expected 1")):
        WhitenedTraining(SoftHebbNet(grouped, 3, 16, 10), IMAGES)


def test_constant_images_are_refused() -> None:
    with pytest.raises(InputError, match="patches are all the same"):
        trained("soft", images=torch.zeros(20, 3, 16, 16, dtype=torch.uint8))
