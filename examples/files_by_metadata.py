"""Files are classified by their metadata alone: the files of this Python, by their kind.

    pip install 'plastorch[files]'
    python examples/files_by_metadata.py [FOLDER]

Names and contents are not used, only owner, folders, size, times and the like.
"""

import sys
import sysconfig
from pathlib import Path

import polars as pl

from plastorch.files import FileClassifier
from plastorch.files.metadata import KEYS
from plastorch.files.scan import scan

KINDS = 5


def catalog(folder: Path, most: int) -> pl.DataFrame:
    """Files of the most frequent kinds, one row each, in random order."""
    frame = pl.concat(scan(folder)).filter(pl.col("extension").is_not_null())
    frequent = frame["extension"].value_counts(sort=True)["extension"][:KINDS]
    frame = frame.filter(pl.col("extension").is_in(frequent.to_list()))
    return frame.sample(min(most, frame.height), shuffle=True, seed=0)


def main(folder: Path, most: int = 5000, epochs: int = 5) -> tuple[float, float]:
    """Returns the accuracy, and that of always answering with the most frequent kind."""
    frame = catalog(folder, most)
    kinds, known = frame["extension"].to_numpy(), frame.height * 4 // 5
    keys = frame.select(key for key in KEYS if key in frame.columns and key != "extension")

    model = FileClassifier(hidden=64, epochs=epochs).fit(keys[:known], kinds[:known])
    right = float((model.predict(keys[known:]) == kinds[known:]).mean())
    most_frequent = frame["extension"][:known].value_counts()["count"].max() / known
    print(f"{known} files of {folder} learned; {right:.1%} of {frame.height - known} others right")
    print(f"the most frequent kind is {most_frequent:.1%} of them")

    answers = model.describe(keys[known:][:5])
    with pl.Config(tbl_hide_dataframe_shape=True, fmt_str_lengths=60, tbl_width_chars=100):
        print(answers.insert_column(0, frame["path"][known:][:5].str.tail(30).rename("file")))
    return right, most_frequent


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else sysconfig.get_paths()["stdlib"]))
