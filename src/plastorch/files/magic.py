"""The type of a file by its first bytes, from a small table of plastorch's own.

- ``empty``: no bytes.
- ``elf``, ``png``, ``pdf``, ``gzip``, … as in ``SIGNATURES`` and ``BINARY``.
- ``zip``, or by its first member ``jar``, ``office``, ``epub`` or ``wheel``. A wheel that begins
  with a module, as most do, can't be told from other archives.
- ``java``, ``mach-o``: ``CAFEBABE``, then the version of a class or the number of parts.
- ``pyc``: bytecode of Python 3.7 and later.
- ``script:NAME``: ``#!`` and an interpreter, without its version; ``env`` is looked through.
- ``xml``, ``svg``, ``html``, ``json``: UTF-8 with the typical beginning.
- ``text``: other UTF-8; ``text-utf16``: UTF-16 with a byte order mark; ``text-8bit``: not UTF-8,
  but without control characters.
- ``binary``: anything else.
"""

import codecs
import os
import re

HEAD = 512
"""Number of bytes read of a file."""

SIGNATURES = {
    b"\x7fELF": "elf",
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"II*\x00": "tiff",
    b"MM\x00*": "tiff",
    b"\x00\x00\x01\x00": "ico",
    b"%PDF-": "pdf",
    b"%!PS": "postscript",
    b"{\\rtf": "rtf",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "ole",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
    b"!<arch>\n": "ar",
    b"\xed\xab\xee\xdb": "rpm",
    b"SQLite format 3\x00": "sqlite",
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
    b"\x89HDF\r\n\x1a\n": "hdf5",
    b"\x93NUMPY": "npy",
    b"\xfe\xed\xfa\xce": "mach-o",
    b"\xfe\xed\xfa\xcf": "mach-o",
    b"\xce\xfa\xed\xfe": "mach-o",
    b"\xcf\xfa\xed\xfe": "mach-o",
    b"\x00asm": "wasm",
    b"BC\xc0\xde": "llvm",
    b"\xde\x12\x04\x95": "gettext",
    b"\x95\x04\x12\xde": "gettext",
    b"TZif": "timezone",
    b"\x00\x01\x00\x00\x00": "font",
    b"OTTO\x00": "font",
    b"ttcf\x00": "font",
    b"wOFF": "font",
    b"wOF2": "font",
    b"fLaC\x00": "flac",
    b"OggS\x00": "ogg",
    b"\x1aE\xdf\xa3": "matroska",
    b"\xff\xfe": "text-utf16",
    b"\xfe\xff": "text-utf16",
}
"""Signatures at the very beginning of a file, and their types."""

BINARY = (
    (257, b"ustar", "tar"),
    (4, b"ftypheic", "heif"),
    (4, b"ftypavif", "avif"),
    (4, b"ftyp", "mp4"),
    (8, b"WEBP", "webp"),
    (8, b"WAVE", "wav"),
    (8, b"AVI ", "avi"),
    (0, b"BM", "bmp"),
    (0, b"MZ", "pe"),
    (0, b"ID3", "mp3"),
)
"""Offsets, signatures and types that count only if the first bytes are not text."""

_BY_FIRST_BYTE = {
    first: tuple(item for item in SIGNATURES.items() if item[0][0] == first)
    for first in {signature[0] for signature in SIGNATURES}
}
_CONTROL = bytes({*range(32), 127} - set(b"\t\n\f\r\b\x1b"))
_JSON = re.compile(rb'\{\s*["}]|\[\s*(?:["{\[\]\-\d]|true\b|false\b|null\b)')
_INTERPRETER = re.compile(rb"#![ \t]*/")
_OFFICE = (b"[Content_Types].xml", b"_rels/", b"docProps/", b"word/", b"xl/", b"ppt/")
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


def read_kind(name: str, folder: int | None = None) -> str:
    """Reads the type of a regular file that is not empty, by its path or its name in an open
    folder. It never blocks: a file that has become a pipe since it was looked at reads as empty."""
    file = os.open(name, _OPEN, dir_fd=folder)
    try:
        return kind(os.read(file, HEAD))
    finally:
        os.close(file)


def kind(head: bytes) -> str:
    """Returns the type of a file by its first ``HEAD`` bytes, or by all if it is shorter."""
    if not head:
        return "empty"
    for signature, found in _BY_FIRST_BYTE.get(head[0], ()):
        if head.startswith(signature):
            return found
    if _INTERPRETER.match(head):
        return _script(head)
    if head.translate(None, _CONTROL) == head:
        return _text(head)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return _archive(head)
    if head.startswith(b"\xca\xfe\xba\xbe"):
        return "java" if int.from_bytes(head[4:8]) >= 45 else "mach-o"
    if _is_bytecode(head):
        return "pyc"
    for offset, signature, found in BINARY:
        if head.startswith(signature, offset):
            return found
    return "binary"


def _script(head: bytes) -> str:
    words = head[2:].split(b"\n", 1)[0].split()
    name = words[0].rsplit(b"/", 1)[1]
    if name == b"env":
        programs = [word for word in words[1:] if word[:1] != b"-" and b"=" not in word]
        name = programs[0].rsplit(b"/", 1)[-1] if programs else name
    name = name.rstrip(b"0123456789.") or name
    return "script:" + name.decode("ascii", "backslashreplace")


def _text(head: bytes) -> str:
    try:
        codecs.utf_8_decode(head, "strict", len(head) < HEAD)  # the last character may be cut off
    except UnicodeDecodeError:
        return "text-8bit"
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if start[:1] == b"<":
        return _markup(start.lower())
    return "json" if _JSON.match(start) else "text"


def _markup(start: bytes) -> str:
    if start.startswith((b"<!doctype html", b"<html")):
        return "html"
    if start.startswith(b"<svg"):
        return "svg"
    if not start.startswith(b"<?xml"):
        return "text"
    if b"<!doctype html" in start or b"<html" in start:
        return "html"
    return "svg" if b"<svg" in start else "xml"


def _archive(head: bytes) -> str:
    name_length = int.from_bytes(head[26:28], "little")
    name = head[30 : 30 + name_length]
    if name == b"mimetype":
        content = head[30 + name_length + int.from_bytes(head[28:30], "little") :]
        return "epub" if content.startswith(b"application/epub") else "office"
    if name.startswith(_OFFICE):
        return "office"
    if name.startswith(b"META-INF/"):
        return "jar"
    return "wheel" if b".dist-info/" in name else "zip"


def _is_bytecode(head: bytes) -> bool:
    version, flags = int.from_bytes(head[:2], "little"), int.from_bytes(head[4:8], "little")
    return len(head) >= 16 and head[2:4] == b"\r\n" and 3390 <= version < 4000 and flags <= 3
