"""Other packages with STDP beside plastorch, from ``benchmarks/results/peers-spiking.json``."""

import json
from typing import Any

from committed import RESULTS


def spiking_peers() -> dict[str, Any]:
    """Returns the committed table, its rows by name."""
    found: dict[str, Any] = json.loads((RESULTS / "peers-spiking.json").read_text())
    return found | {"rows": {row["name"]: row for row in found["rows"]}}


def dates(table: dict[str, Any]) -> str:
    """Returns when the rows were measured.

    Example:
        >>> rows = {"a": {"date": "2026-11-30"}, "b": {"date": "2026-12-01"}}
        >>> dates({"rows": rows}), dates({"rows": {"a": rows["a"]}})
        ('from 2026-11-30 to 2026-12-01', 'on 2026-11-30')
    """
    days = sorted({row["date"] for row in table["rows"].values()})
    return f"on {days[0]}" if len(days) == 1 else f"from {days[0]} to {days[-1]}"


def neurons_of(table: dict[str, Any]) -> list[int]:
    """Returns the numbers of neurons that were measured, ascending."""
    return sorted({int(name.split("-")[1].removeprefix("784x")) for name in table["rows"]})


def version_of(table: dict[str, Any], peer: str) -> str:
    """Returns the version of a package; nothing if it has no row."""
    rows = (row for row in table["rows"].values() if row["peer"] == peer)
    return next((row["peer_versions"][peer] for row in rows), "")


def two_digits(value: float) -> str:
    """Returns a number with two significant digits.

    Example:
        >>> two_digits(0.0512), two_digits(1234.0)
        ('0.051', '1,200')
    """
    return f"{float(f'{value:.2g}'):,g}"


def digits_per_second(seconds: float) -> str:
    """Returns a rate with about two digits.

    Example:
        >>> digits_per_second(0.0013), digits_per_second(2.0)
        ('770', '0.5')
    """
    return two_digits(1 / seconds)


def speed(table: dict[str, Any], peer: str, neurons: int, batch: int) -> str:
    """Returns a package's digits per second beside ours, and how many times as fast ours is."""
    row = table["rows"].get(f"{peer}-784x{neurons}-b{batch}")
    if row is None:
        return "–"
    theirs, ours = (digits_per_second(row[side]) for side in ("peer_s", "ours_s"))
    return f"{theirs} / {ours}: **{two_digits(row['ratio'])}**"


def memory(table: dict[str, Any], peer: str, neurons: int, batch: int) -> str:
    """Returns the peak memory of a package's process beside ours, MB."""
    row = table["rows"].get(f"{peer}-784x{neurons}-b{batch}")
    return "–" if row is None else f"{row['peer_peak_mb']:,} / {row['peak_mb']:,}"


def ready(table: dict[str, Any], peer: str, neurons: int, batch: int) -> str:
    """Returns the CPU seconds until a package's process was ready beside ours."""
    row = table["rows"].get(f"{peer}-784x{neurons}-b{batch}")
    return "–" if row is None else f"{row['peer_ready_s']:.0f} / {row['ready_s']:.0f}"
