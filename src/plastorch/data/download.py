"""Official downloads: by https only, verified by checksum, complete or not at all."""

import hashlib
import os
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib import request

from rich.console import Console
from rich.progress import wrap_file

from plastorch.data.catalog import Entry, entry_of
from plastorch.data.locate import find_set, missing_files
from plastorch.data.root import data_root
from plastorch.engine.errors import InputError

STALL_SECONDS = 30
HANDLERS: tuple[Callable[[], request.BaseHandler], ...] = (
    *(request.ProxyHandler, request.HTTPSHandler, request.HTTPRedirectHandler),
    *(request.HTTPErrorProcessor, request.HTTPDefaultErrorHandler, request.UnknownHandler),
)
"""URL handlers; none for plain http, so no redirect can lead to it."""
_BLOCK = 1 << 20


def download_images(
    name: str, data: str | Path | None = None, tell: Callable[[str], None] = print
) -> Path:
    """Downloads a set from its official site into the data root, unless it is already there.

    Returns its folder. Nothing else in plastorch downloads anything. ``tell`` gets a line with size
    and source before the download starts.

    Raises:
        InputError: the name is unknown, there is no free download, the site doesn't answer, the
            download failed, or the folder holds only part of the set.
    """
    entry, root = entry_of(name), data_root(data)
    if folder := find_set(entry, root):
        if missing := missing_files(entry, folder):
            raise InputError(f"{folder} lacks {', '.join(missing)}; expected all of it, or nothing")
        return folder
    return download_set(entry, root, tell)


def download_set(entry: Entry, root: Path, tell: Callable[[str], None]) -> Path:
    """Downloads a set into the data root, completely or not at all, and returns its folder.

    Raises InputError if there is no free download, or it failed.
    """
    if not entry.site:
        raise InputError(f"{entry.title}: it has no free download; to get it: {entry.origin}")
    tell(f"{entry.title}: {entry.size}, into {root}")
    final = root / (entry.unpacked or entry.folders[0])
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".partial-") as partial:
            whole = Path(partial, "packed")
            whole.mkdir()
            for name, md5 in entry.archives.items():
                _fetch(f"{entry.site}/{name}", whole / name, md5, entry.megabytes + 1)
            if entry.unpacked:
                whole = _unpacked(whole, Path(partial, "unpacked")) / entry.unpacked
            final.parent.mkdir(parents=True, exist_ok=True)
            os.replace(whole, final)
    except Exception as error:  # tarfile, http and ssl each raise their own
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(
            f"{entry.title}: the download from {entry.site} failed ({reason})"
        ) from error
    return final


def _fetch(address: str, target: Path, md5: str, megabytes: int) -> None:
    """Downloads one file, no larger than expected, and verifies its official checksum."""
    opener, digest = request.OpenerDirector(), hashlib.md5(usedforsecurity=False)
    for handler in HANDLERS:
        opener.add_handler(handler())
    asked = request.Request(address, headers={"User-Agent": "plastorch"})
    with opener.open(asked, timeout=STALL_SECONDS) as response, target.open("wb") as file:
        size, console = int(response.headers.get("Content-Length", 0)), Console(stderr=True)
        with wrap_file(response, size, description=target.name, console=console) as shown:
            while block := shown.read(_BLOCK):
                digest.update(block)
                file.write(block)
                if file.tell() > megabytes * 10**6:
                    raise ValueError(f"{target.name} is larger than {megabytes:,} MB")
    if digest.hexdigest() != md5:
        raise ValueError(f"MD5 of {target.name} is {digest.hexdigest()}; expected {md5}")


def _unpacked(packed: Path, target: Path) -> Path:
    """Unpacks an archive; paths or links out of the folder, and devices, are refused."""
    for archive in packed.iterdir():
        with tarfile.open(archive) as file:
            file.extractall(target, filter="data")
    return target
