"""Convergence of learning without labels, from the log of its training."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FIELDS = ("examples", "r1_neurons", "neurons", "radius_distance", "rate_mean")


class Convergence(NamedTuple):
    """Course of one layer's learning, a value per entry of the log."""

    examples: NDArray[np.float64]
    """Number of training examples seen."""
    r1_share: NDArray[np.float64]
    """Share of neurons whose radius r is close to 1: the paper's R1 features."""
    distance: NDArray[np.float64]
    """Mean of |r - 1|."""
    rate: NDArray[np.float64]
    """Mean learning rate of the neurons, which falls with their |r - 1|."""


def convergence(rows: Iterable[Mapping[str, Any]]) -> dict[int, Convergence]:
    """Returns, per layer, the share of neurons near r = 1, mean distance from it, and mean rate.

    Journé et al. 2023 (section on the learning rate). Rows are log entries as
    ``HebbianTraining.step`` returns them; those of other phases are ignored. If a number of
    examples occurs twice, as in a resumed run, the later entry counts.
    """
    found: dict[int, dict[float, list[float]]] = {}
    for row in rows:
        if row.get("phase") == "unsupervised" and all(name in row for name in ("layer", *FIELDS)):
            values = [float(row[name]) for name in FIELDS]
            found.setdefault(int(row["layer"]), {})[values[0]] = values
    courses = {}
    for layer in sorted(found):
        ordered = np.array([found[layer][examples] for examples in sorted(found[layer])])
        examples, settled, neurons, distance, rate = ordered.T
        courses[layer] = Convergence(examples, settled / neurons, distance, rate)
    return courses
