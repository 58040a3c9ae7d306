"""Classes handed over to other programs: sidecar files, and tags in extended attributes.

Nothing that others wrote is lost: sidecars of other programs and existing tags are kept. Symbolic
links are never followed. A file that can't be written is counted and skipped.
"""

import contextlib
import errno
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple
from xml.sax.saxutils import escape as escape_xml

from plastorch.engine.output import WriteError, write_atomically
from plastorch.files.names import unescape

Form = Literal["json", "xmp"]
TAGS = "user.xdg.tags"
"""Extended attribute of tags joined by commas, which file managers and indexers read."""

_XMP = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="plastorch">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">
   <dc:subject><rdf:Bag>{}</rdf:Bag></dc:subject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""
_STARTS = ('{\n "plastorch": ', _XMP[: _XMP.index(">\n <rdf")])
"""Starts of sidecars that were written here."""
_NOT_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_REASONS = {
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR), "vanished"),
    errno.ELOOP: "reached through a symbolic link",
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "can't be written"),
    errno.ENOTSUP: "on a file system without extended attributes",
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.E2BIG, errno.ERANGE), "no room for tags"),
}


class Answer(NamedTuple):
    """A file and its class or tags."""

    path: str
    """Path relative to the root, escaped as in a catalog."""
    label: str
    confidence: float
    keys: str
    tags: tuple[str, ...] | None = None
    """Tags, of which the label consists; None for a class."""

    @property
    def words(self) -> tuple[str, ...]:
        """Words that are written for other programs."""
        return (self.label,) if self.tags is None else self.tags


def write_sidecars(root: Path, answers: Iterable[Answer], form: Form, model: str) -> Counter[str]:
    """Writes ``FILE.json`` or ``FILE.xmp`` beside each file; returns the number of each outcome.

    JSON holds class or tags, confidence, keys and the model's fingerprint; XMP the class or the
    tags as keywords (``dc:subject``). A file of another program with that name is kept.
    """
    fates: Counter[str] = Counter()
    for answer in answers:
        try:
            with _opened(root, unescape(answer.path)) as file:
                ours = _is_ours(file)
        except OSError as error:
            fates[_reason(error)] += 1
            continue
        path = root / unescape(answer.path)
        fates["sidecars themselves" if ours else _write(path, answer, form, model)] += 1
    return fates


def write_tags(
    root: Path, answers: Iterable[Answer], *, dry: bool, tell: Callable[[Answer], None]
) -> Counter[str]:
    """Adds each file's answer to its tags (``user.xdg.tags``), or only checks whether it could.

    ``tell`` is called for each file that gets a tag. Returns the number of files by outcome.
    """
    fates: Counter[str] = Counter()
    for answer in answers:
        try:
            with _opened(root, unescape(answer.path)) as file:
                fate = _tag(file, answer.words, dry)
        except OSError as error:
            fate = _reason(error)
        fates[fate] += 1
        if fate == "tagged":
            tell(answer)
    return fates


def _write(file: Path, answer: Answer, form: Form, model: str) -> str:
    """Writes the sidecar of a file, and returns its fate."""
    path = file.with_name(f"{file.name}.{form}")
    try:
        with _opened(path.parent, path.name) as existing:
            if not _is_ours(existing):
                return "kept a sidecar of another program"
    except FileNotFoundError:
        pass
    except OSError as error:
        other = error.errno == errno.ELOOP
        return "kept a sidecar of another program" if other else "can't be written"
    found = {"class": answer.label} if answer.tags is None else {"tags": list(answer.tags)}
    told = {"plastorch": model, **found, "confidence": answer.confidence}
    text = json.dumps(told | {"keys": answer.keys.split(", ") if answer.keys else []}, indent=1)
    if form == "xmp":
        words = (escape_xml(_NOT_XML.sub(_spelled, word)) for word in answer.words)
        text = _XMP.format("".join(f"<rdf:li>{word}</rdf:li>" for word in words))
    try:
        write_atomically(path, text.encode())
    except WriteError:
        return "can't be written"
    return "written"


def _tag(file: int, words: tuple[str, ...], dry: bool) -> str:
    """Adds tags to an open file, and returns the file's fate."""
    try:
        present = os.getxattr(file, TAGS)
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        present = b""
    known = [part.strip() for part in present.split(b",")]
    new = [tag for tag in (word.strip().encode() for word in words) if tag not in known]
    if not new:
        return "tagged before" if words else "without tags"
    if not dry:
        before = present.rstrip(b",")
        os.setxattr(file, TAGS, b",".join([before, *new] if before else new))
    return "tagged"


@contextlib.contextmanager
def _opened(root: Path, path: str) -> Iterator[int]:
    """Opens a regular file that no symbolic link leads to; other files raise OSError."""
    whole = os.path.join(os.path.realpath(root), path)
    if os.path.realpath(os.path.dirname(whole)) != os.path.dirname(whole):
        raise OSError(errno.ELOOP, "symbolic link")
    file = os.open(whole, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.ENOENT, "no regular file")
        yield file
    finally:
        os.close(file)


def _is_ours(file: int) -> bool:
    """Returns whether an open file is a sidecar that was written here."""
    start = os.pread(file, 400, 0)
    return any(start.startswith(known.encode()) for known in _STARTS)


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0, str(error.strerror or error))


def _spelled(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
