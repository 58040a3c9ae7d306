"""Shared parts of experiments that train several recurrent models one after the other."""

from collections.abc import Callable, Iterable

import torch
from torch import nn

from plastorch.engine.device import generator


def networks(
    models: Iterable[str],
    known: Iterable[str],
    path: tuple[int, ...],
    make: Callable[[str], nn.Module],
) -> nn.ModuleDict:
    """Returns a run's models; a model's initial weights don't depend on which others there are.

    Args:
        models: names of the models.
        known: all names, in the order in which models learn.
        path: path of numbers that seeds initial weights.
        make: function that makes a model by name with weights from torch's global generator.

    Example:
        >>> list(networks(["b"], ["a", "b"], (0,), lambda name: nn.Linear(1, 1)))
        ['b']
    """
    nets = nn.ModuleDict()
    for place, name in enumerate(known):
        if name in models:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(generator(*path, place).initial_seed())
                nets[name] = make(name)
    return nets


def field(name: str, kind: str) -> str:
    """Returns the name of a model's figure among the metrics.

    Example:
        >>> field("fast-weights", "energy")
        'fast_weights_energy'
    """
    return f"{name.replace('-', '_')}_{kind}"
