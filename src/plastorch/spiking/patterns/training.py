"""Training of a network on patterns of spikes by backpropagation through time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil, cos, inf, pi

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.errors import InputError, check_positive
from plastorch.spiking.patterns.network import PatternNetwork
from plastorch.spiking.patterns.rule import (
    NO_SPIKE,
    Answer,
    Response,
    by_class,
    by_member,
    decide,
)

SCALE = 16.0
"""Difference of distances that makes one class e times as probable as another."""
PULL = 2e-3
"""Weight of the distance to the right class's target in the loss."""
SPIKES = (0.05, 1.0)
"""Range of hidden spikes per neuron and pattern; fewer or more are penalized."""
PENALTY = 0.02
WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""
NOISY = 1 / 3
"""Share of the epochs, the last ones, in which weights may be noisy."""
PARTIAL = 0.75
"""Share of the presentations in which keys may be missing."""
LARGEST_WEIGHT = 4.0
"""Bound to which noisy weights are clipped, in standard deviations of a layer's weights."""
LARGEST_GRADIENT = 1.0
"""Norm to which gradients are clipped."""


def probabilities(distance: Tensor, temperature: float = 1.0) -> Tensor:
    """Returns the probabilities of classes, from the distances to their targets [B, C]; a higher
    temperature makes them more equal.

    Example:
        >>> probabilities(torch.tensor([[0.0, 16.0]]))
        tensor([[0.7311, 0.2689]])
    """
    return torch.softmax(-distance / (SCALE * temperature), dim=1)


def loss(response: Response, labels: Tensor, hidden: int) -> Tensor:
    """Returns the cross-entropy, plus terms for distance to the right target and for spike counts.

    Args:
        response: response of a network.
        labels: right classes, int64 [B]; or whether a pattern has each tag, bool [B, T], of a
            network with two outputs per tag, for yes and for no.
        hidden: number of hidden neurons.
    """
    rate = response.hidden_spikes / hidden
    excess = (SPIKES[0] - rate).clamp(min=0) + (rate - SPIKES[1]).clamp(min=0)
    if labels.dim() == 2:
        entropy = F.cross_entropy(yes_and_no(response), (~labels).long(), reduction="none")
        return entropy.sum(1).mean() + PENALTY * excess.mean()
    pull = response.distance.gather(1, labels[:, None]).mean()
    entropy = F.cross_entropy(-response.distance / SCALE, labels)
    return entropy + PULL * pull + PENALTY * excess.mean()


def yes_and_no(response: Response | Answer) -> Tensor:
    """Returns the logits of yes and of no for each tag [B, 2, T], of a network with two outputs per
    tag: those at 2t and 2t + 1.

    Example:
        >>> one = torch.ones(1)
        >>> yes_and_no(Response(torch.tensor([[16.0, 32.0, 0.0, 16.0]]), one, one, one)).tolist()
        [[[-1.0, -0.0], [-2.0, -1.0]]]
    """
    return -response.distance.reshape(len(response.distance), -1, 2).mT / SCALE


def right(response: Response, labels: Tensor) -> Tensor:
    """Returns whether the class, or each tag, of each pattern is right [B]; labels as in
    :func:`loss`."""
    if labels.dim() == 1:
        return decide(response) == labels
    yes, no = yes_and_no(response).unbind(1)
    return ((yes > no) == labels).all(1)


def train(
    network: PatternNetwork,
    bins: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    *,
    epochs: int = 15,
    learning_rate: float = 1e-2,
    batch: int = 128,
    tell: Callable[[int, float], None] | None = None,
    dropout: float = 0.0,
    weight_noise: float = 0.0,
    key_of_neuron: Tensor | None = None,
) -> None:
    """Trains with Adam; the learning rate rises, then falls to 0 as a cosine.

    For devices that store weights inexactly, weights can be noisy in the last third of the epochs:
    Joshi et al., *Accurate deep neural network inference using computational phase-change memory*,
    Nat. Commun. 11 (2020) 2473.

    Args:
        network: network, trained in place.
        bins: patterns, uint8 [B, N].
        labels: classes of the patterns, int64 [B], or their tags, bool [B, T]; see :func:`loss`.
        generator: random generator for the order, dropout, missing keys and noise.
        epochs: number of passes.
        learning_rate: highest learning rate.
        batch: number of patterns per step.
        tell: function called after each epoch with its number and its accuracy.
        dropout: share of input spikes dropped at random.
        weight_noise: standard deviation of the noise, as a share of a layer's largest weight.
        key_of_neuron: key that makes each input neuron spike, int64 [N]. If given, three of four
            presentations lack keys, chosen at random, so that the network also learns to answer
            when keys are missing.

    Raises:
        InputError: if there are no patterns, a label is not a class, a number is out of range, or
            not every input neuron has a key.

    Example:
        >>> bins = torch.stack([torch.arange(20), torch.arange(20).flip(0)]).byte()
        >>> network = PatternNetwork(20, 16, 2, generator=torch.Generator().manual_seed(0))
        >>> labels, order = torch.tensor([0, 1]).repeat(64), torch.Generator().manual_seed(0)
        >>> train(network, bins.repeat(64, 1), labels, order, epochs=60)
        >>> decide(network(bins)).tolist()
        [0, 1]
    """
    _check(dropout, weight_noise, epochs=epochs, learning_rate=learning_rate, batch=batch)
    _check_patterns(network, bins, labels, key_of_neuron)
    optimizer = torch.optim.Adam(network.parameters(), learning_rate)
    schedule = _schedule(optimizer, epochs * ceil(len(bins) / batch))
    for epoch in range(epochs):
        right, noise = 0, weight_noise if epoch >= epochs * (1 - NOISY) else 0.0
        for index in torch.split(torch.randperm(len(bins), generator=generator), batch):
            shown = _shown(bins[index], key_of_neuron, dropout, generator)
            with _noisy(network, noise, generator):
                right += update(network, optimizer, shown, labels[index])
            schedule.step()
        if tell is not None:
            tell(epoch, right / len(bins))


def _check(dropout: float, weight_noise: float, **positive: float) -> None:
    check_positive(**positive)
    if not 0 <= dropout < 1:
        raise InputError(f"dropout is {dropout}; expected 0 to less than 1")
    if not 0 <= weight_noise < inf:
        raise InputError(f"weight_noise is {weight_noise}; expected 0 or more")


def _check_patterns(
    network: PatternNetwork, bins: Tensor, labels: Tensor, key_of_neuron: Tensor | None
) -> None:
    if len(bins) == 0 or len(bins) != len(labels):
        raise InputError(f"bins are {len(bins)} and labels {len(labels)}; expected one label each")
    outputs, shape = network.out_features, tuple(labels.shape)
    if labels.dtype == torch.bool:
        if len(shape) != 2 or 2 * shape[1] != outputs:
            raise InputError(
                f"labels have shape {shape}; expected a tag per 2 of {outputs} outputs"
            )
    elif labels.dtype != torch.int64 or len(shape) != 1:
        raise InputError(
            f"labels have shape {shape} and type {labels.dtype}; expected int64 of shape "
            f"({len(bins)},), or bool"
        )
    else:
        low, high = int(labels.min()), int(labels.max())
        if not 0 <= low <= high < outputs:
            raise InputError(f"labels go from {low} to {high}; expected 0 to {outputs - 1}")
    if key_of_neuron is not None and key_of_neuron.shape != bins.shape[1:]:
        raise InputError(
            f"key_of_neuron has shape {tuple(key_of_neuron.shape)}; expected one key for each of "
            f"{bins.shape[1]} input neurons"
        )


def _shown(
    bins: Tensor, key_of_neuron: Tensor | None, dropout: float, generator: torch.Generator
) -> Tensor:
    """Returns patterns that may lack keys, and some of whose spikes are dropped."""
    if key_of_neuron is not None:
        bins = partial(bins, key_of_neuron, generator)
    if dropout > 0:
        lost = torch.rand(bins.shape, generator=generator) < dropout
        bins = bins.masked_fill(lost.to(bins.device), NO_SPIKE)
    return bins


def partial(bins: Tensor, key_of_neuron: Tensor, generator: torch.Generator) -> Tensor:
    """Returns patterns of which a quarter are whole, and the others lack a random share of their
    keys: uint8 [B, N]. Input neuron n spikes for the key ``key_of_neuron[n]``, int64 [N]."""
    share = torch.rand(len(bins), 1, generator=generator)
    share *= torch.rand(len(bins), 1, generator=generator) < PARTIAL
    lacking = torch.rand(len(bins), int(key_of_neuron.max()) + 1, generator=generator) < share
    return bins.masked_fill(lacking[:, key_of_neuron].to(bins.device), NO_SPIKE)


@contextmanager
def _noisy(network: PatternNetwork, noise: float, generator: torch.Generator) -> Iterator[None]:
    """Adds noise to the weights; then subtracts it from the updated weights and clips them."""
    if noise == 0:
        yield
        return
    weights = network.hidden_weight, network.output_weight
    added = []
    with torch.no_grad():
        for weight in weights:
            drawn = torch.randn(weight.mT.shape, generator=generator).mT.to(weight)
            added.append(noise * weight.abs().max() * drawn)
            weight.add_(added[-1])
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, of_weight in zip(weights, added, strict=True):
                weight.sub_(of_weight)
                largest = float(LARGEST_WEIGHT * weight.std())
                weight.clamp_(-largest, largest)


def update(
    network: PatternNetwork, optimizer: torch.optim.Optimizer, bins: Tensor, labels: Tensor
) -> int:
    """Runs one optimizer step on the loss of a batch of patterns.

    Args:
        network: network, trained in place.
        optimizer: optimizer of the network's parameters.
        bins: patterns, uint8 [B, N].
        labels: classes of the patterns, int64 [B], or their tags, bool [B, T]; see :func:`loss`.

    Returns:
        Number of patterns that the network classified correctly before the step.

    Example:
        >>> network = PatternNetwork(2, 4, 2, generator=torch.Generator().manual_seed(0))
        >>> optimizer = torch.optim.Adam(network.parameters())
        >>> bins = torch.zeros(5, 2, dtype=torch.uint8)
        >>> update(network, optimizer, bins, torch.zeros(5, dtype=torch.int64)) in (0, 5)
        True
    """
    answers = network.of_neurons(bins)
    response = by_class(answers, network.population)
    learned, wanted = response, labels.to(response.distance.device)
    targets = wanted
    if network.ensemble:
        learned = by_member(answers, network.population)
        targets = wanted.repeat_interleave(network.population, 0)
    optimizer.zero_grad()
    loss(learned, targets, network.hidden_size).backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(network.parameters(), LARGEST_GRADIENT)
    optimizer.step()
    return int(right(response, wanted).sum())


def _schedule(optimizer: torch.optim.Optimizer, total: int) -> torch.optim.lr_scheduler.LRScheduler:
    """Makes the learning rate rise, then fall to 0 as a cosine."""
    warm_up = max(1, round(WARM_UP * total))

    def share(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + cos(pi * (step - warm_up) / max(1, total - warm_up)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, share)


@torch.no_grad()
def answer(network: PatternNetwork, bins: Tensor, batch: int = 4096) -> Response:
    """Answers any number of patterns, in batches.

    Args:
        network: trained network.
        bins: patterns, uint8 [B, N].
        batch: number of patterns per batch.

    Example:
        >>> answer(PatternNetwork(2, 4, 3), torch.zeros(5, 2, dtype=torch.uint8)).distance.shape
        torch.Size([5, 3])
    """
    parts = [network(part) for part in torch.split(bins, batch)]
    return Response(*(torch.cat(columns) for columns in zip(*parts, strict=True)))
