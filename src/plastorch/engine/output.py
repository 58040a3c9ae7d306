"""Files that are written: each is checked before work starts, written aside, and then renamed."""

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
    """A file can't be written."""


def check_output(out: Path, *inputs: Path) -> None:
    """Checks, before work starts, that a file may be written: a new one, or in the place of one.

    A file that is renamed takes the place of anything, be it a device. So all else is refused, and
    so are links, whatever they point to.

    Args:
        out: the file.
        inputs: what is read, and not to be lost.

    Raises:
        InputError: if the file can't be written, or must not be.

    Example:
        >>> check_output(Path("/dev/null"))
        Traceback (most recent call last):
        ...
        plastorch.engine.errors.InputError: out is '/dev/null': it is a device; expected a regular \
file or a new name
    """
    if obstacle := _obstacle(out):
        raise InputError(f"out is {str(out)!r}: {obstacle}")
    if out.exists() and any(other.exists() and other.samefile(out) for other in inputs):
        raise InputError(f"out is {str(out)!r}, which is read as well; expected another file")


def _obstacle(path: Path) -> str | None:
    """Why a file must not be written, if so."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        parent = path.parent
        return None if parent.is_dir() else f"there is no folder {str(parent)!r}"
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        return getattr(error, "strerror", None) or str(error)
    if stat.S_ISREG(mode):
        return None
    kind = _KINDS.get(stat.S_IFMT(mode), "no regular file")
    return f"it is {kind}; expected a regular file or a new name"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Names a file in what goes wrong while it is written, such as a full disk, which names none.

    Raises:
        WriteError: in the place of an OSError.

    Example:
        >>> with writing(Path("page.html")):
        ...     raise OSError(28, "No space left on device")
        Traceback (most recent call last):
        ...
        plastorch.engine.output.WriteError: can't write page.html: No space left on device
    """
    try:
        yield
    except OSError as error:
        raise WriteError(f"can't write {path}: {error.strerror or error}") from None


def put_in_place(partial: Path, path: Path) -> None:
    """Forces a file to disk, and renames it.

    Args:
        partial: the file, on the same disk as the next.
        path: what it becomes; of an older file there nothing stays.

    Raises:
        WriteError: if what is there is no regular file, or it can't be done.
    """
    if obstacle := _obstacle(path):
        raise WriteError(f"can't write {path}: {obstacle}")
    with writing(path):
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file under a temporary name, forces it to disk and renames it.

    Raises:
        WriteError: if the folder can't be written or the disk is full, and an older file stays
            whole; also if what is there is no regular file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomically(Path(folder, "page.html"), b"<p>")
        ...     os.listdir(folder)
        ['page.html']
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with writing(path):
        try:
            partial.unlink(missing_ok=True)
            with open(partial, "xb") as file:  # never what a link of that name points to
                file.write(data)
            put_in_place(partial, path)
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
