"""``plastorch files fit``: how well held-out records are classified."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from plastorch.cli.words import one_line

if TYPE_CHECKING:
    import polars as pl

    from plastorch.files.classifier import FileClassifier

MOST_SHOWN = 20
"""Largest number of classes in a confusion matrix that fits a screen."""
COVERAGES = (1.0, 0.9, 0.8, 0.5)
"""Shares of the records to answer whose accuracy is shown."""


def score(
    model: "FileClassifier",
    frame: "pl.DataFrame",
    codes: NDArray[np.int64],
    held: NDArray[np.bool_],
) -> None:
    """Prints how well held-out records are classified, beside simple baselines."""
    from sklearn.metrics import confusion_matrix

    from plastorch.files.evaluation import MOST, baselines

    train, test = frame.filter(~held), frame.filter(held)
    right, found = codes[held], np.searchsorted(model.classes_, model.predict(test))
    print(
        f"held-out score {(found == right).mean():.2%} of {len(right):,} records; the model has "
        f"learned from {model.class_count_.sum():,} of the other {train.height:,}"
    )
    _show_coverage(model, model.predict_proba(test).max(1), found == right)
    if len(model.classes_) <= MOST_SHOWN:
        every = range(len(model.classes_))
        _show_confusion(model.classes_, confusion_matrix(right, found, labels=every))
    table = Table(box=None, pad_edge=False)
    table.add_column("model")
    table.add_column("held out", justify="right")
    table.add_row("spiking network", f"{(found == right).mean():.2%}")
    with Console(stderr=True).status("baselines"):
        for name, answers in baselines(model.keys_, train, codes[~held], test):
            table.add_row(name, f"{(answers == right).mean():.2%}")
    Console().print(table)
    if train.height > MOST:
        print(f"logistic regression and naive Bayes have learned from {MOST:,} of the others")


def _show_coverage(
    model: "FileClassifier", confidence: NDArray[np.float32], right: NDArray[np.bool_]
) -> None:
    """Prints how far off confidence is, and the accuracy that not answering all records buys."""
    from plastorch.files.calibration import expected_calibration_error

    error = 100 * expected_calibration_error(confidence, right)
    print(f"confidence is {error:.1f} points off on average (expected calibration error)")
    if not model.calibration_.confidences:
        print("no class has ten records to learn from: confidence is not calibrated")
        return
    table = Table("coverage", box=None, pad_edge=False)
    for name in ("least confidence", "answered", "right"):
        table.add_column(name, justify="right")
    for coverage in COVERAGES:
        least = model.threshold(coverage)
        given = confidence >= least
        share = f"{right[given].mean():.2%}" if given.any() else "–"
        table.add_row(f"{coverage:.0%}", f"{least:.3f}", f"{given.mean():.1%}", share)
    Console().print(table)


def _show_confusion(classes: NDArray[Any], counts: NDArray[np.int64]) -> None:
    print("confusion, a row per class, a column per answer:")
    width = max(len(f"{counts.max():,}"), 3) + 1
    shown = [one_line(str(name))[:20] for name in classes.tolist()]
    names = [f"{place + 1:>2} {name}" for place, name in enumerate(shown)]
    longest = max(map(len, names))
    print(" " * longest + "".join(f"{place + 1:>{width}}" for place in range(len(names))))
    for name, row in zip(names, counts.tolist(), strict=True):
        print(f"{name:<{longest}}" + "".join(f"{count:>{width},}" for count in row))


def show_deeper(model: "FileClassifier", test: "pl.DataFrame", right: NDArray[np.int64]) -> None:
    """Prints how well held-out files would be classified if a scan began one folder deeper."""
    from plastorch.files.metadata import PLACES, deeper

    places = [key.name for key in model.keys_ if key.name in PLACES]
    if not places:
        return
    found = [model.predict(frame) for frame in (test, deeper(test))]
    usual, other = ((model.classes_[right] == answers).mean() for answers in found)
    print(
        f"scanned from one folder deeper, {other:.2%} of them are right, against {usual:.2%}: "
        f"{', '.join(places)} count from the folder that was scanned"
    )
