"""``plastorch files predict``: classes of records, written as a table."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from plastorch.cli.files.abstain import check_abstention, least_confidence
from plastorch.cli.files.out import TOLD, check, put_sidecars, put_tags
from plastorch.cli.files.records import compare, records_of, status
from plastorch.engine.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from plastorch.files.trained import TrainedClassifier


@dataclass(frozen=True)
class Predict:
    """Predicts each record's class, with a confidence and the keys that drove it.

    Confidence is calibrated: of the answers with 0.9, about nine in ten are right.

    Args:
        model: file that plastorch files fit wrote.
        records: catalog (Parquet, .csv, .tsv, .jsonl), or a folder to scan.
        out: table of the predictions, .parquet, .csv or .jsonl; records other than files keep all
            their columns.
        engine: local for this process; ray for one process per CPU of a machine or cluster, which
            needs records in Parquet.
        address: HOST:PORT of a Ray cluster that this machine is part of, or auto.
        min_confidence: confidence, 0 to 1, below which the class stays empty.
        coverage: instead of min_confidence, share of the records to answer, the most confident
            ones; the confidence needed for it comes from records held out when the model was
            fitted.
        raw: leave text in .csv unchanged; otherwise an apostrophe goes before text that a
            spreadsheet would take for a formula.
        by_class: also write a probability for each class, in a column p_CLASS.
        sidecar: also write FILE.json or FILE.xmp beside each file of a folder; sidecars of other
            programs are kept.
        write_xattr: also add the class to the tags of each file of a folder, the extended attribute
            user.xdg.tags; without --yes, only list what would be written.
        yes: with --write-xattr, write the tags.
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


def predict(options: Predict) -> None:
    """Writes the table of predictions, and what other programs are told of them."""
    from plastorch.files.catalog import check_out
    from plastorch.files.tagger import load_model

    check_out(options.out, options.model, options.records)
    model = load_model(options.model)
    check(model, options.records, options.sidecar, options.write_xattr)
    least = least_confidence(model, options.min_confidence, options.coverage)
    told: list[pl.DataFrame] = []
    with status() as line:

        def tell(rows: int) -> None:
            line.update(f"{rows:,} records")

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
