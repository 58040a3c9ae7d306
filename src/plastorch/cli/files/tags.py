"""``plastorch files fit --separator``: training and score of several labels per record."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from plastorch.cli.files.records import learning, told_keys
from plastorch.cli.words import one_line
from plastorch.engine.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from plastorch.files.tagger import FileTagger

MOST_NAME = 1000
"""Largest length of a label in bytes."""
MOST_TAGS = 1000
"""Largest number of different labels."""
MOST_SHOWN = 50
"""Largest number of labels whose scores are shown, the most frequent ones."""


def _tags_of(column: "pl.Series", separator: str) -> NDArray[Any]:
    """Returns the labels of each record, tuples of text, from a column of text or of lists."""
    import polars as pl

    from plastorch.files.column_values import texts
    from plastorch.files.tags import split_tags

    if isinstance(column.dtype, (pl.List, pl.Array)):
        lists = column.cast(pl.List(pl.String)).to_list()
        rows = [tuple(tag for tag in row or () if tag) for row in lists]
    else:
        rows = [split_tags(text, separator) for text in texts(column).fill_null("").to_list()]
    every = {tag for row in rows for tag in row}
    if longest := [tag for tag in every if len(tag.encode()) > MOST_NAME]:
        raise InputError(
            f"column {column.name!r} holds a label of {len(longest[0].encode()):,} bytes; expected "
            f"{MOST_NAME} at most"
        )
    if not 0 < len(every) <= MOST_TAGS:
        raise InputError(
            f"column {column.name!r} holds {len(every)} labels; expected 1 to {MOST_TAGS}"
        )
    found = np.empty(len(rows), object)
    found[:] = rows
    return found


Records = tuple["pl.DataFrame", NDArray[Any]]


def fit_tags(model: "FileTagger", frame: "pl.DataFrame", column: "pl.Series", out: Path) -> None:
    """Trains, saves and scores a model of the labels in a column; a fifth is held out."""
    from plastorch.engine.estimators import seed_of
    from plastorch.files.calibration import held_out

    tags = _tags_of(column, model.separator)
    held = held_out(np.zeros(len(tags), np.int64), seed_of(model.random_state))
    train, test = (frame.filter(~held), tags[~held]), (frame.filter(held), tags[held])
    with learning(model.epochs_for(len(train[1]))) as tell:
        model.fit(*train, tell=tell)
    model.save(out)
    if held.any():
        _score(model, train, test)
    else:
        print("there are fewer than five records: none is held out, and there is no score")
    print(f"model: {out}, {len(model.classes_)} labels, {told_keys(model)}")


def _score(model: "FileTagger", train: Records, test: Records) -> None:
    """Prints how well held-out records are labeled, label by label, beside logistic regression."""
    from plastorch.files.calibration import expected_calibration_error
    from plastorch.files.tags import given_tags, tag_scores

    chance = model.predict_proba(test[0])
    given = given_tags(chance, model.tagging_.thresholds)
    present = _present(model, test[1])
    unknown = sum(len(set(row) - set(model.classes_.tolist())) for row in test[1])
    found = tag_scores(given, present)
    print(
        f"held-out score of {len(present):,} records: F1 {_f1(given, present):.2%} over all, "
        f"{np.nanmean(found.f1):.2%} on average over labels; all labels of "
        f"{(given == present).all(1).mean():.2%} right"
    )
    if unknown:
        print(f"{unknown:,} held-out labels occur in no record that was learned from")
    error = 100 * expected_calibration_error(chance.ravel(), present.ravel())
    print(f"probabilities are {error:.1f} points off on average (expected calibration error)")
    table = Table(box=None, pad_edge=False)
    table.add_column("label")
    for name in ("records", "threshold", "precision", "recall", "F1"):
        table.add_column(name, justify="right")
    for place in np.argsort(-found.records, kind="stable")[:MOST_SHOWN]:
        shares = (found.precision[place], found.recall[place], found.f1[place])
        table.add_row(
            one_line(str(model.classes_[place]))[:40],
            f"{found.records[place]:,}",
            f"{model.tagging_.thresholds[place]:.2f}",
            *("–" if np.isnan(share) else f"{share:.1%}" for share in shares),
        )
    Console().print(table)
    _baselines(model, train, test[0], given, present)


def _baselines(
    model: "FileTagger",
    train: Records,
    test: "pl.DataFrame",
    given: NDArray[np.bool_],
    present: NDArray[np.bool_],
) -> None:
    from plastorch.files.evaluation import MOST, tag_baselines

    table = Table(box=None, pad_edge=False)
    table.add_column("model")
    table.add_column("F1 held out", justify="right")
    table.add_row("spiking network", f"{_f1(given, present):.2%}")
    with Console(stderr=True).status("baselines"):
        known = _present(model, train[1])
        for name, answers in tag_baselines(model.keys_, train[0], known, test):
            table.add_row(name, f"{_f1(answers, present):.2%}")
    Console().print(table)
    if train[0].height > MOST:
        print(f"logistic regression has learned from {MOST:,} of the others")


def _present(model: "FileTagger", tags: NDArray[Any]) -> NDArray[np.bool_]:
    """Returns which labels of the model each record has [B, T]."""
    places = {tag: place for place, tag in enumerate(model.classes_.tolist())}
    present = np.zeros((len(tags), len(places)), bool)
    for number, row in enumerate(tags):
        present[number, [places[tag] for tag in row if tag in places]] = True
    return present


def _f1(given: NDArray[np.bool_], present: NDArray[np.bool_]) -> float:
    """Returns F1 over all labels and records."""
    return float(2 * (given & present).sum() / max(1, given.sum() + present.sum()))
