"""Shared parts of experiments that train several recurrent models one after the other."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

from torch import nn

from plastorch.engine.run import Record
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
