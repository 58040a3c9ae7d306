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
    r"""Returns a name or path as valid Unicode.

    Args:
        name: name as Python's ``os`` spells it, with invalid bytes as lone surrogates.

    Example:
        >>> escape("plain.txt"), escape("caf\udce9.txt")
        ('plain.txt', 'caf\\xe9.txt')
    """
    if name.isascii() and "\\" not in name:
        return name
    return _SPELLS_ESCAPE.sub(rb"\\x5c", os.fsencode(name)).decode("utf-8", "backslashreplace")


def unescape(text: str) -> str:
    r"""Returns the name or path for ``os`` functions from the text in a catalog.

    Args:
        text: result of :func:`escape`.

    Example:
        >>> unescape("caf\\xe9.txt") == "caf\udce9.txt"
        True
    """
    if text.isascii() and "\\" not in text:
        return text
    raw = _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), text.encode())
    return os.fsdecode(raw)
