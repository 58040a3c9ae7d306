"""``plastorch bench [GROUP]``."""

import sys
from functools import partial
from pathlib import Path

import tyro

from plastorch.cli.parse import parse
from plastorch.engine.errors import check_one_of


def bench(arguments: list[str]) -> int:
    """Runs ``plastorch bench [GROUP]``."""
    from plastorch.bench import groups, run_group

    def options(group: tyro.conf.Positional[str] = "softhebb", out: Path | None = None) -> None:
        """Measures speed against peers, interleaved in one process; ratio = median peer / ours.

        Needs a checkout of plastorch's repository, which has the peers' programs.

        Args:
            group: group of rows to measure.
            out: JSON file for the rows; if not given, they are only shown.
        """
        check_one_of(groups(), GROUP=group)
        run_group(group, out, print, partial(print, file=sys.stderr))

    parse(options, "plastorch bench", arguments)
    return 0
