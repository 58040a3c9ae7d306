"""``plastorch files page``: a page of a catalog's classes, and of what to label next."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from plastorch.cli.files.records import compare, records_of, status

if TYPE_CHECKING:
    import polars as pl

    from plastorch.files.classifier import FileClassifier
    from plastorch.report.label_next import Doubtful

SHOWN = 50
"""Number of records to label next."""
NONE = "no answer"
"""Name of the records that get no class."""
RANGES = [f"{10 * tenth}–{10 * tenth + 10} %" for tenth in range(10)]


@dataclass(frozen=True)
class Page:
    """Writes a page: classes, counts, confidence, and the least certain records, to be labeled.

    The page needs no other file and no network. Labels entered there can be downloaded as CSV: the
    keys of each record, and its class in the column label.

    Args:
        model: file that plastorch files fit wrote.
        records: catalog (Parquet, .csv, .tsv, .jsonl), or a folder to scan.
        out: file for the page.
    """

    model: tyro.conf.Positional[Path]
    records: tyro.conf.Positional[Path]
    out: Path


def page(options: Page) -> None:
    """Writes the page of a catalog."""
    from plastorch.engine.output import check_output, write_atomically
    from plastorch.files.classifier import FileClassifier
    from plastorch.report.label_next import LabelNext, label_next_page

    check_output(options.out, options.records, options.model)
    model = FileClassifier.load(options.model)
    with status():
        counts, tenths, doubtful = _collected(model, options.records)
    name = "path" if "path" in doubtful.columns else "row"
    keys = [key.name for key in model.keys_]
    label = "given_label" if "label" in keys else "label"
    columns = ["path", *keys] if name == "path" and "path" not in keys else keys
    classes = set(map(str, model.classes_.tolist()))
    contents = LabelNext(
        title=options.records.name or str(options.records.resolve()),
        named="File" if name == "path" else "Row",
        counts=counts,
        certainty=dict(zip(RANGES, tenths, strict=True)),
        facts=[("Classes", str(len(model.classes_))), ("Model", model.fingerprint[:16])],
        doubtful=_rows(model, doubtful, name, columns),
        classes={each: _cell(each) for each in counts if each in classes},
        header=_quoted([*columns, label]),
    )
    write_atomically(options.out, label_next_page(contents).encode("utf-8", "replace"))
    print(f"page: {options.out.resolve()}")


def _collected(
    model: "FileClassifier", records: Path
) -> "tuple[dict[str, int], list[int], pl.DataFrame]":
    """Returns counts by class and by tenth of confidence, and the least certain records."""
    import polars as pl

    from plastorch.files.shards import labeled

    counts = {str(name): 0 for name in model.classes_.tolist()}
    tenths, rows = [0] * 10, 0
    doubtful: list[pl.DataFrame] = []
    for part in records_of(model, records):
        if rows == 0:
            compare(model, part, str(records))
        told = labeled(model, part, rows)
        rows += part.height
        name = "path" if "path" in told.columns else "row"
        told = told.select(name, "class", "confidence", "keys")
        told = told.with_columns(pl.col("class").fill_null(NONE), pl.col("keys").fill_null(""))
        for name, count in told["class"].value_counts().iter_rows():
            counts[name] = counts.get(name, 0) + count
        places = (told["confidence"] * 10).cast(pl.Int64).clip(0, 9)
        for place, count in places.value_counts().iter_rows():
            tenths[place] += count
        names = [key.name for key in model.keys_ if key.name in part.columns]
        given = part.select(pl.col(names).name.prefix("key "))
        whole = pl.concat([*doubtful, pl.concat([told, given], how="horizontal")])
        doubtful = [whole.sort("confidence", maintain_order=True).head(SHOWN)]
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return dict(ordered), tenths, doubtful[0]


def _rows(
    model: "FileClassifier", doubtful: "pl.DataFrame", name: str, columns: list[str]
) -> "list[Doubtful]":
    """Returns the least certain records with their lines of CSV."""
    import polars as pl

    from plastorch.files.column_values import numbers, texts
    from plastorch.files.formulas import guarded
    from plastorch.report.label_next import Doubtful

    kinds = {key.name: key.kind for key in model.keys_}
    cells = []
    for column in columns:
        found = doubtful.get_column(f"key {column}" if column in kinds else column, default=None)
        if found is None:
            found = pl.Series([None] * doubtful.height, dtype=pl.String)
        elif kinds.get(column) in ("number", "cycle"):
            found = pl.Series(numbers(found)).fill_nan(None)
        else:
            found = texts(found)
        cells.append(found.alias(column))
    table = guarded(pl.DataFrame(cells).lazy()).collect()
    lines = [row.write_csv(include_header=False).removesuffix("\n") for row in table.iter_slices(1)]
    named = pl.col(name).cast(pl.String).fill_null("")
    shown: Any = doubtful.select(named, "class", "confidence", "keys").rows()
    return [Doubtful._make((*row, line)) for row, line in zip(shown, lines, strict=True)]


def _cell(name: str) -> str:
    """Returns a class as it is in CSV."""
    import polars as pl

    from plastorch.files.formulas import guarded

    return guarded(pl.LazyFrame({"": [name]})).collect().write_csv(include_header=False)[:-1]


def _quoted(names: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="").writerow(names)
    return line.getvalue()
