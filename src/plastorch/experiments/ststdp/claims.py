"""Metrics and claims of a ststdp-digits run from its log."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from plastorch.engine.run import Claim, Record
from plastorch.experiments.stpn.recurrent import field

FRAME_NETS = ("mlp", "cnn")
RECURRENT_NETS = ("rnn", "gru", "lstm", "stpn")


def selected(records: Sequence[Record], transform: str, model: str) -> Record:
    """Returns the record of the setting that was best on validation streams; the first of equals.

    Example:
        >>> rows = [{"transform": "scale", "model": "static", "kappa": k,
        ...          "validation_accuracy": a} for k, a in ((20.0, 0.5), (40.0, 0.6))]
        >>> selected(rows, "scale", "static")["kappa"]
        40.0
    """
    rows = [
        row
        for row in records
        if (row.get("transform"), row.get("model")) == (transform, model)
        and "validation_accuracy" in row
    ]
    return max(rows, key=lambda row: float(row["validation_accuracy"]))


def metrics(records: Sequence[Record]) -> dict[str, float]:
    """Returns the figures of a run by name.

    Args:
        records: lines of ``metrics.jsonl``.

    Example:
        >>> metrics([{"phase": "tests-scale", "transform": "scale", "model": "static",
        ...           "accuracy": 0.5, "middle": 0.4, "recovery": 3.0, "at_0": 0.5}])
        {'scale_static_accuracy': 0.5, 'scale_static_middle': 0.4, 'scale_static_recovery': 3.0}
    """
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


def claims(
    found: dict[str, float], transforms: Sequence[str], models: Sequence[str], asserted: bool
) -> list[Claim]:
    """Returns the paper's claims, and consequences of its theory, as rows.

    Args:
        found: figures from :func:`metrics`.
        transforms: transforms of the run.
        models: models of the run.
        asserted: False if the run is no evidence: a smoke run, reduced data or other settings.
    """
    rows = _Rows(asserted)
    _theory_claims(rows, found)
    for transform in transforms:
        _comparisons(rows, found, transform, models)
    if "occlusion" in transforms:
        _occlusion(rows, found)
        _controls(rows, found)
    return rows.claims


class _Rows:
    """Claims made so far."""

    def __init__(self, asserted: bool) -> None:
        self.asserted = asserted
        self.claims: list[Claim] = []

    def add(
        self,
        name: str,
        statement: str,
        measured: float,
        target: float,
        above: bool = True,
        origin: Literal["paper", "ours"] = "ours",
    ) -> None:
        """Adds a claim that holds if the figure is above (or below) the target."""
        holds = measured > target if above else measured < target
        self.claims.append(
            Claim(name, statement, target, measured, holds if self.asserted else None, origin)
        )


def _theory_claims(rows: _Rows, found: dict[str, float]) -> None:
    rows.add(
        "exact",
        "objects that are named once seen, in steady state: the posterior of a further one is "
        "Bayes' (largest difference)",
        found["theory_named_difference"],
        1e-6,
        above=False,
        origin="paper",
    )
    rows.add(
        "nearer-exact",
        "objects that are never named: the posterior is nearer to Bayes' than without short-term "
        "plasticity (mean total variation)",
        found["theory_unnamed_short_term_gap"],
        found["theory_unnamed_static_gap"],
        above=False,
        origin="paper",
    )
    rows.add(
        "kalman",
        "a single object: the error of the prediction is the Kalman filter's, to 1 %",
        abs(found["theory_one_object_error"] / found["theory_one_object_kalman_error"] - 1),
        0.01,
        above=False,
    )
    rows.add(
        "gain",
        "a single object: the best gain is the predicted one (ratio, up or down, below 1.5)",
        _ratio(found["theory_one_object_best_gain"]),
        1.5,
        above=False,
    )
    errors = {
        float(name.rsplit("_", 1)[1]): value
        for name, value in found.items()
        if name.startswith("theory_mismatch_")
    }
    rows.add(
        "time-constant",
        "the best time constant of short-term weights is the environment's (ratio, up or down, to "
        "a factor of 2)",
        _ratio(min(errors, key=lambda ratio: errors[ratio])),
        2.01,
        above=False,
        origin="paper",
    )
    for name in [name for name in found if name.endswith("_short_term") and "theory_tau" in name]:
        tau = name.removeprefix("theory_tau").removesuffix("_short_term")
        rows.add(
            f"objects-{tau}",
            f"objects that change with a time constant of {tau} steps: 5 points above static "
            "weights",
            found[name] - found[f"theory_tau{tau}_static"],
            0.05,
            origin="paper",
        )


def _ratio(value: float) -> float:
    return max(value, 1 / value)


def _comparisons(
    rows: _Rows, found: dict[str, float], transform: str, models: Sequence[str]
) -> None:
    """Compares the circuit with networks that learned from labels, of still digits or streams."""

    def of(model: str) -> float:
        return found[f"{field(transform, model.replace('-', '_'))}_accuracy"]

    groups = (
        ("frame-nets", "networks that see one frame", [m for m in FRAME_NETS if m in models]),
        ("recurrent-nets", "recurrent networks", [m for m in RECURRENT_NETS if m in models]),
        (
            "smoothed",
            "moving averages of what a network sees in one frame",
            [f"smoothed-{m}" for m in FRAME_NETS if m in models],
        ),
    )
    for name, words, rivals in groups:
        if rivals:
            best = max(rivals, key=of)
            rows.add(
                f"{transform}-above-{name}",
                f"{transform}: better than {words}, trained by backpropagation on transforming "
                f"digits; the best is {best}",
                of("short-term"),
                of(best),
                origin="ours" if name == "smoothed" else "paper",
            )
    unaware = [f"static-{m}" for m in FRAME_NETS if m in models]
    if unaware:
        best = max(unaware, key=of)
        rows.add(
            f"{transform}-above-unaware-nets",
            f"{transform}: better than networks that see one frame, trained by backpropagation on "
            f"the still digits that it learned from; the best is {best}",
            of("short-term"),
            of(best),
        )
    rows.add(
        f"{transform}-above-static",
        f"{transform}: better than without short-term plasticity",
        of("short-term"),
        of("static"),
        origin="paper",
    )


def _occlusion(rows: _Rows, found: dict[str, float]) -> None:
    def of(model: str, kind: str = "accuracy") -> float:
        return found[f"occlusion_{model}_{kind}"]

    gain = of("short_term") - of("static")
    rows.add("occlusion-gain", "occlusion: 20 points above static weights", gain, 0.2)
    middle = of("short_term", "middle") - of("static", "middle")
    rows.add(
        "occlusion-gain-middle",
        "occlusion, middle frames: 40 points above static weights",
        middle,
        0.4,
    )
    rows.add(
        "occluded-as-rest",
        "under occlusion, middle frames, digits are recognized as well as at rest, less 3 points",
        of("short_term", "middle"),
        found["static_static_accuracy"] - 0.03,
    )
    for model, words in (
        ("neuron_trace", "a trace of neurons instead of synapses"),
        ("presynaptic", "facilitation of inputs, whoever wins"),
    ):
        rows.add(
            model.replace("_", "-"),
            f"occlusion: most of the gain is lost with {words} (share that is left)",
            (of(model) - of("static")) / gain if gain else float("inf"),
            0.5,
            above=False,
        )
    rows.add(
        "spiking",
        "occlusion, spike by spike: 20 points above static weights",
        of("spiking") - of("spiking_static"),
        0.2,
    )


def _controls(rows: _Rows, found: dict[str, float]) -> None:
    for control, words in (
        ("new_digits", "a new digit in each frame"),
        ("static", "digits that stay as they are"),
    ):
        rows.add(
            f"at-rest-{control.replace('_', '-')}",
            f"{words}: at most a point below static weights",
            found[f"{control}_short_term_accuracy"],
            found[f"{control}_static_accuracy"] - 0.01,
        )
    rows.add(
        "abrupt",
        "a bar that is there at once: no better than static weights, for the gain needs continuity",
        found["abrupt_short_term_accuracy"],
        found["abrupt_static_accuracy"],
        above=False,
    )
