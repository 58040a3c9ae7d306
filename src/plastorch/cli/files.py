"""``plastorch files scan | fit | predict | watch | show | rules | page``."""

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro
from rich.text import Text

from plastorch.cli.files_abstain import Cautious, check_abstention, least_confidence
from plastorch.cli.files_fit import Fit, fit
from plastorch.cli.files_out import TOLD, check, put_sidecars, put_tags
from plastorch.cli.files_page import Page, page
from plastorch.cli.files_records import compare, records_of, say, wants_magic
from plastorch.cli.files_records import status as status_line
from plastorch.cli.files_rules import Rules, rules
from plastorch.cli.files_show import Show, show
from plastorch.cli.parse import parse
from plastorch.engine.errors import InputError, check_one_of, require

if TYPE_CHECKING:
    import polars as pl

    from plastorch.files.trained import TrainedClassifier

LINE_S = 60.0
"""Seconds between lines of a watch that has no terminal."""

USAGE = """usage: plastorch files VERB ...

verbs:
  scan FOLDER --out catalog.parquet [--magic]
      metadata of a tree of files as a table
  fit CATALOG --label COLUMN --out MODEL
      learns classes, or with [--separator TEXT] several labels per record; a
      held-out score, baselines
  predict MODEL RECORDS --out labels.parquet [--engine ray]
          [--min-confidence 0.9 | --coverage 0.8]
      class, confidence and what drove it; [--sidecar json|xmp] [--write-xattr]
  watch MODEL FOLDER --store labels.sqlite
      labels files as they come and change
  show SOURCE --out page.html
      of a model, a store or predictions: classes, counts, doubtful files
  rules MODEL RECORDS [--top 5] [--json]
      keys and values that speak for each class
  page MODEL RECORDS --out page.html
      classes, confidence, and the least certain records to label next

CATALOG is a table, of files or of anything else with metadata: Parquet, CSV
(.csv, .tsv) or JSON lines (.jsonl). RECORDS are a catalog, or a folder, which
is scanned. plastorch files VERB --help says more."""


@dataclass(frozen=True)
class Scan:
    """Walks a tree of files and writes a table of their metadata.

    Symbolic links are not followed; unreadable files are counted and left out.

    Args:
        folder: folder to scan.
        out: file for the table, .parquet, .csv or .jsonl.
        magic: also read the first bytes of each file for its type.
    """

    folder: tyro.conf.Positional[Path]
    out: Path
    magic: bool = False


@dataclass(frozen=True)
class Predict:
    """Predicts each record's class, with a confidence and the keys that drove it.

    Confidence is calibrated: of the answers with 0.9, about nine in ten are right.

    Args:
        model: file that plastorch files fit wrote.
        records: catalog (Parquet, .csv, .tsv, .jsonl), or a folder to scan.
        out: table of the predictions, .parquet, .csv or .jsonl; other records than files keep all
            their columns.
        engine: local for this process; ray for one per CPU of a machine or cluster, on Parquet.
        address: HOST:PORT of a Ray cluster that this machine is part of, or auto.
        min_confidence: confidence, 0 to 1, below which the class stays empty.
        coverage: instead, share of the records to answer, the most confident ones; the confidence
            that this takes was looked up on records held out when the model was fitted.
        raw: leave text in .csv unchanged; otherwise an apostrophe goes before text that a
            spreadsheet would take for a formula.
        by_class: also write a probability for each class, in a column p_CLASS.
        sidecar: also write FILE.json or FILE.xmp beside each file of a folder; sidecars of other
            programs are kept.
        write_xattr: also add the class to the tags of each file of a folder, the extended attribute
            user.xdg.tags; without --yes, only list what would be written.
        yes: write the tags.
    """

    model: tyro.conf.Positional[Path]
    records: tyro.conf.Positional[Path]
    out: Path
    engine: Literal["local", "ray"] = "local"
    address: str | None = None
    min_confidence: float | None = None
    coverage: float | None = None
    raw: bool = False
    by_class: bool = False
    sidecar: Literal["json", "xmp"] | None = None
    write_xattr: bool = False
    yes: bool = False

    def __post_init__(self) -> None:
        if self.yes and not self.write_xattr:
            raise InputError("yes is True; expected --write-xattr with it")
        check_abstention(self.min_confidence, self.coverage)
        if self.address is not None and self.engine != "ray":
            raise InputError(f"address is {self.address!r}; expected --engine ray with it")


@dataclass(frozen=True)
class Watch:
    """Labels the files of a folder, and those that appear or change, until Ctrl-C.

    Args:
        model: file that plastorch files fit wrote.
        folder: folder to watch.
        store: SQLite database of the labels; created if it is missing.
        min_confidence: confidence, 0 to 1, below which a file's label is empty.
        coverage: instead, share of the files to answer, as for plastorch files predict.
        rescan_s: seconds between comparisons of the whole tree with the store.
    """

    model: tyro.conf.Positional[Path]
    folder: tyro.conf.Positional[Path]
    store: Path
    min_confidence: float | None = None
    coverage: float | None = None
    rescan_s: float = 60.0

    def __post_init__(self) -> None:
        check_abstention(self.min_confidence, self.coverage)


def files(arguments: list[str]) -> int:
    """Runs ``plastorch files VERB``."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    verb, rest = arguments[0], arguments[1:]
    check_one_of(VERBS, VERB=verb)
    options, run, needed = VERBS[verb]
    given = parse(options, f"plastorch files {verb}", rest)
    for name in needed:
        require(name, "files")
    with warnings.catch_warnings():
        for start in ("records lack", "The number of unique classes"):  # the command says it itself
            warnings.filterwarnings("ignore", start)
        run(given)
    return 0


def _scan(options: Scan) -> None:
    from plastorch.files.scan import write_catalog
    from plastorch.files.walk import Summary

    def tell(summary: Summary, folder: str) -> None:
        status.update(Text(f"{summary.files:,} files … {folder[-60:]}"))

    with status_line() as status:
        summary = write_catalog(options.folder, options.out, magic=options.magic, tell=tell)
    print(f"{options.out}: {summary}")


def _predict(options: Predict) -> None:
    from plastorch.files.catalog import check_out
    from plastorch.files.tagger import load_model

    check_out(options.out, options.model, options.records)
    model = load_model(options.model)
    check(model, options.records, options.sidecar, options.write_xattr)
    least = least_confidence(model, options.min_confidence, options.coverage)
    told: list[pl.DataFrame] = []
    with status_line() as status:

        def tell(rows: int) -> None:
            status.update(f"{rows:,} records")

        if options.engine == "ray":
            rows = _predict_on_ray(model, options, least, tell)
        else:
            rows = _predict_here(model, options, least, tell, told)
    asked = f"; below a confidence of {least:.3f} the class is empty" if least > 0 else ""
    kind = "classes" if model.tagging is None else "tags"
    print(f"{options.out}: {rows:,} records, {len(model.classes_)} {kind}{asked}")
    if options.sidecar:
        put_sidecars(options.records, told, options.sidecar, model)
    if options.write_xattr:
        put_tags(options.records, told, model, dry=not options.yes)


def _predict_here(
    model: "TrainedClassifier",
    options: Predict,
    least: float,
    tell: Callable[[int], None],
    told: "list[pl.DataFrame]",
) -> int:
    """Writes the table of answers; adds to ``told`` what other programs are to be told of them."""
    from plastorch.files.catalog import beside, check_out, write_parts
    from plastorch.files.shards import labeled

    out = check_out(options.out)

    def answers(aside: Path) -> "Iterator[pl.DataFrame]":
        rows = 0
        for part in records_of(model, options.records, (out, aside)):
            if rows == 0:
                compare(model, part, str(options.records))
            found = labeled(model, part, rows, by_class=options.by_class, min_confidence=least)
            if options.sidecar or options.write_xattr:
                told.append(found.select(*TOLD))
            yield found
            rows += part.height
            tell(rows)

    with beside(out) as aside:
        return write_parts(answers(aside), out, aside, raw=options.raw)


def _predict_on_ray(
    model: "TrainedClassifier", options: Predict, least: float, tell: Callable[[int], None]
) -> int:
    from plastorch.engine.cluster import check_shared, cluster, needs_ray
    from plastorch.files.catalog import frames, is_parquet
    from plastorch.files.shards import predict_shards

    if not is_parquet(options.records):
        raise InputError(
            f"records are {str(options.records)!r}; expected a Parquet file with --engine ray, as "
            "plastorch files scan writes"
        )
    needs_ray("ray.data")
    compare(model, next(frames(options.records)), str(options.records))
    with cluster(options.address):
        for path in (options.model, options.records, options.out.parent):
            check_shared(path.resolve())
        return predict_shards(
            options.model,
            options.records,
            options.out,
            tell,
            raw=options.raw,
            by_class=options.by_class,
            min_confidence=least,
        )


def _watch(options: Watch) -> None:
    import polars as pl

    from plastorch.files.metadata import schema
    from plastorch.files.reconcile import Counts
    from plastorch.files.single_rows import records
    from plastorch.files.store import LabelStore
    from plastorch.files.tagger import load_model
    from plastorch.files.watch import watch

    model = load_model(options.model)
    magic = wants_magic(model)
    least = least_confidence(model, options.min_confidence, options.coverage)
    compare(model, pl.DataFrame(schema=schema(magic)), "files")

    told = -LINE_S

    def tell(counts: Counts) -> None:
        nonlocal told
        status.update(Text(f"{options.folder}: {counts}"))
        if not status.console.is_terminal and time.monotonic() - told >= LINE_S:
            told = time.monotonic()
            say(f"{options.folder}: {counts}")

    with LabelStore(options.store) as store, status_line() as status:
        status.update(Text(f"{options.folder}: first look; Ctrl-C ends the watch"))
        counts = watch(
            Cautious(model, least),
            options.folder,
            store,
            model=f"{model.fingerprint} from {least}" if least > 0 else model.fingerprint,
            rescan_s=options.rescan_s,
            read=partial(records, magic=magic),
            tell=tell,
        )
    print(f"{options.store}: {counts}")


VERBS: dict[str, tuple[type, Callable[[Any], None], tuple[str, ...]]] = {
    "scan": (Scan, _scan, ("polars",)),
    "fit": (Fit, fit, ("polars",)),
    "predict": (Predict, _predict, ("polars",)),
    "watch": (Watch, _watch, ("polars", "watchfiles")),
    "show": (Show, show, ("polars",)),
    "rules": (Rules, rules, ("polars",)),
    "page": (Page, page, ("polars",)),
}
