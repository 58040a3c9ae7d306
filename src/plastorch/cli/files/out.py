"""``plastorch files predict``: classes written beside the files, as sidecars and as tags."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from plastorch.cli.words import one_line
from plastorch.engine.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from plastorch.files.hand_over import Answer, Form
    from plastorch.files.trained import TrainedClassifier

LISTED = 20
"""Largest number of files that are listed before tags are written."""
TOLD = ("path", "class", "confidence", "keys")
"""Columns of predictions that are written for other programs."""


def check(
    model: "TrainedClassifier", records: Path, sidecar: "Form | None", write_xattr: bool
) -> None:
    """Raises InputError unless classes can be written beside the records."""
    if (sidecar or write_xattr) and not records.is_dir():
        raise InputError(
            f"records are {str(records)!r}; expected a folder with --sidecar and --write-xattr"
        )
    for name in map(str, model.classes_.tolist()):
        if write_xattr and "," in name:
            raise InputError(f"class {name!r} holds a comma, which separates tags; expected none")


def put_sidecars(
    root: Path, predictions: "Iterable[pl.DataFrame]", form: "Form", model: "TrainedClassifier"
) -> None:
    """Writes sidecars from the frames of predictions, and prints the files' fates."""
    from plastorch.files.hand_over import write_sidecars

    found = _answers(predictions, model)
    print(f"sidecars: {_told(write_sidecars(root, found, form, model.fingerprint))}")


def put_tags(
    root: Path, predictions: "Iterable[pl.DataFrame]", model: "TrainedClassifier", dry: bool
) -> None:
    """Writes tags from the frames of predictions, or lists them; prints the files' fates."""
    from plastorch.files.hand_over import write_tags

    listed = 0

    def tell(answer: "Answer") -> None:
        nonlocal listed
        listed += dry
        if dry and listed <= LISTED:
            print(one_line(f"would tag {answer.path}: {answer.label}"))

    fates = write_tags(root, _answers(predictions, model), dry=dry, tell=tell)
    print(f"tags: {_told(fates)}" + "; nothing was written: --yes writes them" * dry)


def _answers(
    predictions: "Iterable[pl.DataFrame]", model: "TrainedClassifier"
) -> "Iterator[Answer]":
    """Yields the files of predictions that have an answer."""
    import polars as pl

    from plastorch.files.hand_over import Answer
    from plastorch.files.tags import split_tags

    tagging = model.tagging
    for part in predictions:
        known = part.filter(pl.col("class").is_not_null())
        for path, label, confidence, keys in known.select(*TOLD).iter_rows():
            tags = None if tagging is None else split_tags(label, tagging.separator)
            yield Answer(path, label, confidence, keys or "", tags)


def _told(fates: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {fate}" for fate, count in sorted(fates.items())) or "0 files"
