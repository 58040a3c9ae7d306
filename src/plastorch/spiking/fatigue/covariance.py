"""Clusters of correlated processes, whatever their rates, from the whole covariance matrix:
the computation that fatiguing STDP replaces.

Covariances of spike counts are divided by the product of their means, so that rates cancel.
Processes connected by significant covariances form clusters. After the claims of the patents US
11,238,333 and US 11,308,387 (Moraitis et al.).
"""

import numpy as np
import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_positive
from plastorch.spiking.events import Events, check_events, step_of
from plastorch.spiking.neurons import Random


def spike_counts(events: Events, inputs: int, width: float, duration: float) -> Tensor:
    """Counts the spikes of one network's inputs in each time bin.

    Args:
        events: spikes of one network.
        inputs: number of inputs N.
        width: width of a bin, seconds.
        duration: time covered, seconds; later spikes and an incomplete last bin are left out.

    Returns:
        Counts, float64 [bins, N].

    Raises:
        InputError: if events are of more than one network or invalid, or the width or duration is
            not positive.

    Example:
        >>> from plastorch.spiking.events import from_raster
        >>> spike_counts(from_raster(torch.ones(4, 1, 1), 0.5), 1, width=1.0, duration=2.0)
        tensor([[2.],
                [2.]], dtype=torch.float64)
    """
    check_positive(width=width, duration=duration)
    check_events(events, inputs)
    if events.networks != 1:
        raise InputError(f"events are of {events.networks} networks; expected 1")
    bins = int(duration / width + 1e-6)
    place = step_of(events.times, width)
    inside = place < bins
    flat = place[inside] * inputs + events.source[inside]
    return torch.bincount(flat, minlength=bins * inputs).view(bins, inputs).double()


def normalized_covariance(counts: Tensor) -> Tensor:
    """Returns the covariance of counts over the product of their means; the diagonal is 0.

    Args:
        counts: spike counts [bins, N].

    Returns:
        Normalized covariance [N, N]; 0 for processes without spikes.

    Example:
        >>> normalized_covariance(torch.tensor([[1.0, 2.0], [0.0, 0.0]]))
        tensor([[0., 1.],
                [1., 0.]])
    """
    mean = counts.mean(dim=0)
    centered = counts - mean
    product = torch.outer(mean, mean)
    covariance = centered.T @ centered / len(counts)
    normalized = torch.where(product > 0, covariance / product, 0.0)
    return normalized.fill_diagonal_(0)


def chance_level(counts: Tensor, generator: Random = None, quantile: float = 0.99) -> float:
    """Estimates the normalized covariance below which pairs of independent processes stay.

    Each process is shifted in time by a random amount of its own, cyclically.

    Args:
        counts: spike counts [bins, N].
        generator: random generator for the shifts.
        quantile: share of the pairs that stay below.

    Example:
        >>> counts = torch.rand(1000, 5, generator=torch.Generator().manual_seed(0)).round()
        >>> 0 < chance_level(counts, torch.Generator().manual_seed(0)) < 0.2
        True
    """
    bins, processes = counts.shape
    shift = torch.randint(bins, (processes,), generator=generator)
    rows = (torch.arange(bins)[:, None] + shift) % bins
    shifted = normalized_covariance(counts.gather(0, rows))
    pairs = shifted[tuple(torch.triu_indices(processes, processes, 1))]
    return float(np.quantile(pairs.numpy(), quantile))


def connected(linked: Tensor) -> Tensor:
    """Finds clusters of processes linked directly or through others; the largest is 0.

    Args:
        linked: symmetric matrix of links, bool [N, N].

    Returns:
        Index of each process's cluster, int64 [N].

    Example:
        >>> connected(torch.tensor([[0, 0, 0], [0, 0, 1], [0, 1, 0]]).bool())
        tensor([1, 0, 0])
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    _, label = connected_components(csr_array(linked.numpy()), directed=False)
    found = torch.from_numpy(label).long()
    order = torch.bincount(found).argsort(descending=True, stable=True)
    return order.argsort()[found]
