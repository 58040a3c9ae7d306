"""Speed of plastorch against peers: groups of rows; each row interleaves two sides in a process."""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from plastorch.engine.errors import InputError, check_one_of

GROUP = "plastorch.bench"
"""Entry-point group of functions that return the data's name and the rows, one by one."""


def groups() -> list[str]:
    """Returns the names of all groups of rows, sorted."""
    return sorted(point.name for point in entry_points(group=GROUP))


def run_group(
    group: str,
    out: Path | None,
    tell: Callable[[str], None],
    warn: Callable[[str], None] = print,
) -> None:
    """Measures one of :func:`groups`, reports each row, and writes all as JSON if ``out`` is given.

    ``tell`` gets a line per row; ``warn`` gets lines on the rows' cost and on rows left out.
    Raises InputError, before any work, if ``out`` can't be written, an extra is not installed, or
    data or the peer is missing.
    """
    from plastorch.bench.timing import check_out, line, one_quiet_thread, write_rows
    from plastorch.engine.device import keep_freed_memory

    check_one_of(groups(), group=group)
    if out is not None:
        check_out(out)
    (point,) = entry_points(group=GROUP, name=group)
    try:
        measure = point.load()
    except ModuleNotFoundError as error:
        if error.name != "polars":
            raise
        raise InputError('polars is missing; expected: pip install "plastorch[files]"') from None
    keep_freed_memory()
    data, measured = measure()
    if cost := getattr(import_module(point.module), "COST", ""):
        warn(f"{group}: about {cost}")
    if left_out := data.get("left_out"):
        warn(f"left out, as their peer is only in plastorch's repository: {', '.join(left_out)}")
    rows = []
    with one_quiet_thread():
        for row in measured:
            rows.append(row)
            tell(line(row))
        if out is not None:
            write_rows(out, group, data, rows)
