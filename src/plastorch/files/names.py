"""File names as valid UTF-8 text, and back, without loss.

A name is bytes, which not every system guarantees to be UTF-8, but text in a catalog must be. An
invalid byte is written ``\\xHH``; so that no two names collide, the backslash of a name that itself
spells such an escape is written ``\\x5c``. All other names, including those with other backslashes,
are unchanged.
"""

import os
import re

_SPELLS_ESCAPE = re.compile(rb"\\(?=x(?:5c|[89a-f][0-9a-f]))")
_ESCAPE = re.compile(rb"\\x(5c|[89a-f][0-9a-f])")


def escape(name: str) -> str:
    """Returns a name or path, which ``os`` spells with lone surrogates, as valid Unicode."""
    if name.isascii() and "\\" not in name:
        return name
    return _SPELLS_ESCAPE.sub(rb"\\x5c", os.fsencode(name)).decode("utf-8", "backslashreplace")


def unescape(text: str) -> str:
    """Returns the name or path for ``os`` functions from a text of :func:`escape`."""
    if text.isascii() and "\\" not in text:
        return text
    raw = _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), text.encode())
    return os.fsdecode(raw)
