"""``plastorch files fit``: trains a classifier of records, and evaluates it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tyro
from numpy.typing import NDArray

from plastorch.cli.files.records import learning, say, told_keys
from plastorch.cli.files.score import score, show_deeper
from plastorch.cli.files.tags import fit_tags
from plastorch.cli.words import nearest
from plastorch.engine.errors import InputError
from plastorch.engine.output import check_output

if TYPE_CHECKING:
    import polars as pl

    from plastorch.files.tagger import FileTagger

MOST_CLASSES = 10_000
"""Largest number of classes; a column with more values is not a class."""
MOST_NAME = 1000
"""Largest length of a class name in bytes."""


@dataclass(frozen=True)
class Fit:
    """Learns the classes in a column of a catalog from the other columns.

    A fifth of each class is held out for the score, beside simple baselines; of the rest, a tenth
    calibrates the confidence, and the others train the model. Columns that identify the file, and
    those that equal the label, are left out.

    With --separator, the column holds several labels per record, each learned and scored
    separately.

    With --update, a model learns more records, also of new classes, for which a few records are
    enough. So as not to forget old classes, a model keeps a sample of its records as spike
    patterns, and learns them again beside the new ones.

    Args:
        catalog: catalog of records, Parquet, .csv, .tsv or .jsonl.
        label: column of the classes; records without one are left out.
        out: file for the model.
        seed: random seed, 0 if not given.
        epochs: number of passes over the records; if not given, as many as give 10,000 weight
            updates, but at least 15 and at most 60; 15 with --update.
        hidden: number of hidden neurons, 256 if not given.
        neurons: total number of input neurons of all keys, 400 if not given.
        key_pairs: largest number of pairs of columns that get input neurons of their own, 15 if not
            given. There are no pairs unless they clearly predict the class better than the columns
            do separately.
        dropout: share of input spikes left out in training, 0 to less than 1, 0.2 if not given. It
            keeps a network of many neurons from memorizing few records.
        ignore: columns not to learn from.
        update: model to train further on the records; out may be the same file.
        separator: text between the labels of a record, if records may have several or none.
    """

    catalog: tyro.conf.Positional[Path]
    label: str
    out: Path
    seed: int | None = None
    epochs: int | None = None
    hidden: int | None = None
    neurons: int | None = None
    key_pairs: int | None = None
    dropout: float | None = None
    ignore: tuple[str, ...] = ()
    update: Path | None = None
    separator: str | None = None

    def __post_init__(self) -> None:
        for name in ("hidden", "neurons", "key_pairs", "dropout", "seed"):
            value = getattr(self, name)
            if self.update is not None and value is not None:
                raise InputError(
                    f"{name} is {value}; expected none with --update: the model keeps its own"
                )
        if self.separator == "" or (self.separator and self.update is not None):
            raise InputError(
                f"separator is {self.separator!r}; expected text between labels, none with --update"
            )
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise InputError(f"seed is {self.seed}; expected 0 or more, below 2**63")

    @property
    def given(self) -> dict[str, Any]:
        """Arguments for an estimator, without those that were not given."""
        names = ("hidden", "neurons", "key_pairs", "dropout", "epochs")
        values = {name: getattr(self, name) for name in names} | {"random_state": self.seed}
        return {name: value for name, value in values.items() if value is not None}


def fit(options: Fit) -> None:
    """Trains, scores and saves a classifier."""
    from plastorch.engine.estimators import classes_of, codes_of, seed_of
    from plastorch.files.arrays import check_texts
    from plastorch.files.calibration import held_out
    from plastorch.files.catalog import read_catalog
    from plastorch.files.classifier import FileClassifier
    from plastorch.files.metadata import IDENTITY

    check_output(options.out, options.catalog)
    catalog = read_catalog(options.catalog)
    frame, column = _labeled(catalog, options)
    if options.separator is not None:
        fit_tags(_tagger(options, options.separator), frame, column, options.out)
        return
    labels = _classes(column)
    if options.update is not None:
        _update(options, options.update, frame, labels)
        return
    named = f"column {options.label!r}"
    check_texts(labels, named)
    classes = classes_of(labels, named)
    if len(classes) > MOST_CLASSES:
        raise InputError(f"{named} holds {len(classes)} classes; expected 2 to {MOST_CLASSES}")
    if 2 * len(classes) > len(labels):
        say(
            f"{named} holds {len(classes):,} classes in {len(labels):,} records, fewer than two of "
            "each on average"
        )
    codes = codes_of(labels, classes)
    model = FileClassifier(**options.given)
    held = held_out(codes, seed_of(model.random_state))
    with learning(model.epochs_for(int((~held).sum()))) as tell:
        model.fit(frame.filter(~held), labels[~held], tell=tell)
    model.save(options.out)
    if held.any():
        score(model, frame, codes, held)
        if set(IDENTITY) <= set(catalog.columns):
            show_deeper(model, frame.filter(held), codes[held])
    else:
        print("no class has five records: none is held out, and there is no score")
    print(f"model: {options.out}, {len(classes)} classes, {told_keys(model)}")


def _tagger(options: Fit, separator: str) -> "FileTagger":
    from plastorch.files.tagger import FileTagger

    return FileTagger(**options.given, separator=separator)


def _update(options: Fit, old: Path, frame: "pl.DataFrame", labels: NDArray[Any]) -> None:
    """Lets a model learn more records, and says what it forgot."""
    from plastorch.engine.estimators import codes_of
    from plastorch.files.calibration import held_out
    from plastorch.files.classifier import FileClassifier
    from plastorch.files.learner import LEAST_EPOCHS

    model = FileClassifier.load(old)
    known, new = model.classes_, np.unique(labels)
    held = held_out(codes_of(labels, new), 0)
    before, kept = model.kept_score(known), model.kept_
    model.set_params(epochs=options.epochs)
    with learning(options.epochs or LEAST_EPOCHS) as tell:
        model.update(frame.filter(~held), labels[~held], tell=tell)
    model.save(options.out)
    places = np.searchsorted(model.classes_, known)
    after = model.kept_score(known, kept._replace(codes=places[kept.codes]))
    if np.isnan(before):
        print("the model keeps no records that it never learned from: no score of old classes")
    else:
        print(
            f"old classes, kept records never learned from: {after:.2%} right, {before:.2%} before"
        )
    if held.any():
        right = (model.predict(frame.filter(held)) == labels[held]).mean()
        print(f"new records: {right:.2%} of {held.sum():,} held-out ones right")
    added = len(model.classes_) - len(known)
    print(f"model: {options.out}, {len(model.classes_)} classes, {added} of them new")


def _classes(column: "pl.Series") -> NDArray[Any]:
    """Returns the class of each record; raises InputError if one is too long."""
    import polars as pl

    from plastorch.files.column_values import texts

    longest: Any = texts(column).str.len_bytes().max()
    if longest > MOST_NAME:
        raise InputError(
            f"column {column.name!r} holds a class of {longest:,} bytes; expected {MOST_NAME} "
            "at most"
        )
    plain = column.dtype.is_integer() or column.dtype in (pl.String, pl.Boolean)
    classes: NDArray[Any] = (column if plain else texts(column)).to_numpy()
    return classes


def _labeled(frame: "pl.DataFrame", options: Fit) -> tuple["pl.DataFrame", "pl.Series"]:
    """Returns the records that have a label, or may have none, reduced to usable columns, and their
    labels."""
    from plastorch.files.column_values import texts

    for name in (options.label, *options.ignore):
        if name not in frame.columns:
            raise InputError(f"column {name!r} is not there; {nearest(name, frame.columns)}")
    none = texts(frame[options.label]).fill_null("") == ""
    lacking = int(none.sum())
    if lacking == frame.height:
        raise InputError(f"column {options.label!r} holds no class")
    if lacking and options.separator is None:
        say(f"{lacking:,} records have no class in {options.label!r} and are left out")
        frame = frame.filter(~none)
    column = frame[options.label]
    left_out = {options.label, *options.ignore}
    if options.update is None:  # a model knows its keys, and a few records don't tell identifiers
        left_out |= _not_learned_from(frame, options.label, options.ignore)
    frame = frame.drop(left_out)
    if frame.width == 0:
        raise InputError(f"no column is left to learn {options.label!r} from")
    return frame, column


def _not_learned_from(frame: "pl.DataFrame", label: str, ignored: Sequence[str]) -> set[str]:
    """Returns the columns of a scan that are not keys, and those that equal the label."""
    from plastorch.files.column_values import texts
    from plastorch.files.identifiers import identifiers
    from plastorch.files.metadata import IDENTITY, KEYS, PLACES

    found: set[str] = set()
    if set(IDENTITY) <= set(frame.columns):
        from plastorch.files.metadata import SCHEMA

        found = {name for name in SCHEMA if name not in KEYS and name in frame.columns} - {label}
        say(f"a catalog of files: not learned from {', '.join(sorted(found))}")
        places = [
            name for name in PLACES if name in frame.columns and name not in (label, *ignored)
        ]
        if places:
            say(
                f"{', '.join(places)} count from the folder that was scanned: scan others from the "
                "same level, or leave them out with --ignore"
            )
    elif ids := set(identifiers(frame)) - {label}:
        say(f"identifiers, and not learned from: {', '.join(sorted(ids))}")
        found = ids
    right = texts(frame[label])
    same = [
        name
        for name in frame.columns
        if name != label and name not in found and texts(frame[name]).eq_missing(right).all()
    ]
    if same:
        say(f"equal to {label!r}, and not learned from: {', '.join(same)}")
    return found.union(same)
