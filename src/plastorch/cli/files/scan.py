"""``plastorch files scan``: a table of the metadata of a tree of files."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from rich.text import Text

from plastorch.cli.files.records import status

if TYPE_CHECKING:
    from plastorch.files.walk import Summary


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


def scan(options: Scan) -> None:
    """Writes the table of a tree of files."""
    from plastorch.files.scan import write_catalog

    def tell(summary: "Summary", folder: str) -> None:
        line.update(Text(f"{summary.files:,} files … {folder[-60:]}"))

    with status() as line:
        summary = write_catalog(options.folder, options.out, magic=options.magic, tell=tell)
    print(f"{options.out}: {summary}")
