"""Columns of a catalog of files, computed for many files at once.

Work is done column by column rather than file by file, and once per folder for what depends on the
folder alone.
"""

import contextlib
import stat
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from os import stat_result
from typing import NamedTuple

import numpy as np
import polars as pl

from plastorch.engine.errors import InputError
from plastorch.files.names import escape

_TIME = pl.Datetime("us", "UTC")

SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "path": pl.String,  # relative to the root
    "name": pl.String,
    "extension": pl.String,  # lower case, without the dot; null if there is none
    "parent": pl.String,  # name of the folder; null for files directly in the root, like dir1
    "dir1": pl.String,  # first folder of the path, and so on
    "dir2": pl.String,
    "dir3": pl.String,
    "dir4": pl.String,
    "depth": pl.UInt32,  # folders between the root and the file
    "name_length": pl.UInt32,  # characters
    "name_digits": pl.UInt32,
    "name_dots": pl.UInt32,
    "name_case": pl.String,  # "lower", "upper", "mixed"; null without letters
    "hidden": pl.Boolean,  # the name begins with a dot
    "size": pl.Int64,  # bytes
    "size_log2": pl.Float32,  # log2(size + 1)
    "mtime": _TIME,  # of the contents; null before 1678 and after 2261
    "ctime": _TIME,  # of the contents or of owner, mode, links and name
    "hour": pl.Int8,  # of mtime in UTC, 0 to 23
    "weekday": pl.Int8,  # of mtime in UTC, Monday is 1
    "age_days": pl.Float32,  # from mtime to the scan; negative for future times
    "uid": pl.Int64,
    "gid": pl.Int64,
    "owner": pl.String,  # null if the system has no name for it
    "group": pl.String,
    "mode": pl.String,  # four octal digits, "0644"
    "executable": pl.Boolean,  # by its owner, its group or others
    "links": pl.Int64,  # number of the file's names
    "inode": pl.UInt64,
    "device": pl.Int64,
    "magic": pl.String,  # type by the first bytes, only on request; null if unreadable
}
"""Names, order and types of all columns; comments say when one can be null."""

KEYS = (
    *("extension", "parent", "dir1", "dir2", "dir3", "dir4", "depth"),
    *("name_length", "name_digits", "name_dots", "name_case", "hidden"),
    *("size_log2", "hour", "weekday", "age_days"),
    *("owner", "group", "mode", "executable", "links", "magic"),
)
"""Columns to learn from, which similar files share; "magic" only if it was requested."""

IDENTITY = ("path", "name", "inode", "device")
"""Columns that identify the file."""


PLACES = ("dir1", "dir2", "dir3", "dir4", "depth")
"""Columns that depend on the folder where the scan began."""


class Listing(NamedTuple):
    """Files of one folder."""

    folder: str
    """Path of the folder, relative to the root, escaped; "" is the root."""
    names: list[str]
    """Escaped names of the files."""
    stats: list[stat_result]
    kinds: list[str | None] | None
    """Types by the first bytes, if requested."""


def schema(magic: bool) -> pl.Schema:
    """Returns the columns, with or without the types by the first bytes."""
    return pl.Schema({name: SCHEMA[name] for name in SCHEMA if magic or name != "magic"})


def deeper(frame: pl.DataFrame) -> pl.DataFrame:
    """Returns records as a scan sees them that begins one folder deeper. What stands in the fifth
    folder of a path is not known, so missing in ``dir4``."""
    folders = ("dir1", "dir2", "dir3", "dir4")
    absent = pl.lit(None, pl.String)
    moved = [
        (pl.col(after) if after in frame.columns else absent).alias(name)
        for name, after in zip(folders, (*folders[1:], ""), strict=True)
        if name in frame.columns
    ]
    if "depth" in frame.columns:
        depth = pl.col("depth")
        moved.append(pl.when(depth > 0).then(depth - 1).otherwise(depth))
    return frame.with_columns(moved)


def present(now: datetime | None) -> datetime:
    """Returns ``now``, or the present if None; raises InputError if it has no time zone."""
    if now is None:
        return datetime.now(UTC)
    if now.tzinfo is None:
        raise InputError(f"now is {now}; expected a time with a time zone")
    return now


def rows(listings: list[Listing], now: datetime, magic: bool) -> pl.DataFrame:
    """Returns one row per file with the columns ``schema(magic)``, in the order of the listings."""
    counts = np.array([len(listing.names) for listing in listings], np.int64)
    index = np.repeat(np.arange(len(listings)), counts)
    folders = _folders([listing.folder for listing in listings])[index]
    stats = [found for listing in listings for found in listing.stats]
    names = [name for listing in listings for name in listing.names]
    raw = [pl.Series("name", names, dtype=pl.String), *_numbers(stats)]
    if magic:
        kinds = [found for listing in listings for found in listing.kinds or ()]
        raw.append(pl.Series("magic", kinds, dtype=pl.String))
    frame = pl.concat([folders, pl.DataFrame(raw)], how="horizontal")
    frame = frame.with_columns(*_of_names(), *_of_numbers(now), *_of_codes(frame))
    wanted = schema(magic)
    return frame.select(pl.col(name).cast(dtype) for name, dtype in wanted.items())


def _folders(folders: list[str]) -> pl.DataFrame:
    parts = [folder.split("/") if folder else [] for folder in folders]
    padded = [[*names[:4], *[None] * (4 - len(names))] for names in parts]
    columns: dict[str, Sequence[str | None]] = {
        "prefix": [folder + "/" if folder else "" for folder in folders],
        "parent": [names[-1] if names else None for names in parts],
        **{f"dir{level + 1}": [names[level] for names in padded] for level in range(4)},
    }
    texts = [pl.Series(name, values, dtype=pl.String) for name, values in columns.items()]
    return pl.DataFrame([*texts, pl.Series("depth", map(len, parts), dtype=pl.UInt32)])


def _numbers(stats: list[stat_result]) -> list[pl.Series]:
    fields = ("size", "uid", "gid", "mode", "nlink", "ino", "dev", "mtime_ns", "ctime_ns")
    names = ("size", "uid", "gid", "bits", "links", "inode", "device", "mtime", "ctime")
    wide: dict[str, type[pl.DataType]] = {"inode": pl.UInt64}
    return [
        # strict=False: a time that 64-bit nanoseconds can't hold becomes null
        pl.Series(
            name,
            list(map(attrgetter("st_" + field), stats)),
            dtype=wide.get(name, pl.Int64),
            strict=False,
        )
        for name, field in zip(names, fields, strict=True)
    ]


def _of_names() -> list[pl.Expr]:
    name = pl.col("name")
    bare = name.str.strip_chars_start(".")
    last = bare.str.split(".").list.last().str.to_lowercase()
    lower, upper = name == name.str.to_lowercase(), name == name.str.to_uppercase()
    case = pl.when(lower & upper).then(None).when(lower).then(pl.lit("lower"))
    return [
        (pl.col("prefix") + name).alias("path"),
        pl.when(bare.str.contains(".", literal=True) & (last != "")).then(last).alias("extension"),
        name.str.len_chars().alias("name_length"),
        name.str.count_matches("[0-9]").alias("name_digits"),
        name.str.count_matches(".", literal=True).alias("name_dots"),
        case.when(upper).then(pl.lit("upper")).otherwise(pl.lit("mixed")).alias("name_case"),
        name.str.starts_with(".").alias("hidden"),
    ]


def _of_numbers(now: datetime) -> list[pl.Expr]:
    mtime, ctime = ((pl.col(name) // 1000).cast(_TIME) for name in ("mtime", "ctime"))
    age = (pl.lit(now.astimezone(UTC)).cast(_TIME) - mtime).dt.total_microseconds() / 86_400e6
    return [
        (pl.col("size") + 1).log(2).alias("size_log2"),
        mtime.alias("mtime"),
        ctime.alias("ctime"),
        mtime.dt.hour().alias("hour"),
        mtime.dt.weekday().alias("weekday"),
        age.alias("age_days"),
        (pl.col("bits") & 0o111 != 0).alias("executable"),
    ]


def _of_codes(frame: pl.DataFrame) -> list[pl.Expr]:
    texts: dict[str, tuple[str, Callable[[int], str | None]]] = {
        "owner": ("uid", _owner),
        "group": ("gid", _group),
        "mode": ("bits", lambda bits: f"{stat.S_IMODE(bits):04o}"),
    }
    expressions = []
    for name, (code, text) in texts.items():
        codes = frame[code].unique()
        values = pl.Series(map(text, codes), dtype=pl.String)
        expressions.append(pl.col(code).replace_strict(codes, values).alias(name))
    return expressions


def _owner(uid: int) -> str | None:
    import pwd

    with contextlib.suppress(KeyError):
        return escape(pwd.getpwuid(uid).pw_name)
    return None


def _group(gid: int) -> str | None:
    import grp

    with contextlib.suppress(KeyError):
        return escape(grp.getgrgid(gid).gr_name)
    return None
