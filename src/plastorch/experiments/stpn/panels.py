"""Figures of the short-term plasticity experiments: a line per model, in the course of training."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from plastorch.experiments.stpn.agent_panels import agent_panels
from plastorch.report.load import Row, RunData, series
from plastorch.report.panel import Panel
from plastorch.report.panels import plain_curves
from plastorch.report.theme import (
    LIGHT,
    Theme,
    label,
    legend,
    legend_columns,
    new_axes,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = {
    "stpn": "STPN",
    "stpn-pre": "STPN, norm pre",
    "stpn-scalar": "STPN, one Λ, Γ",
    "stpnf": "STPNf",
    "stpnf-scalar": "STPNf, one Λ, Γ",
    "hebbff": "HebbFF",
    "rnn": "RNN",
    "rnn-normalised": "RNN, norm 1",
    "lstm": "LSTM",
    "mlp": "MLP",
    "fast-weights": "fast weights",
    "modulated": "modulated",
}
"""Names of the models; a phase of the log with one of these names is that model's training."""

TESTS = "generalisation-"
"""Prefix of the phase of a model's test."""
FIGURES = (
    (
        "",
        "epoch",
        "validation_accuracy",
        "Who learns to associate",
        "Share of right answers on sequences held out, after each pass over the training "
        "sequences; all models have about as many parameters.",
    ),
    (
        "",
        "epoch",
        "energy",
        "Energy of the synapses",
        "Efficacy times squared signal, summed over all synapses, mean over steps and sequences. "
        "Biases, readouts and the change of synapses are not counted.",
    ),
    (
        "",
        "iteration",
        "reward",
        "Reward of an episode",
        "Mean over agents, and over the iterations since the point before.",
    ),
    (
        "",
        "iteration",
        "energy_per_neuron",
        "Energy of the synapses",
        "Efficacy times squared signal, summed over a neuron's synapses (of an LSTM, a gate's), "
        "mean over steps, agents and neurons.",
    ),
    (
        "",
        "env_steps",
        "return",
        "Return of an episode",
        "Sum of its rewards, mean over the episodes that ended since the update before, while the "
        "agent learns and draws its actions.",
    ),
    (
        "",
        "env_steps",
        "energy",
        "Energy of the synapses",
        "Efficacy times squared signal, summed over all synapses of the core, mean over steps of "
        "one piece of an episode per update.",
    ),
    (
        "",
        "step",
        "train_accuracy",
        "Accuracy on the training stream",
        "Share of items told right, during the update.",
    ),
    (
        "",
        "step",
        "validation_accuracy",
        "Accuracy on another stream",
        "Share of items told right in a stream that no model learns from.",
    ),
    (
        TESTS,
        "repeat",
        "accuracy",
        "Repeats after other times",
        "Share of items told right in new streams, against the steps from an item to its repeat; "
        "models learned one number of steps only.",
    ),
)
"""Prefix of the phases, field of the x axis, field of the y axis, title and caption."""


def draw_models(
    courses: Mapping[str, Sequence[Row]], x: str, field: str, theme: Theme = LIGHT
) -> "Figure":
    """Draws a field of the log in the course of training, one line per model.

    Args:
        courses: rows with ``x`` and the field, by model.
        x: field of the x axis, such as "epoch".
        field: field to draw; an accuracy in per cent.
        theme: colors.

    Returns:
        A figure with one axes.

    Example:
        >>> rows = [{"epoch": 1, "validation_accuracy": 0.5}]
        >>> figure = draw_models({"stpn": rows}, "epoch", "validation_accuracy")
        >>> figure.axes[0].lines[0].get_ydata().tolist()
        [50.0]
    """
    names = [NAMES.get(model, model) for model in courses]
    figure = new_figure(3.4 + 0.2 * len(names) / legend_columns(names), theme)
    (axes,) = new_axes(figure, theme)
    percent = field.endswith("accuracy")
    for index, (model, rows) in enumerate(courses.items()):
        values = [(100 if percent else 1) * row[field] for row in rows]
        where = [row[x] for row in rows]
        axes.plot(where, values, linewidth=2, label=NAMES.get(model, model), **theme.line(index))
    if percent:
        axes.yaxis.set_major_formatter("{x:g} %")
    axes.locator_params(axis="x", nbins=5)  # labels of tens of thousands are wide
    label(axes, theme, x=x.replace("_", " "))
    legend(axes, theme)
    return figure


def panels(run: RunData) -> list[Panel]:
    """Returns the figures that a run of several recurrent models has data for.

    Example:
        >>> from pathlib import Path
        >>> panels(RunData(Path("run"), {}, [], {}))
        []
    """
    found = [_course(run, *figure) for figure in FIGURES]
    own = [panel for panel in found if panel] + agent_panels(run)
    return own + plain_curves(run, _is_drawn)


def _is_drawn(phase: str) -> bool:
    """Whether a phase has its own figures here, or none, and needs no plain curves."""
    return phase.removeprefix(TESTS) in NAMES


def _course(
    run: RunData, prefix: str, x: str, field: str, title: str, caption: str
) -> Panel | None:
    rows = {model: series(run.rows, prefix + model, x, [field]) for model in NAMES}
    courses = {model: found for model, found in rows.items() if found}
    if not courses:
        return None
    factor, unit = (100, " %") if field.endswith("accuracy") else (1, "")
    ends = "; ".join(
        f"{NAMES[model]} {factor * found[-1][field]:.3g}{unit}" for model, found in courses.items()
    )
    return Panel(
        name=(prefix + field).replace("_", "-"),
        title=title,
        caption=f"{caption} At the end: {ends}.",
        alt=f"Line plot against {x.replace('_', ' ')}, one line per model; at the end {ends}.",
        draw=lambda theme: draw_models(courses, x, field, theme),
    )
