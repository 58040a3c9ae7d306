"""``plastorch files show``: a page about a model, or about the labels it gave."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from plastorch.engine.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from plastorch.report.file_labels import LabeledFile, Labels

UNKNOWN = "(no answer)"
"""Text in place of a class where confidence was too low."""
SHOWN = 20
"""Number of confident files shown, and of doubtful ones."""


@dataclass(frozen=True)
class Show:
    """Writes a page: classes, counts, the most confident and the most doubtful files.

    Args:
        source: model, store of labels, or table that plastorch files predict wrote.
        out: file for the page, which needs no other file.
    """

    source: tyro.conf.Positional[Path]
    out: Path


def show(options: Show) -> None:
    """Writes the page of a model or of labels."""
    from plastorch.engine.output import check_output, write_atomically
    from plastorch.report.file_labels import labels_page

    check_output(options.out, options.source)
    page = labels_page(_labels(options.source))
    write_atomically(options.out, page.encode("utf-8", "replace"))
    print(f"page: {options.out.resolve()}")


def _labels(source: Path) -> "Labels":
    if not source.is_file():
        raise InputError(f"{source} is not a file; expected a model, a store, or predictions")
    try:
        with open(source, "rb") as file:
            start = file.read(16)
    except OSError as error:
        raise InputError(f"{source} can't be read: {error.strerror}") from None
    if start.startswith(b"SQLite format 3\0"):
        return _of_store(source)
    from plastorch.files.catalog import is_parquet

    if start.startswith(b"PAR1") or not is_parquet(source):
        return _of_predictions(source)
    return _of_model(source)


def _of_store(source: Path) -> "Labels":
    from plastorch.files.store import Labeled, LabelStore
    from plastorch.report.file_labels import LabeledFile, Labels

    def shown(row: Labeled) -> LabeledFile:
        return LabeledFile(row.path, row.label, row.confidence, row.keys)

    with LabelStore(source, create=False) as store:
        counts = store.counts()
        return Labels(
            title=source.name,
            lead="Labels of the files of a folder that is or was watched.",
            counted="files with a label",
            named="File",
            counts=counts,
            facts=[("Classes", str(len(counts)))],
            confident=list(map(shown, store.confident(SHOWN))),
            doubtful=list(map(shown, store.doubtful(SHOWN))),
        )


def _of_predictions(source: Path) -> "Labels":
    import polars as pl

    from plastorch.files.catalog import read_catalog
    from plastorch.report.file_labels import Labels

    frame = read_catalog(source)
    name = "path" if "path" in frame.columns else "row"
    lacking = {name, "class", "confidence", "keys"} - set(frame.columns)
    if lacking:
        named = ", ".join(sorted(lacking))
        raise InputError(f"{source} is not a table of plastorch files predict: it lacks {named}")
    if not (dtype := frame["confidence"].dtype).is_numeric():
        raise InputError(f"{source} holds {dtype} in column 'confidence'; expected numbers")
    known = pl.col("class").cast(pl.String).fill_null(UNKNOWN)
    frame = frame.select(pl.col(name, "keys").cast(pl.String).fill_null(""), known, "confidence")
    counts = frame["class"].value_counts(sort=True).sort("count", "class", descending=[True, False])
    sure = frame.sort("confidence", name, descending=[True, False], nulls_last=True)
    confidence = frame["confidence"].cast(pl.Float64).fill_null(0).to_numpy()
    return Labels(
        title=source.name,
        lead="Classes that a model gave records.",
        counted="records",
        named="File" if name == "path" else "Row",
        counts=dict(counts.iter_rows()),
        facts=[
            ("Classes", str(counts.height)),
            ("Mean confidence", f"{100 * float(confidence.mean()):.1f} %"),
        ],
        confident=_shown(sure.head(SHOWN), name),
        doubtful=_shown(sure.tail(SHOWN).reverse(), name),
    )


def _shown(frame: "pl.DataFrame", name: str) -> "list[LabeledFile]":
    from plastorch.report.file_labels import LabeledFile

    rows: Any = frame.select(name, "class", "confidence", "keys").iter_rows()
    return [LabeledFile(path, label, sure or 0.0, keys) for path, label, sure, keys in rows]


def _of_model(source: Path) -> "Labels":
    from plastorch.files.tagger import load_model
    from plastorch.report.file_labels import Labels

    model = load_model(source)
    learned = zip(model.classes_.tolist(), model.class_count_.tolist(), strict=True)
    counts = {str(name): count for name, count in sorted(learned, key=lambda item: -item[1])}
    kinds = {key.name: (key.neurons, str(key.kind)) for key in model.keys_}
    kinds |= {pair.name: (pair.neurons, "pair") for pair in model.pairs_}
    by_neurons = sorted(kinds.items(), key=lambda item: -item[1][0])
    return Labels(
        title=source.name,
        lead="A spiking network that classifies records by their metadata.",
        counted="records that it learned from",
        named="Record",
        counts=counts,
        facts=[
            ("Classes", str(len(counts))),
            ("Keys", str(len(model.keys_))),
            ("Pairs of keys", str(len(model.pairs_))),
            ("Input neurons", str(sum(neurons for neurons, _ in kinds.values()))),
            ("Hidden neurons", str(model.hidden)),
            ("Fingerprint", model.fingerprint[:16]),
        ],
        tables={
            "Keys and their input neurons": {
                name: f"{neurons}, {kind}" for name, (neurons, kind) in by_neurons
            }
        },
    )
