"""Classes of neurons that learned without labels, assigned by labels afterward."""

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.spiking.events import Events, check_events, network_of


def count_spikes(events: Events, neurons: int) -> Tensor:
    """Counts the spikes of each neuron; the counts are answers for :func:`name_neurons`.

    Args:
        events: output spikes of B networks.
        neurons: number of neurons K.

    Returns:
        Number of spikes [B, K].

    Raises:
        InputError: if events are invalid, or are of other neurons.

    Example:
        >>> times, offsets = torch.tensor([0.1, 0.2, 0.2]).double(), torch.tensor([0, 2, 3])
        >>> count_spikes(Events(times, torch.tensor([1, 1, 0]), offsets), neurons=2)
        tensor([[0., 2.],
                [1., 0.]])
    """
    check_events(events, neurons)
    places = network_of(events) * neurons + events.source
    return places.bincount(minlength=events.networks * neurons).view(-1, neurons).float()


def name_neurons(answers: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Names each neuron after the class to which it answers most.

    Diehl, Cook, *Unsupervised learning of digit recognition using spike-timing-dependent
    plasticity*, 2015: labels are used here only, after learning.

    Args:
        answers: responses of K neurons to N inputs: posteriors, or numbers of spikes [N, K].
        labels: classes of the inputs, whole numbers [N].
        classes: number of classes.

    Returns:
        Class of each neuron, int64 [K]; -1 for one that never answers.

    Raises:
        InputError: if the labels are not one per input, from 0 to ``classes`` - 1.

    Example:
        >>> answers = torch.tensor([[5.0, 0.0], [4.0, 1.0], [0.0, 3.0]])
        >>> name_neurons(answers, torch.tensor([7, 7, 2]), classes=10)
        tensor([7, 2])
    """
    return names_by(class_votes(answers, labels, classes))


def class_votes(answers: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Sums the answers of each neuron to inputs of each class, [K, classes], for
    :func:`names_by`; those of several parts of the inputs add up."""
    if answers.dim() != 2 or labels.shape != answers.shape[:1]:
        raise InputError(
            f"labels have shape {tuple(labels.shape)} and answers {tuple(answers.shape)}; expected "
            "(N) and (N, K)"
        )
    _check_classes("labels", labels, 0, classes - 1)
    answers = _counted(answers)
    return answers.mT @ F.one_hot(labels.long(), classes).to(answers.dtype)


def names_by(votes: Tensor) -> Tensor:
    """Returns the class with most votes [K, classes] of each neuron, int64 [K]; -1 if no votes."""
    return votes.argmax(1).masked_fill(votes.sum(1) == 0, -1)


def class_scores(answers: Tensor, names: Tensor, classes: int) -> Tensor:
    """Sums the answers of each class's neurons.

    Args:
        answers: responses of K neurons: posteriors, or numbers of spikes [..., K].
        names: class of each neuron, from :func:`name_neurons` [K]; neurons with -1 don't count.
        classes: number of classes.

    Returns:
        Scores of the classes [..., classes]; the largest is the answer of the network.

    Raises:
        InputError: if a name is not from -1 to ``classes`` - 1.

    Example:
        >>> class_scores(torch.tensor([[1.0, 2.0, 2.0]]), torch.tensor([3, 0, 0]), classes=4)
        tensor([[4., 0., 0., 1.]])
    """
    _check_classes("names", names, -1, classes - 1)
    of_class = names.unsqueeze(1) == torch.arange(classes, device=names.device)
    answers = _counted(answers)
    return answers @ of_class.to(answers.dtype)


def _check_classes(name: str, numbers: Tensor, least: int, most: int) -> None:
    """Raises InputError unless classes are whole numbers and, on a CPU, in a range."""
    if numbers.is_floating_point():
        raise InputError(f"{name} are {numbers.dtype}; expected whole numbers")
    if numbers.is_cpu and len(numbers):
        low, high = (int(end) for end in numbers.aminmax())
        if low < least or high > most:
            raise InputError(f"{name} go from {low} to {high}; expected {least} to {most}")


def _counted(answers: Tensor) -> Tensor:
    """Returns answers as numbers: whether a neuron spiked counts as 0 or 1."""
    return answers.float() if answers.dtype == torch.bool else answers
