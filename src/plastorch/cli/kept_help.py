"""Help of experiments, kept in the user's cache: importing their settings, and torch, is slow."""

import contextlib
import hashlib
import io
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import plastorch
from plastorch.data.root import cache_root
from plastorch.engine.output import WriteError, write_atomically


def print_help(prog: str, config: type | str, parse: Callable[[], object]) -> None:
    """Prints the help that ``parse`` would print, from a cache that is filled once per version.

    There is one entry for each width of a terminal, and for colors or none. Settings (``config``)
    of another package can change at any time, so their help isn't cached.
    """
    if not (config if isinstance(config, str) else config.__module__).startswith("plastorch."):
        with contextlib.suppress(SystemExit):
            parse()
        return
    width, colors = shutil.get_terminal_size().columns, sys.stdout.isatty()
    key = hashlib.sha256(f"{prog} {width} {colors} {_version()}".encode()).hexdigest()[:16]
    folder = cache_root() / "help"
    name = prog.replace(" ", "-")
    try:
        print((folder / f"{name}.{key}").read_text(), end="")
        return
    except (OSError, ValueError):
        pass
    text = _captured(parse, colors)
    print(text, end="")
    with contextlib.suppress(OSError, WriteError):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{name}.*"):
            old.unlink(missing_ok=True)
        write_atomically(folder / f"{name}.{key}", text.encode())


def _captured(parse: Callable[[], object], colors: bool) -> str:
    class Words(io.StringIO):
        def isatty(self) -> bool:
            return colors

    words = Words()
    with contextlib.redirect_stdout(words), contextlib.suppress(SystemExit):
        parse()
    return words.getvalue()


def _version() -> str:
    """Returns what changes whenever a file of the package does."""
    root = Path(plastorch.__file__).parent
    files = [
        os.path.join(folder, name)
        for folder, _, names in os.walk(root)
        for name in names
        if name.endswith(".py")
    ]
    stats = [(file, os.stat(file)) for file in sorted(files)]
    return str([(file, found.st_size, found.st_mtime_ns) for file, found in stats])
