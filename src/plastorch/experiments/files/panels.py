"""Figures of the experiments that classify files and other records by their metadata."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from plastorch.experiments.files.pattern_panels import coincidences, patterns
from plastorch.report import charts
from plastorch.report.charts import Spread
from plastorch.report.format import percent, plain
from plastorch.report.load import Array, Row, RunData, is_number
from plastorch.report.panel import Panel
from plastorch.report.panels import with_curves

MODELS = {
    "snn": "spiking, labels",
    "memristive": "spiking, devices",
    "stdp": "spiking, STDP",
    "stdp-first": "spiking, STDP, first",
    "logistic": "logistic regression",
    "linear-svm": "linear SVM",
    "rbf-svm": "RBF SVM",
    "rbf-nystroem": "RBF SVM, Nyström",
    "boosting": "boosted trees",
    "naive-bayes": "naive Bayes",
    "neighbors": "5 most similar",
    "most-alike": "most alike pattern",
    "prototypes": "mean coincidence",
    "raster": "logistic, raster",
    "k-means": "k-means",
    "k-modes": "k-modes",
    "k-medoids": "k-medoids",
    "majority": "largest class",
}
"""Names of the log's models in figures, in this order."""
DAY = 86_400.0
TICKS = {25.0: "25 s", 3600.0: "1 h", DAY: "1 d", 30 * DAY: "1 mo", 365 * DAY: "1 yr"}
"""Times since the weights were written into devices."""
_LINE = 0.2
"""Height of a model's line, inches."""
MOST_CLASSES = 9
"""Maximum number of classes in a confusion matrix, besides "others"."""


Tables = Mapping[str, Mapping[str, Sequence[float]]]
"""Accuracies of the folds, by table and model."""


def panels(run: RunData) -> list[Panel]:
    """Returns the figures that a run has data for, most telling first."""
    makers = (accuracies, devices, stream, labels, confusions, coincidences, patterns)
    return with_curves(run, [make(run) for make in makers], "(tables|system)-.*")


def _rows(run: RunData, model: str, *numbers: str) -> list[Row]:
    """Returns the records of a model that have these numbers."""
    return [
        row
        for row in run.rows
        if str(row.get("phase")).startswith(("tables-", "system-"))
        and row.get("model") == model
        and isinstance(row.get("table"), str)
        and all(is_number(row.get(name)) for name in ("fold", *numbers))
    ]


def accuracies(run: RunData) -> Panel | None:
    """Returns the panel of every model's accuracy on every table."""
    folds: dict[tuple[str, str], dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for model, name in MODELS.items():
        for row in _rows(run, model, "accuracy"):
            whole = row.get("labeled", 1) == 1
            day = (row.get("seconds", DAY), row.get("compensated", 1)) == (DAY, 1)
            if whole and day:
                folds[plain_name(row), name][float(row["fold"])].append(float(row["accuracy"]))
    tables: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for (table, name), values in folds.items():
        tables[table][name] = [float(np.mean(values[fold])) for fold in sorted(values)]
    if not tables:
        return None
    best = "; ".join(
        f"{table}: {max(found, key=lambda name: float(np.mean(found[name])))}"
        for table, found in tables.items()
    )
    fewer = "; ".join(_handicapped(run))
    return Panel(
        name="accuracies",
        title="Accuracy of all models",
        caption="Share of test records that are classified correctly, mean of the folds; bars go "
        "from the worst fold to the best. The logistic regression on the raster is tested in the "
        "first fold only, and devices on some of the records. Circles are spiking networks: "
        "trained with labels; the same with weights that were written into phase-change devices "
        "a day ago, their drift compensated; "
        "and trained without labels, by STDP, after which labels name the order of the first "
        "three neurons to fire, or the first alone. Squares are other learners. Each table has a "
        "scale of its own. "
        + (f"Learned from fewer records than others did there: {fewer}. " if fewer else "")
        + f"The most accurate: {best}.",
        alt=f"Dots of accuracy by model, one group per table. The most accurate: {best}.",
        draw=lambda theme: charts.points(_spreads(tables), x_unit="%", line=_LINE, theme=theme),
    )


def _spreads(tables: Tables) -> dict[str, dict[str, dict[str, Spread]]]:
    """Returns mean, lowest and highest per cent of all folds, spiking networks beside others."""
    return {
        table: {
            model: {
                "spiking" if model.startswith("spiking") else "other": Spread(
                    100 * float(np.mean(folds)), 100 * min(folds), 100 * max(folds)
                )
            }
            for model, folds in models.items()
        }
        for table, models in tables.items()
    }


def _handicapped(run: RunData) -> list[str]:
    """Tells which models learned from fewer records than others, how many, on which tables."""
    rows = [(m, row) for m in MODELS for row in _rows(run, m, "learned_from")]
    most: dict[tuple[str, float], float] = defaultdict(float)
    for _, row in rows:
        fold = plain_name(row), row["fold"]
        most[fold] = max(most[fold], row["learned_from"])
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for model, row in rows:
        if row["learned_from"] < most[plain_name(row), row["fold"]]:
            found[f"{MODELS[model]}, {row['learned_from']:,.0f}"][plain_name(row)] = None
    count = len({table for table, _ in most})
    return [
        f"{who} ({', '.join(tables) if len(tables) < count else 'every table'})"
        for who, tables in found.items()
    ]


def plain_name(row: Row) -> str:
    """Returns a table's name in words."""
    return plain(str(row["table"])).replace("-", " ")


def devices(run: RunData) -> Panel | None:
    """Returns the panel of accuracy over time with weights in phase-change devices."""
    rows = [r for r in _rows(run, "memristive", "seconds", "accuracy") if r["fold"] == 0]
    parts: dict[str, dict[str, Array]] = {}
    for compensated, title in ((1, "drift compensated"), (0, "as they are")):
        chosen = [row for row in rows if row.get("compensated") == compensated]
        curves = _curves(chosen, "seconds")
        if curves:
            parts[title] = curves
    if not parts:
        return None
    return Panel(
        name="devices",
        title="Weights in phase-change devices",
        caption="Accuracy of the network trained with labels when its weights have been written "
        "into pairs of phase-change devices, by the time since then: the mean over programmings "
        "of the devices, in one fold. Conductances drift; compensated means that each layer's "
        "weights are scaled by a single factor, so that the sum of their sizes stays the same.",
        alt=f"Line plots of accuracy against time for {', '.join(parts)}.",
        draw=lambda theme: charts.lines(
            parts, x="time since writing", log="x", x_ticks=TICKS, y_unit="%", theme=theme
        ),
    )


def stream(run: RunData) -> Panel | None:
    """Returns the panel of accuracy while keys arrive."""
    curves = _curves(_rows(run, "stream", "keys", "accuracy"), "keys")
    if not curves:
        return None
    return Panel(
        name="stream",
        title="While keys arrive",
        caption="Accuracy against the share of keys that have arrived. The keys of a record arrive "
        "one after the other, in random order; the input neurons of missing keys are silent. "
        "The network learned from complete records and from records that lack keys.",
        alt=f"Line plot of accuracy against the share of keys for {', '.join(curves)}.",
        draw=lambda theme: charts.lines(
            {"": curves}, x="share of keys that are there", y_unit="%", theme=theme
        ),
    )


def labels(run: RunData) -> Panel | None:
    """Returns the panel of accuracy with few labels, for neurons that learned without any."""
    parts: dict[str, dict[str, Array]] = {}
    for model, title in (
        ("stdp-first", "spiking neurons, STDP"),
        ("k-modes", "k-modes"),
        ("k-medoids", "k-medoids"),
    ):
        curves = _curves(_rows(run, model, "labeled", "accuracy"), "labeled")
        if curves:
            parts[title] = curves
    if not parts:
        return None
    ticks = {0.01: "1 %", 0.1: "10 %", 1.0: "100 %"}
    return Panel(
        name="labels",
        title="How few labels are enough",
        caption="Neurons, or clusters, are found without labels, ten per class; then each gets "
        "the most frequent class of its labeled training records. A record's neuron is the one "
        "that fires first. "
        "Accuracy against the share of training records that are labeled, mean of all folds.",
        alt=f"Line plots of accuracy against the share of labels for {', '.join(parts)}.",
        draw=lambda theme: charts.lines(
            parts, x="labeled training records", log="x", x_ticks=ticks, y_unit="%", theme=theme
        ),
    )


def _curves(rows: Sequence[Row], x: str) -> dict[str, Array]:
    """Returns x values and mean accuracies, in per cent, of each table [2, X]."""
    tables: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        tables[plain_name(row)][float(row[x])].append(float(row["accuracy"]))
    return {
        table: np.array([[at, 100 * np.mean(points[at])] for at in sorted(points)]).T
        for table, points in tables.items()
    }


def confusions(run: RunData) -> Panel | None:
    """Returns the panel of one table's confusion matrix."""
    rows = _rows(run, "confusion", "count")
    if not rows:
        return None
    totals: dict[str, float] = defaultdict(float)
    for row in rows:
        totals[str(row.get("class"))] += row["count"]
    often = sorted(totals, key=lambda name: -totals[name])[:MOST_CLASSES]
    others = len(set(totals) | {str(row.get("answer")) for row in rows}) > len(often)
    names = [*often, "others"] if others else often
    matrix = np.zeros((len(names), len(names)), np.int64)
    for row in rows:
        place = [
            names.index(name) if (name := str(row.get(field))) in often else len(often)
            for field in ("class", "answer")
        ]
        matrix[place[0], place[1]] += int(row["count"])
    table, right = plain_name(rows[0]), percent(matrix.trace() / matrix.sum())
    what = f"its {len(often)} most frequent classes" + (" and all others" if others else "")
    return Panel(
        name="confusions",
        title=f"Confusion matrix: {table}",
        caption=f"The network trained with labels, on {what}, test records of all folds. Each row "
        "is a true class, each column an answer; shades are shares of the row, numbers counts.",
        alt=f"Confusion matrix of {len(names)} classes of {table}; {right} are on the diagonal.",
        draw=lambda theme: charts.confusion(matrix, names, theme=theme),
    )
