"""Pages from templates. Every string that comes from a run is escaped here, and only here."""

import os
import re
import shlex
from functools import cache
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from plastorch.report.format import (
    bound,
    date,
    duration,
    headline,
    headline_words,
    measure,
    number,
    phases,
    plain,
    verdict,
)
from plastorch.report.theme import NO_FIGURES, can_draw

_UNSEEN = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that HTML or UTF-8 don't allow, and those that reverse the text after them."""


def render(template: str, **values: Any) -> str:
    """Returns a page with everything inline, and a policy that forbids all requests.

    Args:
        template: name of a file of the folder `templates`.
        values: contents of the page; strings are plain text.

    Returns:
        The HTML document.
    """
    return _templates().get_template(template).render(values)


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("plastorch.report"),
        autoescape=True,
        finalize=_seen,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "bound": bound,
        "date": date,
        "duration": duration,
        "listed": _listed,
        "measure": lambda value, name: measure(name, value),
        "number": number,
        "plain": plain,
        "printable": _printable,
        "quoted": _quoted,
        "shell": shlex.join,
    }
    templates.globals |= {
        "NO_FIGURES": NO_FIGURES,
        "can_draw": can_draw,
        "headline": headline,
        "headline_words": headline_words,
        "phases": phases,
        "verdict": verdict,
    }
    return templates


def _seen(value: object) -> object:
    """Spells out control characters of whatever is not HTML yet."""
    if isinstance(value, Markup):
        return value
    return _UNSEEN.sub(lambda found: _spelled(found[0]), str(value))


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _printable(name: str) -> str:
    """Spells out all characters of a name that can't be seen, ends of lines too."""
    return "".join(c if c.isprintable() else _spelled(c) for c in name)


def _quoted(path: str | PurePath) -> str:
    return quote(os.fsencode(path))


def _listed(value: Any, name: str) -> str:
    """Formats a value of any type: lists as their items, figures as everywhere."""
    if isinstance(value, list | tuple):
        return ", ".join(_listed(item, name) for item in value)
    return measure(name, value) if isinstance(value, float) else str(value)
