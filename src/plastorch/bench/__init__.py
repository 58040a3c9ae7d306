"""Speed of plastorch against peers: groups of rows, each two sides interleaved in one process."""

from collections.abc import Callable
from pathlib import Path

from plastorch.engine.errors import InputError


def run_group(group: str, out: Path, tell: Callable[[str], None]) -> None:
    """Measures a group, tells each row and writes them all to a file.

    Args:
        group: "softhebb", "stpn", "spiking" or "rank".
        out: file for the rows, JSON; its folder is made.
        tell: takes a line per row.

    Raises:
        InputError: for an unknown group, or, before any work, if ``out`` can't be written.
    """
    from plastorch.bench import rank, softhebb, spiking, stpn
    from plastorch.bench.timing import line, one_quiet_thread, prepare, write_rows
    from plastorch.engine.device import keep_freed_memory

    groups = {
        "softhebb": softhebb.rows,
        "stpn": stpn.rows,
        "spiking": spiking.rows,
        "rank": rank.rows,
    }
    if group not in groups:
        raise InputError(f"group is {group!r}; expected one of {', '.join(groups)}")
    prepare(out)
    keep_freed_memory()
    data, measured = groups[group]()
    rows = []
    with one_quiet_thread():
        for row in measured:
            rows.append(row)
            tell(line(row))
        write_rows(out, group, data, rows)
