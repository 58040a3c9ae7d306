"""Claims of a ststdp-digits run from its metrics."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from plastorch.engine.run import Claim
from plastorch.experiments.claims import Origin, above, asserted, below
from plastorch.experiments.models import field

FRAME_NETS = ("mlp", "cnn")
RECURRENT_NETS = ("rnn", "gru", "lstm", "stpn")
FORMS = (("short-term", "rates", ""), ("spiking", "spike by spike", "-spiking"))
"""The circuit's forms: name in figures, words, and part of ids."""


def claims(
    found: dict[str, float],
    transforms: Sequence[str],
    models: Sequence[str],
    evidence: bool,
) -> list[Claim]:
    """Returns the paper's claims and consequences of its theory, not judged without evidence."""
    rows = [*_optimum(found), *_time_constants(found)]
    for transform in transforms:
        rows += _comparisons(found, transform, models)
    if "occlusion" in transforms:
        rows += [*_occlusion(found), *_controls(found)]
    return asserted(rows, evidence)


def _optimum(found: dict[str, float]) -> Iterator[Claim]:
    yield below(
        "exact",
        "objects that are named once seen, in steady state: the posterior of a further one is "
        "Bayes' (largest difference)",
        found["theory_named_difference"],
        1e-6,
    )
    yield below(
        "nearer-exact",
        "objects that are never named: the posterior is nearer to Bayes' than without short-term "
        "plasticity (mean total variation)",
        found["theory_unnamed_short_term_gap"],
        found["theory_unnamed_static_gap"],
        origin="paper",
    )
    yield below(
        "kalman",
        "a single object: the error of the prediction is the Kalman filter's, to 1 %",
        abs(found["theory_one_object_error"] / found["theory_one_object_kalman_error"] - 1),
        0.01,
    )
    yield below(
        "gain",
        "a single object: the best gain is the predicted one (ratio, up or down, below 1.5)",
        _ratio(found["theory_one_object_best_gain"]),
        1.5,
    )


def _time_constants(found: dict[str, float]) -> Iterator[Claim]:
    errors = {
        float(name.rsplit("_", 1)[1]): value
        for name, value in found.items()
        if name.startswith("theory_mismatch_")
    }
    yield below(
        "time-constant",
        "the best time constant of short-term weights is the environment's (ratio, up or down, to "
        "a factor of 2)",
        _ratio(min(errors, key=lambda ratio: errors[ratio])),
        2.01,
    )
    for name in [name for name in found if name.endswith("_short_term") and "theory_tau" in name]:
        tau = name.removeprefix("theory_tau").removesuffix("_short_term")
        yield above(
            f"objects-{tau}",
            f"objects that change with a time constant of {tau} steps: 5 points above static "
            "weights",
            found[name] - found[f"theory_tau{tau}_static"],
            0.05,
        )


def _ratio(value: float) -> float:
    return max(value, 1 / value)


class _Rivals(NamedTuple):
    """Networks that learned from labels, the best of which a circuit is compared with."""

    id: str
    words: str
    models: list[str]
    origin: Origin = "paper"


def _rivals(models: Sequence[str]) -> list[_Rivals]:
    """Returns networks that learned from transforming or still digits, by what they see."""
    frames = [model for model in FRAME_NETS if model in models]
    recurrent = [model for model in RECURRENT_NETS if model in models]
    moving = "trained by backpropagation on transforming digits"
    still = "trained by backpropagation on the still digits that it learned from"
    found = [
        _Rivals("frame-nets", f"networks that see one frame, {moving}", frames),
        _Rivals("recurrent-nets", f"recurrent networks, {moving}", recurrent),
        _Rivals(
            "smoothed",
            f"moving averages of what a network sees in one frame, {moving}",
            [f"smoothed-{model}" for model in frames],
            "ours",
        ),
        _Rivals(
            "unaware-nets",
            f"networks that see one frame, {still}",
            [f"static-{model}" for model in frames],
            "ours",
        ),
    ]
    return [rivals for rivals in found if rivals.models]


def _comparisons(found: dict[str, float], transform: str, models: Sequence[str]) -> Iterator[Claim]:
    """Compares the circuit, by its rates and spike by spike, with networks and with itself without
    short-term plasticity."""

    def of(model: str) -> float:
        return found[f"{field(transform, model.replace('-', '_'))}_accuracy"]

    for rivals in _rivals(models):
        best = max(rivals.models, key=of)
        for ours, form, mark in FORMS:
            yield above(
                f"{transform}{mark}-above-{rivals.id}",
                f"{transform} ({form}): better than {rivals.words}; the best is {best}",
                of(ours),
                of(best),
                origin=rivals.origin,
            )
    for ours, form, mark in FORMS:
        yield above(
            f"{transform}{mark}-above-static",
            f"{transform} ({form}): better than without short-term plasticity",
            of(ours),
            of("spiking-static" if mark else "static"),
            origin="paper",
        )


def _occlusion(found: dict[str, float]) -> Iterator[Claim]:
    def of(model: str, kind: str = "accuracy") -> float:
        return found[f"occlusion_{model}_{kind}"]

    gain = of("short_term") - of("static")
    yield above("occlusion-gain", "occlusion (rates): 20 points above static weights", gain, 0.2)
    yield above(
        "occlusion-gain-middle",
        "occlusion, middle frames (rates): 40 points above static weights",
        of("short_term", "middle") - of("static", "middle"),
        0.4,
    )
    yield above(
        "occluded-as-rest",
        "occlusion, middle frames (rates): digits are recognized as well as at rest, less 3 points",
        of("short_term", "middle"),
        found["static_static_accuracy"] - 0.03,
    )
    for model, words in (
        ("neuron_trace", "a trace of neurons instead of synapses"),
        ("presynaptic", "facilitation of inputs, whoever wins"),
    ):
        yield below(
            model.replace("_", "-"),
            f"occlusion (rates): most of the gain is lost with {words} (share that is left)",
            (of(model) - of("static")) / gain if gain else float("inf"),
            0.5,
        )
    yield above(
        "spiking",
        "occlusion (spike by spike): 20 points above static weights",
        of("spiking") - of("spiking_static"),
        0.2,
    )
    if "occlusion_cnn_accuracy" in found:
        yield above(
            "spiking-convolutional",
            "occlusion (spike by spike): 5 points above the convolutional network, which was "
            "trained on moving bars, and above the moving average of its answers",
            of("spiking"),
            max(of("cnn"), of("smoothed_cnn")) + 0.05,
        )


def _controls(found: dict[str, float]) -> Iterator[Claim]:
    for control, words in (
        ("new_digits", "a new digit in each frame"),
        ("static", "digits that stay as they are"),
    ):
        yield above(
            f"at-rest-{control.replace('_', '-')}",
            f"{words} (rates): at most a point below static weights",
            found[f"{control}_short_term_accuracy"],
            found[f"{control}_static_accuracy"] - 0.01,
        )
    yield below(
        "abrupt",
        "a bar that is there at once (rates): no better than static weights, for the gain needs "
        "continuity",
        found["abrupt_short_term_accuracy"],
        found["abrupt_static_accuracy"],
    )
