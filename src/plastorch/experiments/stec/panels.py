"""Figures of learning with efference copies: gains, courses, predicted actions, transfer."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from statistics import fmean
from typing import TYPE_CHECKING

from plastorch.report.load import Row, RunData, is_number, series
from plastorch.report.panel import Panel
from plastorch.report.panels import plain_curves
from plastorch.report.theme import LIGHT, SMALL, Theme, label, legend, new_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METHODS = {"simclr": "SimCLR", "byol": "BYOL", "relic": "ReLIC"}
ROLES = {"baseline": "baseline", "stec": "S-TEC", "shuffled": "shuffled"}
PHASE = re.compile(r"(?:probe-)?(simclr|byol|relic)-(baseline|stec|shuffled|swept\d+)-(\d+).*")
MEASURED = "stec-measure", "stec-control", "stec-transfer"
CLASSIFIERS = {
    "accuracy": "a linear layer that learned beside the method",
    "logistic_accuracy": "a logistic regression after it",
}
TRIED = {"place_r2": "place", "segmentation_iou": "pixels", "detection_ap50": "boxes"}
Groups = Mapping[str, Mapping[str, float]]
"""Figures by row and name."""


def draw_gains(
    gains: Mapping[str, list[float]],
    bounds: Mapping[str, tuple[float, float, float]],
    theme: Theme = LIGHT,
) -> "Figure":
    """Draws differences to the baseline, a row per arm: a point per seed, the mean and its bounds.

    Args:
        gains: gains of each seed, by arm, as shares.
        bounds: mean, lower and upper bound, by arm.
        theme: colors.

    Example:
        >>> figure = draw_gains({"SimCLR": [0.01, 0.03]}, {"SimCLR": (0.02, -0.1, 0.14)})
        >>> figure.axes[0].lines[1].get_xdata().tolist()
        [1.0, 3.0]
    """
    figure = new_figure(1.1 + 0.42 * len(gains), theme)
    (axes,) = new_axes(figure, theme)
    axes.axvline(0, color=theme.ink, linewidth=1, linestyle=":")
    for row, (name, values) in enumerate(gains.items()):
        mean, low, high = (100 * value for value in bounds[name])
        color = theme.series[row % len(theme.series)]
        axes.plot(
            [100 * value for value in values],
            [row + 0.22] * len(values),
            ".",
            color=theme.muted,
            markersize=6,
        )
        axes.errorbar(
            mean, row, xerr=[[mean - low], [high - mean]], color=color, marker="o", capsize=4
        )
    _name_rows(axes, list(gains), theme)
    axes.xaxis.set_major_formatter("{x:+g}")
    label(axes, theme, x="points of test accuracy")
    return figure


def draw_courses(
    courses: Mapping[str, Mapping[str, list[float]]], theme: Theme = LIGHT
) -> "Figure":
    """Draws test accuracy after each epoch, mean over seeds: a panel per method, a line per role.

    Args:
        courses: accuracies by method and role, as shares.
        theme: colors.

    Example:
        >>> figure = draw_courses({"SimCLR": {"without": [0.25, 0.5]}})
        >>> figure.axes[0].lines[0].get_ydata().tolist()
        [25.0, 50.0]
    """
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(0.8 + 1.6 * len(courses), theme)
    stack = new_axes(figure, theme, rows=len(courses))
    for axes, (method, lines) in zip(stack, courses.items(), strict=True):
        for index, (name, values) in enumerate(lines.items()):
            percent = [100 * value for value in values]
            marker = "o" if len(values) < 13 else ""
            style = theme.line(index)
            epochs = range(1, len(values) + 1)
            axes.plot(epochs, percent, marker=marker, markersize=4, label=name, **style)
        axes.yaxis.set_major_formatter("{x:g} %")
        axes.set_title(method, loc="right", color=theme.ink, fontsize=SMALL)
    stack[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    label(stack[-1], theme, x="epoch")
    legend(stack[0], theme)
    return figure


def draw_groups(groups: Groups, x: str, theme: Theme = LIGHT) -> "Figure":
    """Draws figures side by side, a row per group and a mark per name.

    Args:
        groups: figures by row and name.
        x: label of the x axis.
        theme: colors.

    Example:
        >>> figure = draw_groups({"flip": {"found": 0.9, "most frequent": 0.5}}, "share")
        >>> [line.get_label() for line in figure.axes[0].lines]
        ['found', 'most frequent']
    """
    figure = new_figure(1.4 + 0.34 * len(groups), theme)
    (axes,) = new_axes(figure, theme)
    axes.locator_params(axis="x", nbins=6)
    names = list(dict.fromkeys(name for of in groups.values() for name in of))
    for index, name in enumerate(names):
        rows = [(of[name], row) for row, of in enumerate(groups.values()) if name in of]
        values, places = zip(*rows, strict=True)
        axes.plot(
            values,
            places,
            linestyle="",
            marker="osD^vP"[index % 6],
            markersize=6,
            color=theme.series[index % len(theme.series)],
            label=name,
        )
    _name_rows(axes, list(groups), theme)
    label(axes, theme, x=x)
    legend(axes, theme)
    return figure


def draw_sweep(accuracies: Mapping[float, list[float]], theme: Theme = LIGHT) -> "Figure":
    """Draws accuracy against the weight of the inverse model: the mean, and a point per seed.

    Args:
        accuracies: accuracies of each seed, by weight, as shares.
        theme: colors.

    Example:
        >>> figure = draw_sweep({0.0: [0.5], 1.0: [0.6]})
        >>> figure.axes[0].lines[0].get_ydata().tolist()
        [50.0, 60.0]
    """
    figure = new_figure(3.2, theme)
    (axes,) = new_axes(figure, theme)
    weights = sorted(accuracies)
    means = [100 * fmean(accuracies[weight]) for weight in weights]
    axes.plot(range(len(weights)), means, linewidth=2, **theme.line(0))
    for place, weight in enumerate(weights):
        values = [100 * value for value in accuracies[weight]]
        axes.plot([place] * len(values), values, "o", color=theme.muted, markersize=4)
    axes.set_xticks(range(len(weights)), [f"{weight:g}" for weight in weights])
    axes.yaxis.set_major_formatter("{x:g} %")
    label(axes, theme, x="weight of the inverse model")
    return figure


def _name_rows(axes: "Axes", names: list[str], theme: Theme) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    for text in axes.get_yticklabels():
        text.set(color=theme.ink, parse_math=False)


def panels(run: RunData) -> list[Panel]:
    """Returns the figures that a run with efference copies has data for.

    Example:
        >>> from pathlib import Path
        >>> panels(RunData(Path("run"), {}, [], {}))
        []
    """
    found = [*_gains(run), _sweep(run), _courses(run), *_told(run), _transfer(run), _geometry(run)]
    return [panel for panel in found if panel] + plain_curves(run, _is_drawn)


def _is_drawn(phase: str) -> bool:
    """Whether a phase has its own figures here, or none, and needs no plain curves."""
    return phase in MEASURED or PHASE.fullmatch(phase) is not None


def _rows(run: RunData, phase: str) -> list[Row]:
    return [
        row for row in run.rows if row.get("phase") == phase and isinstance(row.get("arm"), str)
    ]


def _title(arm: str) -> str:
    """Returns an arm such as "simclr-stec" in words."""
    method, _, role = arm.partition("-")
    return f"{METHODS.get(method, method)} {ROLES.get(role, role)}"


def _accuracies(run: RunData, kind: str) -> dict[str, dict[int, float]]:
    """Returns test accuracy by arm and seed, averaged over exams."""
    found: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in _rows(run, "stec-measure"):
        found[str(row["arm"])][int(row["seed"])].append(float(row[kind]))
    return {arm: {seed: fmean(v) for seed, v in of.items()} for arm, of in found.items()}


def _gains(run: RunData) -> Iterator[Panel]:
    for kind, classifier in CLASSIFIERS.items():
        if panel := _gain(run, kind, classifier):
            yield panel


def _gain(run: RunData, kind: str, classifier: str) -> Panel | None:
    right, metrics = _accuracies(run, kind), run.result.get("metrics", {})
    gains: dict[str, list[float]] = {}
    bounds: dict[str, tuple[float, float, float]] = {}
    for arm, of in right.items():
        method, _, role = arm.partition("-")
        baseline = right.get(f"{method}-baseline", {})
        names = [f"{method}_{role}_gain_{name}_{kind}" for name in ("mean", "low", "high")]
        if role == "baseline" or not baseline or not all(name in metrics for name in names):
            continue
        gains[_title(arm)] = [of[seed] - baseline[seed] for seed in of if seed in baseline]
        mean, low, high = (float(metrics[name]) for name in names)
        bounds[_title(arm)] = mean, low, high
    if not gains:
        return None
    words = "; ".join(f"{name} {100 * bounds[name][0]:+.2f}" for name in gains)
    return Panel(
        name=f"gains-{kind}",
        title=f"What efference copies bring: {classifier}",
        caption=f"Test accuracy of {classifier}, of methods with efference copies (S-TEC), or with "
        "those of other pairs of views (shuffled), less that of the baseline without, in points. "
        "Gray dots are seeds, which begin alike and see the same views in both; the mark is their "
        f"mean, with its 95 % confidence interval. {words}.",
        alt=f"Mean differences of test accuracy, with intervals, in points: {words}.",
        draw=lambda theme: draw_gains(gains, bounds, theme),
    )


def _courses(run: RunData) -> Panel | None:
    found: dict[str, dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for phase in dict.fromkeys(str(row.get("phase")) for row in run.rows):
        match = PHASE.fullmatch(phase)
        if match and match[2] in ROLES and not phase.startswith("probe"):
            rows = series(run.rows, phase, "step", ["test_accuracy"])
            found[METHODS[match[1]]][ROLES[match[2]]].append([row["test_accuracy"] for row in rows])
    courses = {
        method: {
            role: [fmean(values) for values in zip(*seeds, strict=False)]
            for role, seeds in roles.items()
        }
        for method, roles in found.items()
    }
    if not any(values for roles in courses.values() for values in roles.values()):
        return None
    return Panel(
        name="stec-courses",
        title="In the course of training",
        caption="Test accuracy, after each epoch, of a linear layer that learns beside the method "
        "from its features, without a say in them; mean over seeds.",
        alt=f"Line plots of test accuracy against the epoch: {', '.join(courses)}.",
        draw=lambda theme: draw_courses(courses, theme),
    )


def _means(rows: Iterable[Row], start: str) -> dict[str, float]:
    """Returns means of the fields with this prefix, by the rest of their names."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for name, value in row.items():
            if name.startswith(start) and is_number(value):
                values[name.removeprefix(start)].append(float(value))
    return {name: fmean(of) for name, of in values.items()}


def _told(run: RunData) -> list[Panel]:
    """Returns panels of what inverse models predict about actions, one per method."""
    return [panel for method in METHODS if (panel := _told_of(run, method))]


def _told_of(run: RunData, method: str) -> Panel | None:
    trained = [row for row in _rows(run, "stec-measure") if row["arm"] == f"{method}-stec"]
    frozen = _rows(run, "stec-control")
    kinds = {"with the encoder": _means(trained, "found_")}
    for role in ("stec", "baseline"):
        mine = [row for row in frozen if row["arm"] == f"{method}-{role}"]
        kinds[f"later, {ROLES[role]}"] = _means(mine, "found_")
    kinds["most frequent"] = _means(trained, "majority_")
    factors = list(kinds["with the encoder"])
    if not factors:
        return None
    groups = {
        factor.replace("_", " "): {
            kind: 100 * of[factor] for kind, of in kinds.items() if factor in of
        }
        for factor in factors
    }
    return Panel(
        name=f"told-{method}",
        title=f"{METHODS[method]}: which actions features tell",
        caption="Share of pairs of views of test images for which each factor of the action "
        "between them is told: by the inverse model that learned with the encoder; and by new ones "
        "that learned later on frozen encoders, of S-TEC and of the baseline. Beside them, how "
        "frequent the most frequent class is.",
        alt=f"Shares of right answers for {', '.join(groups)}.",
        draw=lambda theme: draw_groups(groups, "right answers, per cent", theme),
    )


def _transfer(run: RunData) -> Panel | None:
    rows = _rows(run, "stec-transfer")
    groups: dict[str, dict[str, float]] = {}
    for field, words in TRIED.items():
        for method, title in METHODS.items():
            of = {
                name: _means([row for row in rows if row["arm"] == f"{method}-{role}"], field)
                for role, name in ROLES.items()
            }
            found = {name: values[""] for name, values in of.items() if values}
            if found:
                groups[f"{title} {words}"] = found
    if not groups:
        return None
    return Panel(
        name="transfer",
        title="Where things are",
        caption="What frozen encoders are worth on scenes of digits that are pasted on images. "
        "Place: share of variance that a linear map of features explains of where the one object "
        "is. Pixels: mean intersection over union of what each shows. Boxes: AP50 of detection. "
        "Both by small heads on the last feature map.",
        alt=f"Figures of transfer for {', '.join(groups)}.",
        draw=lambda theme: draw_groups(groups, "", theme),
    )


def _geometry(run: RunData) -> Panel | None:
    rows = _rows(run, "stec-measure")
    groups: dict[str, dict[str, float]] = {}
    for arm in dict.fromkeys(str(row["arm"]) for row in rows):
        mine = [row for row in rows if row["arm"] == arm]
        if arm.partition("-")[2] in ROLES:
            names = {"within classes": "within", "between classes": "between"}
            groups[_title(arm)] = {
                words: fmean(float(row[field]) for row in mine) for words, field in names.items()
            }
    if not groups:
        return None
    return Panel(
        name="stec-geometry",
        title="How classes lie",
        caption="Mean cosine of the features of two test images of one class, and of two of "
        "different classes; the further apart the two marks, the better classes are told.",
        alt=f"Mean cosines within and between classes for {', '.join(groups)}.",
        draw=lambda theme: draw_groups(groups, "mean cosine", theme),
    )


def _sweep(run: RunData) -> Panel | None:
    accuracies: dict[float, list[float]] = defaultdict(list)
    for row in _rows(run, "stec-measure"):
        if "swept" in str(row["arm"]):
            accuracies[float(row["weight"])].append(float(row["logistic_accuracy"]))
    if not accuracies:
        return None
    best = max(accuracies, key=lambda weight: fmean(accuracies[weight]))
    return Panel(
        name="sweep",
        title="How much weight for the inverse model",
        caption="Accuracy of a logistic regression on images held out from training, against the "
        f"weight of the inverse model; dots are seeds. The best is {best:g}.",
        alt=f"Line plot of accuracy against the weight of the inverse model; best at {best:g}.",
        draw=lambda theme: draw_sweep(accuracies, theme),
    )
