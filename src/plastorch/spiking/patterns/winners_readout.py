"""Readout of the classes for which the neurons of a layer stand, from some labels.

A neuron gets the class of most of the labeled patterns that it won. The order in which the first
neurons fire says more than the winner alone: which other groups are near the pattern. Classes are
counted for the winner, for the first two neurons, and so on. Each count is smoothed by the one
before, so that rarely seen orders have little weight.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_positive


def label_neurons(winner: Tensor, labels: Tensor, neurons: int, classes: int) -> Tensor:
    """Returns the class of each neuron [K]: that of most of the labeled patterns [B] that it won.

    Neurons that won none get that of most patterns; ties go to the lowest class.
    """
    _check(winner[:, None], labels, neurons, classes)
    counts = _count(winner, labels, neurons, classes)
    most = torch.bincount(labels, minlength=classes).argmax()
    return torch.where(counts.any(1), counts.argmax(1), most)


class OrderReadout(NamedTuple):
    """Class probabilities given the order in which neurons fire."""

    neurons: int
    prior: Tensor
    """Class probabilities if nothing fires [C]."""
    orders: tuple[Tensor, ...]
    """Indices of the orders of 1, 2, … neurons that were seen, sorted, int64 [U]."""
    probabilities: tuple[Tensor, ...]
    """Class probabilities after each of these orders [U, C]."""


def learn_orders(
    order: Tensor, labels: Tensor, neurons: int, classes: int, smoothing: float = 2.0
) -> OrderReadout:
    """Learns class probabilities from labels [B] and neurons in their order of firing [B, S].

    After an order o of s neurons, seen n times, n_c of them with class c, and with smoothing a,

    P(c | o) = (n_c + a P(c | first s - 1 of o)) / (n + a).
    """
    _check(order, labels, neurons, classes)
    check_positive(smoothing=smoothing)
    prior = torch.bincount(labels, minlength=classes).double() / len(labels)
    before, numbers = prior.expand(len(order), classes), torch.zeros_like(order[:, 0])
    orders, probabilities = [], []
    for column in order.T:
        numbers = numbers * neurons + column
        seen, place = numbers.unique(return_inverse=True)
        parent = prior.new_empty(len(seen), classes)
        parent[place] = before
        counts = _count(place, labels, len(seen), classes).double() + smoothing * parent
        table = counts / counts.sum(1, keepdim=True)
        before = table[place]
        orders.append(seen)
        probabilities.append(table.float())
    return OrderReadout(neurons, prior.float(), tuple(orders), tuple(probabilities))


def class_probabilities(order: Tensor, readout: OrderReadout) -> Tensor:
    """Returns class probabilities [B, C] by the longest known beginning of each order [B, S]."""
    found = readout.prior.expand(len(order), len(readout.prior))
    numbers = torch.zeros_like(order[:, 0])
    for column, seen, table in zip(order.T, readout.orders, readout.probabilities, strict=False):
        numbers = numbers * readout.neurons + column
        place = torch.searchsorted(seen, numbers).clamp(max=len(seen) - 1)
        known = seen[place] == numbers
        found = torch.where(known[:, None], table[place], found)
    return found


def _count(group: Tensor, labels: Tensor, groups: int, classes: int) -> Tensor:
    """Counts how often each class is in each group [groups, C]."""
    counts = torch.bincount(group * classes + labels, minlength=groups * classes)
    return counts.view(groups, classes)


def _check(order: Tensor, labels: Tensor, neurons: int, classes: int) -> None:
    if len(labels) == 0 or len(order) != len(labels):
        raise InputError(
            f"labels are {len(labels)} and patterns {len(order)}; expected one label each"
        )
    spikes = order.shape[1]
    if neurons**spikes >= 2**63:
        raise InputError(
            f"neurons are {neurons}; expected fewer, for whose orders of {spikes} 64 bits suffice"
        )
    for name, values, count in (("labels", labels, classes), ("order", order, neurons)):
        low, high = int(values.min()), int(values.max())
        if not 0 <= low <= high < count:
            raise InputError(f"{name} go from {low} to {high}; expected 0 to {count - 1}")
