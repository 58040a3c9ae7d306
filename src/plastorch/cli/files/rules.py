"""``plastorch files rules``: the keys and values that favor each class."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from plastorch.cli.files.records import compare, records_of, status
from plastorch.cli.words import one_line

if TYPE_CHECKING:
    import polars as pl

MEANING = (
    "A number is the change of a class's log-odds when records are given the value in place of "
    "their own: the mean over {} records."
)


@dataclass(frozen=True)
class Rules:
    """Lists the keys and values that most favor each class.

    A value's number is the change of the class's log-odds when records are given the value in place
    of their own, on average over 100 records of the catalog. Values are the most frequent ones of
    the catalog; for numbers, the middles of five equal parts.

    Args:
        model: file that plastorch files fit wrote.
        records: catalog (Parquet, .csv, .tsv, .jsonl), or a folder to scan.
        top: largest number of values per class.
        json: print JSON: an object per value, with class, key, value, log_odds and records.
    """

    model: tyro.conf.Positional[Path]
    records: tyro.conf.Positional[Path]
    top: int = 5
    json: bool = False


def rules(options: Rules) -> None:
    """Prints the rules of a model."""
    import polars as pl

    from plastorch.files.rules import RECORDS
    from plastorch.files.rules import rules as rules_of
    from plastorch.files.tagger import load_model

    model = load_model(options.model)
    with status():
        frame = pl.concat(records_of(model, options.records))
        compare(model, frame, str(options.records))
        found = rules_of(model, frame, options.top)
    if options.json:
        print(json.dumps(found.to_dicts(), indent=1))
        return
    for name in map(str, model.classes_.tolist()):
        _show(name, found.filter(pl.col("class") == name), frame.height)
    print(MEANING.format(min(RECORDS, frame.height)))


def _show(name: str, found: "pl.DataFrame", total: int) -> None:
    print(one_line(name))
    for row in found.iter_rows(named=True):
        value = "is missing" if row["value"] is None else f"= {one_line(row['value'])}"
        told = f"{one_line(row['key'])} {value}"
        print(f"  {row['log_odds']:+6.2f}  {told}  ({row['records']:,} of {total:,} records)")
    if found.is_empty():
        print("  no value favors it")
    print()
