"""Attribution of a network's answer to the spikes of its inputs.

The answer is the class with the nearest target; its margin is how much farther the next target is.
To first order, an input's share of the margin is the gradient of the margin with respect to the
input's spike, taken as a number that is 1: w_i · dM/dI(t_i), its weights times the gradient of the
hidden neurons' currents at its time. Spikes of hidden and output neurons have surrogate gradients,
as in training. Simonyan, Vedaldi, Zisserman, *Deep inside convolutional networks*, arXiv 1312.6034:
gradient times input.
"""

from collections.abc import Callable
from math import inf

import torch
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.engine.threads import in_threads
from plastorch.spiking.patterns.network import (
    WORK_PER_THREAD,
    PatternNetwork,
    arrays_of,
    as_arrays,
    compute,
)
from plastorch.spiking.patterns.rule import NetworkWeights, Response, by_class, decide

BATCH = 256
"""Number of patterns whose potentials are kept at a time."""


Margin = Callable[[Response], Tensor]


@torch.no_grad()
def attribute(network: PatternNetwork, bins: Tensor, margin: Margin | None = None) -> Tensor:
    """Returns each input's share of the margin of the answer, computed on the CPU.

    Args:
        network: network of two classes or more.
        bins: step of each input's spike, or 255 if it doesn't fire, uint8 [B, N].
        margin: function that returns the gradient [B, C] of another margin with respect to the
            distances of a response.

    Returns:
        Shares [B, N]: negative if the input favors the next class, 0 if it doesn't fire.

    Raises:
        InputError: if the network can't take the patterns, or has one class.

    Example:
        >>> network = PatternNetwork(3, 8, 2, generator=torch.Generator().manual_seed(0))
        >>> shares = attribute(network, torch.tensor([[0, 7, 255]], dtype=torch.uint8))
        >>> shares.shape, float(shares[0, 2])
        (torch.Size([1, 3]), 0.0)
    """
    network.check(bins)
    if network.out_features < 2:
        raise InputError("network has 1 class; expected two or more, to compare the two nearest")
    weights = NetworkWeights(*(weight.detach().cpu() for weight in network.weights()))
    parts = torch.split(bins.cpu(), BATCH)
    return torch.cat([_attribute(network, weights, part, margin or _of_winner) for part in parts])


def _of_winner(response: Response) -> Tensor:
    """Returns the gradient of how much farther the second nearest target is than the nearest."""
    winner = decide(response)[:, None]
    others = response._replace(distance=response.distance.scatter(1, winner, inf))
    gradient = torch.zeros_like(response.distance)
    return gradient.scatter_(1, winner, -1.0).scatter_(1, decide(others)[:, None], 1.0)


def _attribute(
    network: PatternNetwork, weights: NetworkWeights, bins: Tensor, margin: Margin
) -> Tensor:
    from plastorch.spiking.patterns import gradient_kernels, kernels

    response, kept = compute(bins, weights, network.neuron, keep=True)
    population = network.population
    of_class = margin(by_class(response, population))
    of_distance = (of_class / population).repeat_interleave(population, dim=1)
    of_inputs = weights.hidden.new_empty(bins.shape)
    arguments, memory = as_arrays(bins, weights, network.neuron), kernels.Memory(*arrays_of(kept))

    def run(begin: int, end: int) -> None:
        results = of_distance.numpy(), of_inputs.numpy()
        gradient_kernels.attribute(*arguments, begin, end, memory, *results)

    in_threads(run, len(bins), len(bins) * weights.hidden.numel() // WORK_PER_THREAD)
    return of_inputs
