"""Official downloads, through torchvision, that an offline machine is told of within seconds."""

import os
import socket
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from plastorch.data.catalogue import Entry

ANSWER_SECONDS = 4
STALL_SECONDS = 30


class DownloadError(RuntimeError):
    """The official site could not be reached, or did not deliver; the message says which."""


def download_set(entry: Entry, root: Path) -> Path:
    """Downloads a set into the data root: whole, or not at all.

    Args:
        entry: Which set.
        root: The data root, made if it is not there.

    Returns:
        The folder that holds the set's files now.

    Raises:
        DownloadError: There is no free download, no answer within seconds, or a failure.
    """
    if not entry.torchvision:
        raise DownloadError("it has no free download")
    _require_answer(entry.site)
    final = root / entry.downloaded
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".partial-") as partial:
            with _stall_limit(STALL_SECONDS), _harmless_archives():
                _fetch(entry, Path(partial))
            final.parent.mkdir(parents=True, exist_ok=True)
            os.replace(Path(partial, entry.downloaded), final)
    except Exception as error:  # torchvision, tarfile, http and ssl each raise their own
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DownloadError(f"the download from {entry.site} failed ({reason})") from error
    return final


def _fetch(entry: Entry, folder: Path) -> None:
    from torchvision import datasets  # costs seconds

    getattr(datasets, entry.torchvision)(folder, download=True, **entry.options)


def _require_answer(address: str) -> None:
    """Asks the site for a header, in a thread: looking up a name can hang beyond any timeout."""
    outcome: list[str] = []

    def ask() -> None:
        try:
            request = Request(address, method="HEAD", headers={"User-Agent": "plastorch"})
            urlopen(request, timeout=ANSWER_SECONDS).close()
            outcome.append("")
        except HTTPError:
            outcome.append("")  # an answer, if not a welcome: let the download try
        except Exception as error:
            outcome.append(str(error))

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS + 1)
    reason = outcome[0] if outcome else f"nothing within {ANSWER_SECONDS} s"
    if reason:
        raise DownloadError(f"{address} does not answer ({reason})")


@contextmanager
def _stall_limit(seconds: float) -> Iterator[None]:
    """Gives up on connections that stall; torchvision sets no limit of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextmanager
def _harmless_archives() -> Iterator[None]:
    """Refuses archives with paths or links out of their folder, or devices in them.

    torchvision compares checksums before it unpacks, but unpacks whatever is in the archive.
    """
    before = tarfile.TarFile.extraction_filter
    tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)
    try:
        yield
    finally:
        tarfile.TarFile.extraction_filter = before
