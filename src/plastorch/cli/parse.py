"""Arguments as the commands take them; every mistake becomes one clear line."""

import contextlib
import io
import re
from collections.abc import Callable, Iterable
from typing import TypeVar

import tyro

from plastorch.engine.errors import InputError, meant

T = TypeVar("T")

MOST_SHOWN = 1000
"""Characters of a message; what is in the middle of a longer one is left out."""


def parse(target: Callable[..., T], prog: str, arguments: list[str]) -> T:
    """Parses with tyro; its boxed errors become one line."""
    words = io.StringIO()
    try:
        with contextlib.redirect_stderr(words):
            return tyro.cli(target, prog=prog, args=arguments, config=(tyro.conf.OmitArgPrefixes,))
    except SystemExit as stop:
        if not stop.code:
            raise
        raise InputError(f"{_unboxed(words.getvalue())}; see {prog} --help") from None


def _unboxed(text: str) -> str:
    """tyro's error box as one line: what is wrong, and the option that may have been meant."""
    inside = [re.sub(r"[│╭╮╰╯]", " ", line).strip() for line in text.splitlines()[1:]]
    whole = "\n".join(line if line.strip("─-") or not line else "\0" for line in inside)
    parts = [part.strip().splitlines() for part in whole.split("\0") if part.strip()] or [[]]
    known = [line.split()[0] for part in parts for line in part if line.startswith("-")]
    for part in parts:
        words = " ".join(part).replace(",", " ").split()
        if words[:2] == ["Unrecognized", "options:"]:
            wrong = words[2:]
            options = [option for option in known if option not in wrong]
            hints = [meant(word, options) for word in wrong if word.startswith("-")]
            return f"Unrecognized options: {', '.join(wrong)}{''.join(hints)}"
    message = re.sub(r" \.(?=\s|$)", ".", " ".join(parts[0])).rstrip(".")
    message = re.sub(r"^Error parsing (options|settings): ", "", message)
    choice = re.match(r"invalid choice '(.*)' for argument '.*'\. Expected one of (.*)", message)
    return message + (meant(choice[1], re.findall(r"'([^']*)'", choice[2])) if choice else "")


def nearest(word: str, choices: Iterable[str]) -> str:
    """What was expected in the place of a word, and what may have been meant."""
    choices = list(choices)
    return f"expected one of {', '.join(choices)}{meant(word, choices)}"


def one_line(text: str) -> str:
    """Text without line breaks, short enough to read, and harmless to a terminal.

    Example:
        >>> one_line("file \\x1b[2J\\n is damaged")
        'file \\\\x1b[2J is damaged'
    """
    text = " ".join(text.split())
    if len(text) > MOST_SHOWN:
        text = f"{text[: MOST_SHOWN // 2]} … {text[-MOST_SHOWN // 2 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
