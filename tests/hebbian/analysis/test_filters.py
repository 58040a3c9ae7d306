"""Which neurons are shown, and in which order."""

import numpy as np
import pytest
import torch

from plastorch.engine.errors import InputError
from plastorch.hebbian import SoftHebbNet, preset
from plastorch.hebbian.analysis.filters import first_layer_filters, select_neurons, structure
from plastorch.hebbian.networks import blocks_of


@pytest.fixture(scope="module")
def net() -> SoftHebbNet:
    return SoftHebbNet(preset("cifar10", 2), 3, 32, 10, generator=torch.Generator().manual_seed(0))


def patterns(kernels: torch.Tensor) -> list[float]:
    """1 - C: squared differences of neighbors against those of all pixels, number by number."""
    found = []
    for kernel in kernels.double().numpy():
        channels, height, width = kernel.shape
        steps = []
        for c in range(channels):
            for i in range(height):
                for j in range(width):
                    if i + 1 < height:
                        steps.append((kernel[c, i + 1, j] - kernel[c, i, j]) ** 2)
                    if j + 1 < width:
                        steps.append((kernel[c, i, j + 1] - kernel[c, i, j]) ** 2)
        found.append(1 - np.mean(steps) / (2 * kernel.var()))
    return found


@pytest.mark.parametrize("layer", [1, 2])
def test_chosen_neurons_are_the_most_structured(net: SoftHebbNet, layer: int) -> None:
    found = patterns(blocks_of(net)[layer - 1].conv.weight)
    order = sorted(range(len(found)), key=lambda k: -found[k])
    assert select_neurons(net, layer, 30) == order[:30]


def test_all_neurons_if_fewer_than_asked_for(net: SoftHebbNet) -> None:
    assert sorted(select_neurons(net, 1, 1000)) == list(range(96))
    assert len(first_layer_filters(net)) == 96


def test_filters_are_an_even_sample_of_the_sorted_ones(net: SoftHebbNet) -> None:
    weight = blocks_of(net)[0].conv.weight
    found = patterns(weight)
    order = sorted(range(96), key=lambda k: -found[k])
    assert torch.equal(first_layer_filters(net), weight[order])
    picks = [order[round(95 * i / 7)] for i in range(8)]
    assert torch.equal(first_layer_filters(net, 8), weight[picks])


def test_structure_is_that_of_a_loop_and_ignores_scale() -> None:
    kernels = torch.randn(5, 3, 5, 5)
    np.testing.assert_allclose(structure(kernels).numpy(), patterns(kernels), rtol=1e-5)
    torch.testing.assert_close(structure(25 * kernels), structure(kernels))


def test_edges_and_colors_come_before_noise() -> None:
    torch.manual_seed(0)
    kernels = 9 * torch.randn(6, 3, 5, 5)
    kernels[2] = torch.linspace(-0.1, 0.1, 5)  # from left to right
    kernels[4] = torch.tensor([0.1, -0.1, 0.0]).view(3, 1, 1)  # one color
    assert set(structure(kernels).argsort(descending=True)[:2].tolist()) == {2, 4}


def test_diverged_neurons_come_last() -> None:
    kernels = torch.randn(4, 3, 5, 5)
    kernels[0, 0, 0, 0], kernels[2, 1, 2, 3] = torch.nan, torch.inf
    assert sorted(structure(kernels).argsort(descending=True)[2:].tolist()) == [0, 2]


def test_bad_input_is_named(net: SoftHebbNet) -> None:
    for count in (0, -3):
        with pytest.raises(InputError, match=f"count is {count}; expected more than 0"):
            select_neurons(net, 1, count)
        with pytest.raises(InputError, match=f"count is {count}; expected more than 0"):
            first_layer_filters(net, count)
    with pytest.raises(InputError, match=r"layer is 3; expected 1\.\.2"):
        select_neurons(net, 3, 1)
