"""Shared parts of experiments that train several recurrent models one after the other."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any, NamedTuple

from torch import nn

from plastorch.engine import streams
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.stp.baselines import LSTM, RNN

POINTS = 40
"""Number of points of a model's curve in the result; the log has more."""


class RecurrentModel(NamedTuple):
    """A model of a comparison."""

    hidden_size: int
    """Hidden size, as in the paper: usually, all models have about as many parameters."""
    make: Callable[..., nn.Module]
    """Function that makes the core from its sizes, with weights from torch's global generator."""
    gates: int = 1
    """Rows of weights per neuron."""


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


def curves(
    records: Iterable[Record], along: str, total: int, kinds: Sequence[str]
) -> dict[str, list[dict[str, float]]]:
    """Returns means of each model's figures over equal spans of its training.

    The place of a record is in its field ``along``, at most about ``total``. A span's place is that
    of its last record; what none of its records has is left out.
    """
    spans: dict[tuple[str, int], list[Record]] = defaultdict(list)
    for row in records:
        span = min(POINTS, -(-POINTS * int(row[along]) // total))
        spans[str(row["phase"]), span].append(row)
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for (name, _), rows in spans.items():
        of = {kind: [float(row[kind]) for row in rows if kind in row] for kind in kinds}
        means = {kind: round(fmean(values), 3) for kind, values in of.items() if values}
        found[name].append({along: int(rows[-1][along])} | means)
    return dict(found)


def trained_parameters(net: nn.Module) -> int:
    """Returns the number of parameters that are trained."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


def two_biases(core: RNN | LSTM) -> nn.Module:
    """Adds torch's second bias, as in the paper's code."""
    bound = core.hidden_size**-0.5
    bias = core.network.get_parameter("bias_hh_l0").requires_grad_()
    nn.init.uniform_(bias, -bound, bound)
    return core
