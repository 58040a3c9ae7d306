"""Which neurons are shown, and in which order."""

import numpy as np
import pytest
import torch

from plastorch.engine.errors import InputError
from plastorch.hebbian import SoftHebbNet, preset
from plastorch.hebbian.filters import first_layer_filters, select_neurons, structure
from plastorch.hebbian.networks import blocks_of


@pytest.fixture(scope="module")
def net() -> SoftHebbNet:
    return SoftHebbNet(preset("cifar10", 2), 3, 32, 10, torch.Generator().manual_seed(0))


def spreads(kernels: torch.Tensor) -> list[float]:
    """Mean over channels of the spatial deviation, one kernel after the other."""
    return [float(np.mean([channel.std() for channel in kernel])) for kernel in kernels.numpy()]


@pytest.mark.parametrize("layer", [1, 2])
def test_chosen_neurons_are_random_and_sorted(net: SoftHebbNet, layer: int) -> None:
    chosen = select_neurons(net, layer, 30, torch.Generator().manual_seed(1))
    again = select_neurons(net, layer, 30, torch.Generator().manual_seed(1))
    other = select_neurons(net, layer, 30, torch.Generator().manual_seed(2))
    assert chosen == again != other and len(set(chosen)) == 30
    found = spreads(blocks_of(net)[layer - 1].conv.weight[chosen])
    assert found == sorted(found, reverse=True)


def test_all_neurons_if_fewer_than_asked_for(net: SoftHebbNet) -> None:
    assert sorted(select_neurons(net, 1, 1000)) == list(range(96))
    assert len(first_layer_filters(net)) == 96


def test_filters_are_an_even_sample_of_the_sorted_ones(net: SoftHebbNet) -> None:
    weight = blocks_of(net)[0].conv.weight
    found = spreads(weight)
    order = sorted(range(96), key=lambda k: -found[k])
    assert torch.equal(first_layer_filters(net), weight[order])
    picks = [order[round(95 * i / 7)] for i in range(8)]
    assert torch.equal(first_layer_filters(net, 8), weight[picks])


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
