"""Arguments as the commands take them; every mistake becomes one clear line."""

import contextlib
import difflib
import io
import re
from collections.abc import Callable, Iterable
from typing import TypeVar

import tyro

from plastorch.engine.errors import InputError

T = TypeVar("T")


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
    stripped = [re.sub(r"[│╭╮╰╯─]", " ", line).strip() for line in text.splitlines()]
    lines = [line for line in stripped if line.strip("-")][1:]  # the first one is a title
    lines = [line for line in lines if not line.startswith("For full help")]
    hint = next((i for i, line in enumerate(lines) if "meant" in line), None)
    stop = next((i for i, line in enumerate(lines) if line.startswith("Argument helptext")), None)
    if hint is not None:
        return f"{' '.join(lines[:hint])}; did you mean {lines[hint + 1].split()[0]}?"
    message = " ".join(lines[:stop]).replace(" .", ".").rstrip(".")
    message = re.sub(r"^Error parsing (options|settings): ", "", message)
    choice = re.match(r"invalid choice '(.*)' for argument '.*'\. Expected one of (.*)", message)
    return message + (_meant(choice[1], re.findall(r"'([^']*)'", choice[2])) if choice else "")


def nearest(word: str, choices: Iterable[str]) -> str:
    """What was expected in the place of a word, and what may have been meant."""
    choices = list(choices)
    return f"expected one of {', '.join(choices)}{_meant(word, choices)}"


def _meant(word: str, choices: list[str]) -> str:
    near = difflib.get_close_matches(word, choices, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def one_line(text: str) -> str:
    """Text without line breaks."""
    return " ".join(text.split())
