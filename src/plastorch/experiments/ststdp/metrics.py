"""Metrics and curves of a ststdp-digits run from its log."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from plastorch.engine.run import Record
from plastorch.experiments.models import field


def selected(records: Sequence[Record], transform: str, model: str) -> Record:
    """Returns the record of the setting that is best on validation streams, the first of equals."""
    rows = [
        row
        for row in records
        if (row.get("transform"), row.get("model")) == (transform, model)
        and "validation_accuracy" in row
    ]
    return max(rows, key=lambda row: float(row["validation_accuracy"]))


def metrics(records: Sequence[Record]) -> dict[str, float]:
    """Returns the figures of a run's records by name."""
    found: dict[str, float] = {}
    chosen: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for row in records:
        if "world" in row:
            found |= _theory(row)
        elif "accuracy" in row:
            name = field(str(row["transform"]), str(row["model"]).replace("-", "_"))
            numbers = {k: v for k, v in row.items() if isinstance(v, float) and k[:3] != "at_"}
            found |= {f"{name}_{kind}": value for kind, value in numbers.items()}
        elif "validation_accuracy" in row and "transform" in row:
            chosen[str(row["transform"]), str(row["model"])].append(row)
        elif "epoch" in row and "frames" in row:
            name = field(str(row["phase"]), "frames")
            found[name] = found.get(name, 0.0) + float(row["frames"])
    for (transform, model), rows in chosen.items():
        best = selected(rows, transform, model)
        name = field(transform, model.replace("-", "_"))
        found |= {f"{name}_{kind}": float(best[kind]) for kind in ("kappa", "gamma", "tau")}
    return found


def curves(records: Sequence[Record]) -> dict[str, Tensor]:
    """Returns accuracy of each frame since a digit's onset, by transform and model."""
    return {
        f"curve_{row['transform']}_{row['model']}": torch.tensor(
            [float(value) for name, value in row.items() if name.startswith("at_")]
        )
        for row in records
        if "at_0" in row
    }


def _theory(row: Record) -> dict[str, float]:
    world = str(row["world"]).replace(" ", "_")
    numbers = {k: float(v) for k, v in row.items() if isinstance(v, int | float) and k != "step"}
    if world == "objects":
        tau = numbers.pop("tau")
        return {f"theory_tau{tau:g}_{kind}": value for kind, value in numbers.items()}
    if world == "mismatch":
        return {f"theory_mismatch_{numbers['ratio']:g}": numbers["error"]}
    return {f"theory_{world}_{kind}": value for kind, value in numbers.items()}
