"""Which processes go together, whatever their rates: the computation that fatiguing STDP stands in
for, done with the whole matrix.

Covariances of spike counts, divided by the product of their means, so that rates cancel; processes
that are connected by significant ones form clusters. After the claims of the patents US 11,238,333
and US 11,308,387 (Moraitis et al.).
"""

import numpy as np
import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_positive
from plastorch.spiking.events import Events, check_events, step_of


def spike_counts(events: Events, inputs: int, width: float, duration: float) -> Tensor:
    """Spikes of one network's inputs in each bin of time.

    Args:
        events: of one network.
        inputs: N.
        width: of a bin, seconds.
        duration: seconds; later spikes are left out, as is an incomplete last bin.

    Returns:
        float64 [bins, N].

    Raises:
        InputError: for events of more than one network or not in order, or a width or duration
            that is not positive.

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


def normalised_covariance(counts: Tensor) -> Tensor:
    """Covariance of counts divided by the product of their means; the diagonal is 0.

    Args:
        counts: [bins, N].

    Returns:
        [N, N]; 0 for processes that have no spikes.

    Example:
        >>> normalised_covariance(torch.tensor([[1.0, 2.0], [0.0, 0.0]]))
        tensor([[0., 1.],
                [1., 0.]])
    """
    mean = counts.mean(dim=0)
    centred = counts - mean
    product = torch.outer(mean, mean)
    covariance = centred.T @ centred / len(counts)
    normalised = torch.where(product > 0, covariance / product, 0.0)
    return normalised.fill_diagonal_(0)


def chance_level(
    counts: Tensor, generator: torch.Generator | None = None, quantile: float = 0.99
) -> float:
    """Normalised covariance that pairs of independent processes of these counts stay below.

    Each process is shifted in time by an amount of its own, round the end.

    Args:
        counts: [bins, N].
        generator: of the shifts.
        quantile: of the pairs that stay below.

    Example:
        >>> counts = torch.rand(1000, 5, generator=torch.Generator().manual_seed(0)).round()
        >>> 0 < chance_level(counts, torch.Generator().manual_seed(0)) < 0.2
        True
    """
    bins, processes = counts.shape
    shift = torch.randint(bins, (processes,), generator=generator)
    rows = (torch.arange(bins)[:, None] + shift) % bins
    shifted = normalised_covariance(counts.gather(0, rows))
    pairs = shifted[tuple(torch.triu_indices(processes, processes, 1))]
    return float(np.quantile(pairs.numpy(), quantile))


def connected(linked: Tensor) -> Tensor:
    """Clusters of processes that are linked, directly or by way of others; the largest is 0.

    Args:
        linked: symmetric, bool [N, N].

    Returns:
        Number of each process's cluster, int64 [N].

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
