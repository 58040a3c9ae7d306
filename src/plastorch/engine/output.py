"""Output files: each is checked before work starts, written aside, and then renamed."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from plastorch.engine.errors import InputError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class WriteError(InputError):
    """Failure to write a file."""


def check_output(out: Path, *inputs: Path) -> None:
    """Raises InputError, before work starts, unless a file may be created or replaced.

    Renaming a file would replace anything, even a device. So all but regular files are refused, and
    so are links, whatever they point to, and files that are inputs.
    """
    if obstacle := _obstacle(out):
        raise InputError(f"out is {str(out)!r}: {obstacle}")
    if out.exists() and any(other.exists() and other.samefile(out) for other in inputs):
        raise InputError(f"out is {str(out)!r}, which is read as well; expected another file")


def _obstacle(path: Path) -> str | None:
    """Returns the reason why a file must not be written, or None."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        parent = path.parent
        return None if parent.is_dir() else f"there is no folder {str(parent)!r}"
    except (OSError, ValueError) as error:  # ValueError: NUL in the name
        return getattr(error, "strerror", None) or str(error)
    if stat.S_ISREG(mode):
        return None
    kind = _KINDS.get(stat.S_IFMT(mode), "not a regular file")
    return f"it is {kind}; expected a regular file or a new name"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Adds the file's name to errors of writing it, such as a full disk, as a WriteError."""
    try:
        yield
    except OSError as error:
        raise WriteError(f"can't write {path}: {error.strerror or error}") from None


def put_in_place(partial: Path, path: Path) -> None:
    """Forces a file to disk, and renames it to replace another regular file on the same disk."""
    if obstacle := _obstacle(path):
        raise WriteError(f"can't write {path}: {obstacle}")
    with writing(path):
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file under a temporary name, forces it to disk and renames it.

    If it raises WriteError, an older file stays whole.
    """
    partial = Path(f"{path}.{os.getpid()}.partial")
    with writing(path):
        try:
            partial.unlink(missing_ok=True)
            with open(partial, "xb") as file:  # never the target of a link of that name
                file.write(data)
            put_in_place(partial, path)
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
