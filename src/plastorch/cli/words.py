"""Text of messages."""

from collections.abc import Iterable

from plastorch.engine.errors import did_you_mean

MOST_SHOWN = 1000
"""Largest number of characters of a message; the middle of a longer one is left out."""


def nearest(word: str, choices: Iterable[str]) -> str:
    """Returns what was expected in place of a word, and what may have been meant."""
    choices = list(choices)
    return f"expected one of {', '.join(choices)}{did_you_mean(word, choices)}"


def one_line(text: str) -> str:
    """Returns text without line breaks, short enough to read, and harmless to a terminal."""
    text = " ".join(text.split())
    if len(text) > MOST_SHOWN:
        text = f"{text[: MOST_SHOWN // 2]} … {text[-MOST_SHOWN // 2 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
