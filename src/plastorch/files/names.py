"""File names as text that UTF-8 can hold, and back, without loss.

A name is bytes, and not every system makes sure that they are UTF-8, which texts in a catalogue
must be. A byte that is not is written ``\\xHH``; so that no name is taken for another, the
backslash of a name that spells such an escape itself is written ``\\x5c``. All other names, those
with other backslashes among them, stay as they are.
"""

import os
import re

_SPELLS_ESCAPE = re.compile(rb"\\(?=x(?:5c|[89a-f][0-9a-f]))")
_ESCAPE = re.compile(rb"\\x(5c|[89a-f][0-9a-f])")


def escape(name: str) -> str:
    r"""A name or path as valid Unicode.

    Args:
        name: as Python's ``os`` spells it, odd bytes as lone surrogates.

    Example:
        >>> escape("plain.txt"), escape("caf\udce9.txt")
        ('plain.txt', 'caf\\xe9.txt')
    """
    if name.isascii() and "\\" not in name:
        return name
    return _SPELLS_ESCAPE.sub(rb"\\x5c", os.fsencode(name)).decode("utf-8", "backslashreplace")


def unescape(text: str) -> str:
    r"""The name or path that ``os`` functions want, from a text of a catalogue.

    Args:
        text: what :func:`escape` gave.

    Example:
        >>> unescape("caf\\xe9.txt") == "caf\udce9.txt"
        True
    """
    if text.isascii() and "\\" not in text:
        return text
    raw = _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), text.encode())
    return os.fsdecode(raw)
