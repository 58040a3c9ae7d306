"""Models that a run compares: their initial weights, and the names of their figures."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from torch import nn

from plastorch.engine import streams
from plastorch.engine.streams import stream


def networks(
    models: Iterable[str],
    known: Iterable[str],
    path: tuple[int, ...],
    make: Callable[[str], nn.Module],
) -> nn.ModuleDict:
    """Returns a run's models; a model's initial weights don't depend on which others there are.

    Their stream is ``path`` and the model's place among all ``known`` names.
    """
    places = {name: place for place, name in enumerate(known) if name in models}
    nets = {name: seeded(partial(make, name), *path, place) for name, place in places.items()}
    return nn.ModuleDict(nets)


def seeded(make: Callable[[], Any], *path: int) -> Any:
    """Returns what a function makes with torch's global generator at the start of a stream."""
    with streams.seeded(stream(*path).initial_seed()):
        return make()


def compare(
    nets: nn.ModuleDict, measure: Callable[[str, Any], Mapping[str, float]]
) -> dict[str, float]:
    """Returns the metrics of all models; ``measure`` trains one and returns its figures by kind."""
    found = {name: measure(name, net) for name, net in nets.items()}
    return {field(name, kind): v for name, of in found.items() for kind, v in of.items()}


def field(name: str, kind: str) -> str:
    """Returns the name of a model's figure among the metrics."""
    return f"{name.replace('-', '_')}_{kind}"


def extreme(
    metrics: Mapping[str, float], models: Iterable[str], kind: str, pick: Callable[..., str] = max
) -> tuple[str, float]:
    """Returns the model whose figure is the largest, or the smallest by ``min``, and the figure."""
    name = pick(models, key=lambda name: metrics[field(name, kind)])
    return name, metrics[field(name, kind)]
