"""Figures of the short-term plasticity experiments: a line per model, during training."""

from typing import NamedTuple

from plastorch.experiments.stpn.agent_panels import agent_panels
from plastorch.experiments.stpn.tuning import TUNING
from plastorch.report import charts
from plastorch.report.format import plain
from plastorch.report.load import RunData, columns, series
from plastorch.report.panel import Panel
from plastorch.report.panels import with_curves

NAMES = {
    "stpn": "STPN",
    "stpn-pre": "STPN, norm pre",
    "stpn-scalar": "STPN, one Λ, Γ",
    "stpn-recurrent": "STPN, recurrent",
    "stpnf": "STPNf",
    "stpnf-scalar": "STPNf, one Λ, Γ",
    "hebbff": "HebbFF",
    "rnn": "RNN",
    "rnn-normalized": "RNN, norm 1",
    "lstm": "LSTM",
    "mlp": "MLP",
    "mlp-stacked": "MLP, last inputs",
    "fast-weights": "fast weights",
    "modulated": "modulated",
    "stpn-factored": "STPN, Λ, Γ of rows, columns",
    "gru": "GRU",
    "attention": "softmax attention",
    "linear-attention": "linear attention",
    "gated-linear-attention": "gated linear attention",
    "delta-net": "DeltaNet",
    "gated-delta-net": "gated DeltaNet",
}
"""Names of the models; a phase of the log with one of these names is that model's training."""

TESTS = ("generalisation-", "recall-", "states-", "context-")
"""Prefixes of the phases of a model's tests."""


class CourseFigure(NamedTuple):
    """A figure of all models in the course of something."""

    prefix: str
    """Beginning of the phases' names, before the model's."""
    x: str
    """Field of the horizontal axis."""
    y: str
    """Field of the vertical axis; an accuracy is drawn in per cent."""
    title: str
    caption: str


FIGURES = (
    CourseFigure(
        "",
        "epoch",
        "validation_accuracy",
        "Who learns to associate",
        "Share of correct answers on held-out sequences, after each pass over the training "
        "sequences; all models have about the same number of parameters.",
    ),
    CourseFigure(
        "",
        "epoch",
        "energy",
        "Energy of the synapses",
        "Efficacy times squared signal, summed over all synapses, mean over steps and sequences. "
        "Biases, readouts and the change of synapses are not counted.",
    ),
    CourseFigure(
        "",
        "iteration",
        "reward",
        "Reward of an episode",
        "Mean over agents, and over the iterations since the previous point.",
    ),
    CourseFigure(
        "",
        "iteration",
        "energy_per_neuron",
        "Energy of the synapses",
        "Efficacy times squared signal, summed over a neuron's synapses (of an LSTM, a gate's), "
        "mean over steps, agents and neurons.",
    ),
    CourseFigure(
        "",
        "env_steps",
        "return",
        "Return of an episode",
        "Sum of its rewards, mean over the episodes that ended since the previous update, while "
        "the agent learns and samples its actions.",
    ),
    CourseFigure(
        "",
        "env_steps",
        "energy",
        "Energy of the synapses",
        "Efficacy times squared signal, summed over all synapses of the core, mean over steps of "
        "one piece of an episode per update.",
    ),
    CourseFigure(
        "",
        "step",
        "train_accuracy",
        "Accuracy on the training stream",
        "Share of items classified correctly, during the update.",
    ),
    CourseFigure(
        "",
        "step",
        "validation_accuracy",
        "Accuracy on another stream",
        "Share of items classified correctly in a stream that no model learns from.",
    ),
    CourseFigure(
        TESTS[1],
        "pairs",
        "accuracy",
        "How many pairs are recalled",
        "Share of correct answers on new sequences, against their number of key-value pairs.",
    ),
    CourseFigure(
        TESTS[2],
        "state",
        "accuracy",
        "What a larger state recalls",
        "Share of correct answers on new sequences, against the size of the state that a model "
        "carries from step to step. Softmax attention, whose state grows with the sequence, is "
        "left out.",
    ),
    CourseFigure(
        TESTS[3],
        "characters",
        "bits_of_repeats",
        "What only the window tells",
        "Bits per character, for characters that end a string of seven that occurs earlier in the "
        "window and nowhere in the training text, against the characters read.",
    ),
    CourseFigure(
        TESTS[3],
        "characters",
        "bits",
        "Prediction improves with what was read",
        "Bits per character of files that no model learned from, against the characters read.",
    ),
    CourseFigure(
        TESTS[0],
        "repeat",
        "accuracy",
        "Repeats after other times",
        "Share of items classified correctly in new streams, against the steps from an item to its "
        "repeat; models learned with a single number of steps.",
    ),
)
"""Figures that a run may have, most telling first."""


def panels(run: RunData) -> list[Panel]:
    """Returns the figures that a run of several recurrent models has data for."""
    courses = [_course(run, figure) for figure in FIGURES]
    drawn = f"({'|'.join(TESTS)})?({'|'.join(NAMES)})(-s[0-9]+)?|{TUNING}.*"
    return with_curves(run, [*courses, *agent_panels(run)], drawn)


def _course(run: RunData, figure: CourseFigure) -> Panel | None:
    logged = {
        name: series(run.rows, figure.prefix + model, figure.x, [figure.y])
        for model, name in NAMES.items()
    }
    factor, unit = (100, "%") if figure.y.endswith("accuracy") else (1, "")
    curves = {
        name: columns(rows, figure.x, figure.y) * [[1], [factor]]
        for name, rows in logged.items()
        if rows
    }
    if not curves:
        return None
    x = plain(figure.x)
    ends = "; ".join(f"{name} {y[-1]:.3g} {unit}".rstrip() for name, (_, y) in curves.items())
    return Panel(
        name=(figure.prefix + figure.y).replace("_", "-"),
        title=figure.title,
        caption=f"{figure.caption} At the end: {ends}.",
        alt=f"Line plot against {x}, one line per model; at the end {ends}.",
        draw=lambda theme: charts.lines({"": curves}, x=x, y_unit=unit, theme=theme),
    )
